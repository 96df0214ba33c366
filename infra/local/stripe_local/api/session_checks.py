"""What a Checkout Session may be made of: refuse what Stripe refuses, and what is not simulated."""

from typing import Any

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.amounts import AMOUNT_MAX, AMOUNT_MIN
from infra.local.stripe_local.api.call import Call
from infra.local.stripe_local.api.urls import check_url
from infra.local.stripe_local.errors import StripeError, missing_param, not_simulated
from infra.local.stripe_local.money import show_amount
from infra.local.stripe_local.words import words

EXPIRES_MAX_S = 24 * 3600
_EXPIRES_MIN_S = 30 * 60
_REFERENCE_MAX = 200
_TRIAL_DAYS_MAX = 730

_ACTED_ON = words(
    """
    allow_promotion_codes allowed_payment_method_types automatic_tax billing_address_collection
    cancel_url client_reference_id consent_collection custom_text customer customer_creation
    customer_email customer_update discounts excluded_payment_method_types expires_at
    integration_identifier invoice_creation line_items locale metadata mode origin_context
    payment_intent_data payment_method_collection redirect_on_completion return_url submit_type
    subscription_data success_url tax_id_collection ui_mode
    """
)
_INTENT_DATA = words(
    """
    description metadata receipt_email setup_future_usage statement_descriptor
    statement_descriptor_suffix
    """
)
_SUBSCRIPTION_DATA = words("description metadata trial_end trial_period_days trial_settings")
_TEXTS = words("after_submit submit terms_of_service_acceptance")
_INVOICE_DATA = words("description footer metadata")
# Parameters that may say what is so anyway: without effect, and therefore fine.
_OFF: dict[str, Any] = {
    "phone_number_collection": {"enabled": False},
    "adaptive_pricing": {"enabled": False},
}
_ONE_MODE = {
    "customer_creation": "payment",
    "invoice_creation": "payment",
    "payment_intent_data": "payment",
    "payment_method_collection": "subscription",
    "subscription_data": "subscription",
}


def check_session(call: Call) -> None:
    """Raise StripeError (400), in Stripe's words, for what no session can be made of."""
    fields = call.params
    for name, value in fields.items():
        if name not in _ACTED_ON and _OFF.get(name) != value:
            raise not_simulated(name)
    for name in ("mode", "line_items"):
        if not fields.get(name):
            raise missing_param(name)
    if fields["mode"] == "setup":
        raise not_simulated("mode=setup")
    _check_return(fields)
    for name in fields.get("custom_text", {}):
        if name not in _TEXTS:
            raise not_simulated(f"custom_text[{name}]")
    _check_mode_data(fields)
    _check_trial(call)
    _check_customer(call)
    _check_discounts(fields)
    _check_expiry(call)
    if len(fields.get("client_reference_id", "")) > _REFERENCE_MAX:
        raise StripeError(
            f"Invalid string: must be at most {_REFERENCE_MAX} characters",
            param="client_reference_id",
        )


def _check_return(fields: Json) -> None:
    """A hosted page leads to `success_url`; one that is embedded to `return_url`, or nowhere."""
    mode = fields.get("ui_mode", "hosted_page")
    if mode not in ("hosted_page", "embedded_page"):
        raise not_simulated(f"ui_mode={mode}")
    hosted = mode == "hosted_page"
    foreign = ("return_url", "redirect_on_completion") if hosted else ("success_url", "cancel_url")
    for name in foreign:
        if name in fields:
            raise StripeError(f"You can not pass `{name}` if `ui_mode` is `{mode}`.", param=name)
    if hosted and not fields.get("success_url"):
        raise missing_param("success_url")
    stays = fields.get("redirect_on_completion") == "never"
    if not hosted and stays == bool(fields.get("return_url")):
        if stays:
            raise StripeError(
                "You can not pass `return_url` if `redirect_on_completion` is `never`.",
                param="return_url",
            )
        raise missing_param("return_url")
    for name in ("success_url", "cancel_url", "return_url"):
        check_url(name, fields.get(name))


def _check_mode_data(fields: Json) -> None:
    for name, mode in _ONE_MODE.items():
        if name in fields and fields["mode"] != mode:
            if name.endswith("_data"):
                raise StripeError(
                    f"You can not pass `{name}` in `{fields['mode']}` mode.", param=name
                )
            raise StripeError(f"`{name}` can only be used in `{mode}` mode.", param=name)
    known = {"payment_intent_data": _INTENT_DATA, "subscription_data": _SUBSCRIPTION_DATA}
    for own, names in known.items():
        for name in fields.get(own, {}):
            if name not in names:
                raise not_simulated(f"{own}[{name}]")
    for name in fields.get("invoice_creation", {}).get("invoice_data", {}):
        if name not in _INVOICE_DATA:
            raise not_simulated(f"invoice_creation[invoice_data][{name}]")


def _check_trial(call: Call) -> None:
    data = call.params.get("subscription_data", {})
    days, end = data.get("trial_period_days"), data.get("trial_end")
    if days is not None and end is not None:
        raise StripeError(
            "You may only specify one of these parameters: trial_period_days, trial_end.",
            param="subscription_data",
        )
    if days is not None and not 1 <= days <= _TRIAL_DAYS_MAX:
        raise StripeError(
            f"The number of trial days must be from 1 to {_TRIAL_DAYS_MAX}.",
            param="subscription_data[trial_period_days]",
        )
    if end is not None and end < call.account.now() + 48 * 3600:
        raise StripeError(
            "The `trial_end` date has to be at least 2 days in the future.",
            param="subscription_data[trial_end]",
        )


def _check_customer(call: Call) -> None:
    fields = call.params
    if "customer" not in fields:
        if "customer_update" in fields:
            raise StripeError(
                "`customer_update` can only be used with `customer`.", param="customer_update"
            )
        return
    for other in ("customer_email", "customer_creation"):
        if other in fields:
            raise StripeError(
                f"You may only specify one of these parameters: customer, {other}.",
                param="customer",
            )
    customer = call.account.get("customer", fields["customer"], param="customer", status=400)
    update = fields.get("customer_update", {})
    if "shipping" in update:
        raise not_simulated("customer_update[shipping]")
    taxed = fields.get("automatic_tax", {}).get("enabled")
    if taxed and update.get("address") != "auto" and not (customer["address"] or {}).get("country"):
        raise StripeError(
            "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a "
            "valid address to the Customer or set either `customer_update[address]` to 'auto' or "
            "`customer_update[shipping]` to 'auto' to save the address entered in Checkout to the "
            "Customer.",
            code="customer_tax_location_invalid",
        )
    collects = fields.get("tax_id_collection", {}).get("enabled")
    if collects and update.get("name") != "auto":
        raise StripeError(
            "Tax ID collection requires updating business name on the customer. To enable tax ID "
            "collection for an existing customer, please set `customer_update[name]` to `auto`."
        )


def _check_discounts(fields: Json) -> None:
    given = fields.get("discounts") or []
    if given and fields.get("allow_promotion_codes"):
        raise StripeError(
            "You may only specify one of these parameters: allow_promotion_codes, discounts.",
            param="allow_promotion_codes",
        )
    if len(given) > 1:
        raise StripeError("You can only apply one discount to a session.", param="discounts")
    for discount in given:
        if len(discount) != 1 or not set(discount) <= {"coupon", "promotion_code"}:
            raise StripeError(
                "You must specify exactly one of coupon, promotion_code.", param="discounts[0]"
            )


def _check_expiry(call: Call) -> None:
    expires_at = call.params.get("expires_at")
    if expires_at is None:
        return
    # By the clock on the wall: who calls does not know that this account's time was moved.
    left_s = expires_at - int(call.account.real_clock())
    if left_s < _EXPIRES_MIN_S:
        raise StripeError(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session "
            "creation.",
            param="expires_at",
        )
    if left_s > EXPIRES_MAX_S:
        raise StripeError(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            param="expires_at",
        )


def check_total(amount: int, currency: str, *, may_be_free: bool) -> None:
    """Raise StripeError (400) for a total that cannot be charged; nothing at all may be due."""
    if amount < AMOUNT_MIN and not (amount == 0 and may_be_free):
        least = show_amount(AMOUNT_MIN, currency)
        raise StripeError(
            f"The Checkout Session's total amount due must add up to at least {least} {currency}",
            code="amount_too_small",
        )
    if amount > AMOUNT_MAX:
        most = show_amount(AMOUNT_MAX, currency)
        raise StripeError(
            f"The Checkout Session's total amount must be no more than {most} {currency}",
            code="amount_too_large",
        )
