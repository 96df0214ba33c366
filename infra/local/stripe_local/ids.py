"""Object ids that look like Stripe's: a true prefix, then base62."""

import random
import string

_BASE62 = string.digits + string.ascii_letters

# What follows the prefix: fixed lead-in, then the number of random characters.
_SHAPES: dict[str, tuple[str, int]] = {
    "checkout.session": ("cs_test_a1", 58),
    "customer": ("cus_", 14),
    "product": ("prod_", 14),
    "price": ("price_1", 23),
    "item": ("li_1", 23),
    "payment_intent": ("pi_3", 23),
    "payment_method": ("pm_1", 23),
    "charge": ("ch_3", 23),
    "balance_transaction": ("txn_3", 23),
    "refund": ("re_3", 23),
    "dispute": ("du_1", 23),
    "radar.early_fraud_warning": ("issfr_1", 23),
    "promotion_code": ("promo_1", 23),
    "coupon": ("", 8),
    "discount": ("di_1", 23),
    "subscription": ("sub_1", 23),
    "subscription_item": ("si_", 14),
    "invoice": ("in_1", 23),
    "line_item": ("il_1", 23),
    "invoiceitem": ("ii_1", 23),
    "invoice_payment": ("inpay_1", 23),
    "test_helpers.test_clock": ("clock_1", 23),
    "billing_portal.session": ("bps_1", 23),
    "billing_portal.configuration": ("bpc_1", 23),
    "portal_secret": ("test_", 43),
    "tax_id": ("txi_1", 23),
    "event": ("evt_1", 23),
    "webhook_endpoint": ("we_1", 23),
    "request": ("req_", 14),
    "webhook_secret": ("whsec_", 32),
    "client_secret": ("secret_", 24),
}


class IdMint:
    """Mints ids; the same seed gives the same ids in the same order."""

    def __init__(self, seed: int | None = None) -> None:
        # Ids of a test account: a seed is there to make them repeatable.
        self._random = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311

    def __call__(self, kind: str) -> str:
        """Return a new id for a `kind` of object (`checkout.session`, `customer`, ...)."""
        prefix, length = _SHAPES[kind]
        return prefix + self.letters(length)

    def letters(self, count: int) -> str:
        """Return `count` random base62 characters."""
        return "".join(self._random.choices(_BASE62, k=count))
