"""Subscriptions."""

from stripe.params import (
    SubscriptionCancelParams,
    SubscriptionCreateParams,
    SubscriptionListParams,
    SubscriptionResumeParams,
    SubscriptionRetrieveParams,
    SubscriptionUpdateParams,
)

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.lists import list_objects
from infra.local.stripe_local.api.resources.catalog import create_price
from infra.local.stripe_local.errors import StripeError, missing_param, not_simulated
from infra.local.stripe_local.events import emit
from infra.local.stripe_local.flows import changes, intents, invoices, renewals, subscriptions
from infra.local.stripe_local.words import words

_CREATE = words(
    """
    customer default_payment_method description items metadata off_session payment_behavior
    trial_end trial_period_days trial_settings
    """
)
_UPDATE = words(
    """
    billing_cycle_anchor cancel_at cancel_at_period_end cancellation_details
    default_payment_method description items metadata off_session pause_collection payment_behavior
    proration_behavior proration_date trial_end trial_settings
    """
)
_ITEM = words("deleted id price price_data quantity")
_BEHAVIORS = words("allow_incomplete error_if_incomplete")


def create(call: Call) -> Json:
    """POST /v1/subscriptions: begun and charged at once by the saved payment method."""
    _check(call.params, _CREATE)
    account = call.account
    customer = account.get("customer", call.params["customer"], param="customer", status=400)
    with account.on_clock_of(customer):
        lines = _items(call)
        if not lines:
            raise missing_param("items")
        fields = dict(call.params)
        days = fields.get("trial_period_days")
        if days:
            fields["trial_end"] = account.now() + days * invoices.DAY_S
        method = _method(call, customer["id"])
        default = customer["invoice_settings"]["default_payment_method"]
        if method is None and default is None and not fields.get("trial_end"):
            raise StripeError(
                "This customer has no attached payment source or default payment method. Please "
                "consider adding a default payment method.",
                code="resource_missing",
            )
        subscription = subscriptions.create(
            account, customer=customer, method=method, lines=lines, fields=fields
        )
        invoice = subscriptions.draft_invoice(account, subscription, "subscription_create")
        emit(account, "invoice.created", invoice, cause=call.cause)
        emit(account, "customer.subscription.created", subscription, cause=call.cause)
        outcome = renewals.finalize_and_collect(account, invoice)
        if outcome == "failed" and fields.get("payment_behavior") == "error_if_incomplete":
            error = intents.payment_error(account, invoices.intent_of(account, invoice))
            account.remove(subscription["id"])
            raise error
    return subscription


def _check(fields: Json, known: frozenset[str]) -> None:
    for name in fields:
        if name not in known:
            raise not_simulated(name)
    behavior = fields.get("payment_behavior", "allow_incomplete")
    if behavior not in _BEHAVIORS:
        raise not_simulated(f"payment_behavior={behavior}")
    for index, item in enumerate(fields.get("items", ())):
        for name in item:
            if name not in _ITEM:
                raise not_simulated(f"items[{index}][{name}]")


def _items(call: Call) -> list[Json]:
    """Return the request's items, each with its price in place of the price's id."""
    return [
        _item(call, item, f"items[{index}]")
        for index, item in enumerate(call.params.get("items", ()))
    ]


def _item(call: Call, item: Json, where: str) -> Json:
    given = {name: value for name, value in item.items() if name not in ("price", "price_data")}
    if "price_data" in item:
        data = item["price_data"]
        call.account.get("product", data["product"], param=f"{where}[price_data]", status=400)
        given["price"] = create_price(call, data, f"{where}[price_data]", active=False)
    elif "price" in item:
        param = f"{where}[price]"
        given["price"] = call.account.get("price", item["price"], param=param, status=400)
    elif "id" not in item:
        raise missing_param(f"{where}[price]")
    if "price" in given:
        given["price"] = call.account.snapshot(given["price"])
        if given["price"]["recurring"] is None:
            raise StripeError(
                f"The price specified is set to `type=one_time` but this field only accepts prices "
                f"with `type=recurring`: `{given['price']['id']}`.",
                param=f"{where}[price]",
            )
    if "id" not in given:
        given.setdefault("quantity", 1)
    if given.get("quantity", 1) < 1 and not given.get("deleted"):
        raise StripeError("Invalid positive integer", param=f"{where}[quantity]")
    return given


def _method(call: Call, customer: str) -> Json | None:
    method_id = call.params.get("default_payment_method")
    if not method_id:
        return None
    param = "default_payment_method"
    method = call.account.get("payment_method", method_id, param=param, status=400)
    if method["customer"] != customer:
        raise StripeError(
            f"The customer does not have a payment method with the ID {method_id}. The payment "
            "method must be attached to the customer.",
            code="resource_missing",
            param=param,
        )
    return method


def retrieve(call: Call) -> Json:
    """GET /v1/subscriptions/{id}."""
    return call.account.get("subscription", call.id)


def list_all(call: Call) -> Json:
    """GET /v1/subscriptions: without a `status`, all that are not canceled."""
    status, price = call.params.get("status"), call.params.get("price")

    def keep(subscription: Json) -> bool:
        if price and all(i["price"]["id"] != price for i in subscription["items"]["data"]):
            return False
        if status is None:
            return bool(subscription["status"] != "canceled")
        if status == "ended":
            return subscription["status"] in subscriptions.ENDED
        return status in ("all", subscription["status"])

    return list_objects(
        call,
        "subscription",
        equal=("customer", "test_clock"),
        keep=keep,
        handled=("status", "price"),
    )


def update(call: Call) -> Json:
    """POST /v1/subscriptions/{id}."""
    _check(call.params, _UPDATE)
    subscription = retrieve(call)
    with call.account.on_clock_of(subscription):
        _method(call, subscription["customer"])
        fields = dict(call.params)
        if "items" in fields:
            fields["items"] = _items(call)
        return changes.update(call.account, subscription, fields, call.cause)


def cancel(call: Call) -> Json:
    """DELETE /v1/subscriptions/{id}."""
    for name in ("invoice_now", "prorate"):
        if call.params.get(name):
            raise not_simulated(name)
    subscription = retrieve(call)
    with call.account.on_clock_of(subscription):
        details = call.params.get("cancellation_details")
        return subscriptions.cancel(call.account, subscription, call.cause, details)


def resume(call: Call) -> Json:
    """POST /v1/subscriptions/{id}/resume: one that its trial's end has paused."""
    known: Json = {"billing_cycle_anchor": {"type": "now"}, "proration_behavior": "none"}
    for name, value in call.params.items():
        if known.get(name) != value:
            raise not_simulated(name)
    subscription = retrieve(call)
    if subscription["status"] != "paused":
        raise StripeError(
            f"You can only resume a subscription whose status is `paused`; this one is "
            f"`{subscription['status']}`."
        )
    with call.account.on_clock_of(subscription):
        return renewals.resume(call.account, subscription)


_PATH = "/subscriptions"
ROUTES = (
    Route("POST", _PATH, SubscriptionCreateParams, create, "subscription"),
    Route("GET", _PATH, SubscriptionListParams, list_all, "list:subscription"),
    Route("GET", f"{_PATH}/{{id}}", SubscriptionRetrieveParams, retrieve, "subscription"),
    Route("POST", f"{_PATH}/{{id}}", SubscriptionUpdateParams, update, "subscription"),
    Route("DELETE", f"{_PATH}/{{id}}", SubscriptionCancelParams, cancel, "subscription"),
    Route("POST", f"{_PATH}/{{id}}/resume", SubscriptionResumeParams, resume, "subscription"),
)
