"""Checkout Sessions."""

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
from infra.local.stripe_local.api.session_checks import (
    EXPIRES_MAX_S,
    check_session,
    check_total,
)
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.flows import checkout, discounts
from infra.local.stripe_local.objects.checkout import session as build_session


def create(call: Call) -> Json:
    """POST /v1/checkout/sessions."""
    check_session(call)
    customer = call.account.find(call.params.get("customer"))
    with call.account.on_clock_of(customer):
        return _create(call, customer)


def _create(call: Call, customer: Json | None) -> Json:
    fields, account = call.params, call.account
    items = build_items(call, fields["line_items"], fields["mode"])
    currency: str = items[0]["currency"]
    now, session_id = account.now(), account.new_id("checkout.session")
    embedded = fields.get("ui_mode") == "embedded_page"
    secret = account.mint("client_secret")
    session = build_session(
        session_id,
        fields=fields,
        created=now,
        expires_at=fields.get("expires_at", now + EXPIRES_MAX_S),
        url=None if embedded else f"{call.base_url}/c/pay/{session_id}",
        client_secret=f"{session_id}_{secret}" if embedded else None,
        currency=currency,
        method_types=_method_types(fields, currency),
        customer=customer,
    )
    account.add(
        session,
        items=items,
        base_url=call.base_url,
        customer_update=fields.get("customer_update", {}),
        payment_intent_data=fields.get("payment_intent_data", {}),
        subscription_data=fields.get("subscription_data", {}),
    )
    try:
        checkout.reckon(account, session)
        subtotal: int = session["amount_total"]
        _discount(call, session)
        trial = {"trial_end", "trial_period_days"} & set(fields.get("subscription_data", {}))
        check_total(session["amount_total"], currency, may_be_free=subtotal > 0 or bool(trial))
    except StripeError:
        account.remove(session_id)
        raise
    # What is given is by the clock on the wall; see `session_checks`.
    given = fields.get("expires_at")
    expires_at = given + account.clock() - account.real_clock() if given else session["expires_at"]
    clockwork.schedule(account, expires_at, "checkout.expire", id=session_id)
    return session


def _discount(call: Call, session: Json) -> None:
    """Apply the coupon or code that the session is made with."""
    for given in call.params.get("discounts") or ():
        account, coupon, code = call.account, given.get("coupon"), given.get("promotion_code")
        if coupon is not None:
            found = account.get("coupon", coupon, param="discounts[0][coupon]", status=400)
            discounts.check_coupon(account, found, session["currency"])
        else:
            param = "discounts[0][promotion_code]"
            found = account.get("promotion_code", code, param=param, status=400)
            discounts.check_code(account, found, session)
        session["discounts"] = [{"coupon": coupon, "promotion_code": code}]
    checkout.reckon(call.account, session)


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
