"""Checkout Sessions."""

from typing import Any

from stripe.params.checkout import (
    SessionCreateParams,
    SessionExpireParams,
    SessionLineItemListParams,
    SessionListParams,
    SessionRetrieveParams,
)

from infra.local.stripe_local import clockwork
from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.line_items import build_items
from infra.local.stripe_local.api.lists import list_objects, page
from infra.local.stripe_local.api.urls import check_url
from infra.local.stripe_local.errors import StripeError, missing_param, not_simulated
from infra.local.stripe_local.flows import checkout
from infra.local.stripe_local.money import show_amount
from infra.local.stripe_local.objects.checkout import session as build_session
from infra.local.stripe_local.words import words

_EXPIRES_MIN_S = 30 * 60
_EXPIRES_MAX_S = 24 * 3600
_AMOUNT_MIN = 50
_AMOUNT_MAX = 99_999_999
_REFERENCE_MAX = 200

_ACTED_ON = words(
    """
    allow_promotion_codes allowed_payment_method_types cancel_url client_reference_id custom_text
    customer customer_creation customer_email excluded_payment_method_types expires_at
    integration_identifier line_items locale metadata mode origin_context payment_intent_data
    submit_type subscription_data success_url ui_mode
    """
)
_INTENT_DATA = words(
    """
    description metadata receipt_email setup_future_usage statement_descriptor
    statement_descriptor_suffix
    """
)
_SUBSCRIPTION_DATA = frozenset({"description", "metadata"})
# Parameters that may say what is so anyway: without effect, and therefore fine.
_OFF: dict[str, Any] = {
    "automatic_tax": {"enabled": False},
    "billing_address_collection": "auto",
    "invoice_creation": {"enabled": False},
    "tax_id_collection": {"enabled": False},
    "phone_number_collection": {"enabled": False},
    "adaptive_pricing": {"enabled": False},
}


def create(call: Call) -> Json:
    """POST /v1/checkout/sessions."""
    fields = call.params
    _check(call)
    items = build_items(call, fields["line_items"], fields["mode"])
    amount = sum(item["amount_total"] for item in items)
    currency: str = items[0]["currency"]
    _check_amount(amount, currency)
    now = call.account.now()
    session_id = call.account.new_id("checkout.session")
    session = call.account.add(
        build_session(
            session_id,
            fields=fields,
            created=now,
            expires_at=fields.get("expires_at", now + _EXPIRES_MAX_S),
            url=f"{call.base_url}/c/pay/{session_id}",
            amount=amount,
            currency=currency,
            method_types=_method_types(fields, currency),
        ),
        items=items,
        base_url=call.base_url,
        payment_intent_data=fields.get("payment_intent_data", {}),
        subscription_data=fields.get("subscription_data", {}),
    )
    clockwork.schedule(call.account, session["expires_at"], "checkout.expire", id=session_id)
    return session


def _method_types(fields: Json, currency: str) -> list[str]:
    """Return what the page offers: a card, and a bank debit where the currency has one."""
    allowed = fields.get("allowed_payment_method_types")
    excluded = fields.get("excluded_payment_method_types", ())
    eligible = ["card", checkout.DELAYED_METHODS.get(currency)]
    types = [
        kind
        for kind in eligible
        if kind and (allowed is None or kind in allowed) and kind not in excluded
    ]
    if not types:
        raise StripeError(
            "No valid payment method types for this Checkout Session.",
            param="allowed_payment_method_types",
        )
    return types


def _check(call: Call) -> None:
    """Refuse what Stripe refuses, and what this server would have to ignore."""
    fields = call.params
    for name, value in fields.items():
        if name not in _ACTED_ON and _OFF.get(name) != value:
            raise not_simulated(name)
    for name in ("mode", "success_url", "line_items"):
        if not fields.get(name):
            raise missing_param(name)
    if fields["mode"] == "setup":
        raise not_simulated("mode=setup")
    if fields.get("ui_mode", "hosted_page") != "hosted_page":
        raise not_simulated(f"ui_mode={fields['ui_mode']}")
    for name in ("success_url", "cancel_url"):
        check_url(name, fields.get(name))
    for name in fields.get("custom_text", {}):
        if name != "submit":
            raise not_simulated(f"custom_text[{name}]")
    _check_mode_data(fields)
    _check_customer(call)
    _check_expiry(call)
    if len(fields.get("client_reference_id", "")) > _REFERENCE_MAX:
        raise StripeError(
            f"Invalid string: must be at most {_REFERENCE_MAX} characters",
            param="client_reference_id",
        )


def _check_mode_data(fields: Json) -> None:
    payment = fields["mode"] == "payment"
    foreign = "subscription_data" if payment else "payment_intent_data"
    if foreign in fields:
        raise StripeError(
            f"You can not pass `{foreign}` in `{fields['mode']}` mode.", param=foreign
        )
    if not payment and "customer_creation" in fields:
        raise StripeError(
            "`customer_creation` can only be used in `payment` mode.", param="customer_creation"
        )
    own = "payment_intent_data" if payment else "subscription_data"
    for name in fields.get(own, {}):
        if name not in (_INTENT_DATA if payment else _SUBSCRIPTION_DATA):
            raise not_simulated(f"{own}[{name}]")


def _check_customer(call: Call) -> None:
    fields = call.params
    if "customer" not in fields:
        return
    for other in ("customer_email", "customer_creation"):
        if other in fields:
            raise StripeError(
                f"You may only specify one of these parameters: customer, {other}.",
                param="customer",
            )
    call.account.get("customer", fields["customer"], param="customer", status=400)


def _check_expiry(call: Call) -> None:
    expires_at = call.params.get("expires_at")
    if expires_at is None:
        return
    left_s = expires_at - call.account.now()
    if left_s < _EXPIRES_MIN_S:
        raise StripeError(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session "
            "creation.",
            param="expires_at",
        )
    if left_s > _EXPIRES_MAX_S:
        raise StripeError(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            param="expires_at",
        )


def _check_amount(amount: int, currency: str) -> None:
    if amount < _AMOUNT_MIN:
        least = show_amount(_AMOUNT_MIN, currency)
        raise StripeError(
            f"The Checkout Session's total amount due must add up to at least {least} {currency}",
            code="amount_too_small",
        )
    if amount > _AMOUNT_MAX:
        most = show_amount(_AMOUNT_MAX, currency)
        raise StripeError(
            f"The Checkout Session's total amount must be no more than {most} {currency}",
            code="amount_too_large",
        )


def retrieve(call: Call) -> Json:
    """GET /v1/checkout/sessions/{id}."""
    return call.account.get("checkout.session", call.id, param="session")


def list_all(call: Call) -> Json:
    """GET /v1/checkout/sessions."""
    email = call.params.get("customer_details", {}).get("email")
    return list_objects(
        call,
        "checkout.session",
        equal=("customer", "payment_intent", "status", "subscription", "payment_link"),
        keep=lambda s: email is None or (s["customer_details"] or {}).get("email") == email,
        handled=("customer_details",),
    )


def expire(call: Call) -> Json:
    """POST /v1/checkout/sessions/{id}/expire."""
    return checkout.expire(call.account, retrieve(call), call.cause)


def list_line_items(call: Call) -> Json:
    """GET /v1/checkout/sessions/{id}/line_items."""
    session = retrieve(call)
    return page(call, call.account.private(session["id"])["items"])


_PATH = "/checkout/sessions"
ROUTES = (
    Route("POST", _PATH, SessionCreateParams, create, "checkout.session"),
    Route("GET", _PATH, SessionListParams, list_all, "list:checkout.session"),
    Route("GET", f"{_PATH}/{{id}}", SessionRetrieveParams, retrieve, "checkout.session"),
    Route("POST", f"{_PATH}/{{id}}/expire", SessionExpireParams, expire, "checkout.session"),
    Route(
        "GET", f"{_PATH}/{{id}}/line_items", SessionLineItemListParams, list_line_items, "list:item"
    ),
)
