"""Payments off session at Stripe, for automatic top-ups."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tollkeeper_core.adapters.stripe_client import make_client, raising
from tollkeeper_core.domain.billing import BillingError
from tollkeeper_core.domain.offers import AUTO_TOP_UP
from tollkeeper_core.domain.top_ups import Charge, ChargeFailedError, SavedCard

if TYPE_CHECKING:
    from stripe import StripeClient
    from stripe.params import PaymentIntentCreateParams

#: Per try; an attempt takes two requests at most, of two tries each: the function has 30 s.
_TIMEOUT_S = 6.0
_RETRIES = 1
_PAGE = 100
_PAID = frozenset(("succeeded", "processing", "requires_capture"))
#: The payer can no longer be charged by this card, whoever took it away.
_GONE = frozenset(("customer", "payment_method"))


@dataclass(frozen=True)
class StripeTopUps:
    """Implements top_ups.TopUpBilling. ``api_base``: where the local Stripe is."""

    secret_key: str
    api_base: str | None = None

    def saved_card(self, payment_intent_id: str) -> SavedCard | None:
        """See TopUpBilling."""
        with raising(BillingError):
            intent = self._client.v1.payment_intents.retrieve(
                payment_intent_id, {"expand": ["payment_method"]}
            ).to_dict()
        method, customer = intent.get("payment_method"), intent.get("customer")
        if not method or not customer or method.get("customer") != customer:
            return None
        return SavedCard(customer, method["id"])

    def charge(self, charge: Charge) -> None:
        """See TopUpBilling."""
        import stripe

        params: PaymentIntentCreateParams = {
            "amount": charge.amount_minor,
            "currency": charge.currency,
            "customer": charge.card.customer_id,
            "payment_method": charge.card.payment_method_id,
            "off_session": True,
            "confirm": True,
            "metadata": dict(charge.metadata),
        }
        key = f"tollkeeper-top-up-{charge.attempt_id}"
        with raising(BillingError):
            try:
                self._client.v1.payment_intents.create(params, {"idempotency_key": key})
            except stripe.CardError as error:
                raise ChargeFailedError(error.code or "declined") from error
            except stripe.InvalidRequestError as error:
                if error.code == "resource_missing" and error.param in _GONE:
                    raise ChargeFailedError("no_card") from error
                raise

    def find(self, customer_id: str, attempt_id: str, since_s: int) -> bool:
        """See TopUpBilling. By the customer's list, which shows what is there at once."""
        with raising(BillingError):
            page = self._client.v1.payment_intents.list(
                {"customer": customer_id, "created": {"gte": since_s}, "limit": _PAGE}
            )
            for one in page.auto_paging_iter():
                intent = one.to_dict()
                if intent["metadata"].get(AUTO_TOP_UP) == attempt_id:
                    if intent["status"] in _PAID:
                        return True
                    error = intent.get("last_payment_error") or {}
                    raise ChargeFailedError(error.get("code") or intent["status"])
        return False

    @cached_property
    def _client(self) -> "StripeClient":
        return make_client(self.secret_key, self.api_base, _TIMEOUT_S, _RETRIES)
