"""Subscriptions, invoices and invoice payments."""

from stripe.params import (
    InvoiceListParams,
    InvoicePaymentListParams,
    InvoicePaymentRetrieveParams,
    InvoiceRetrieveParams,
    SubscriptionCancelParams,
    SubscriptionListParams,
    SubscriptionRetrieveParams,
    SubscriptionUpdateParams,
)

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.lists import list_objects
from infra.local.stripe_local.errors import not_simulated
from infra.local.stripe_local.flows import billing

_UPDATABLE = frozenset({"cancel_at_period_end", "cancellation_details", "description", "metadata"})
_ENDED = frozenset({"canceled", "incomplete_expired"})


def retrieve_subscription(call: Call) -> Json:
    """GET /v1/subscriptions/{id}."""
    return call.account.get("subscription", call.id)


def list_subscriptions(call: Call) -> Json:
    """GET /v1/subscriptions: without a `status`, all that are not canceled."""
    status, price = call.params.get("status"), call.params.get("price")

    def keep(subscription: Json) -> bool:
        if price and all(i["price"]["id"] != price for i in subscription["items"]["data"]):
            return False
        if status is None:
            return bool(subscription["status"] != "canceled")
        if status == "ended":
            return subscription["status"] in _ENDED
        return status in ("all", subscription["status"])

    return list_objects(
        call, "subscription", equal=("customer",), keep=keep, handled=("status", "price")
    )


def update_subscription(call: Call) -> Json:
    """POST /v1/subscriptions/{id}."""
    for name in call.params:
        if name not in _UPDATABLE:
            raise not_simulated(name)
    subscription = retrieve_subscription(call)
    return billing.update_subscription(call.account, subscription, call.params, call.cause)


def cancel_subscription(call: Call) -> Json:
    """DELETE /v1/subscriptions/{id}."""
    for name in ("invoice_now", "prorate"):
        if call.params.get(name):
            raise not_simulated(name)
    return billing.cancel_subscription(
        call.account,
        retrieve_subscription(call),
        call.cause,
        call.params.get("cancellation_details"),
    )


def retrieve_invoice(call: Call) -> Json:
    """GET /v1/invoices/{id}."""
    return call.account.get("invoice", call.id, param="invoice")


def list_invoices(call: Call) -> Json:
    """GET /v1/invoices."""
    wanted = call.params.get("subscription")

    def keep(invoice: Json) -> bool:
        details = invoice["parent"]["subscription_details"]
        return wanted is None or details["subscription"] == wanted

    return list_objects(
        call,
        "invoice",
        equal=("customer", "status", "collection_method"),
        keep=keep,
        handled=("subscription",),
    )


def retrieve_invoice_payment(call: Call) -> Json:
    """GET /v1/invoice_payments/{id}."""
    return call.account.get("invoice_payment", call.id)


def list_invoice_payments(call: Call) -> Json:
    """GET /v1/invoice_payments: how to get from a payment intent to its invoice."""
    intent = call.params.get("payment", {}).get("payment_intent")
    return list_objects(
        call,
        "invoice_payment",
        equal=("invoice", "status"),
        keep=lambda paid: intent is None or paid["payment"]["payment_intent"] == intent,
        handled=("payment",),
    )


ROUTES = (
    Route("GET", "/subscriptions", SubscriptionListParams, list_subscriptions, "list:subscription"),
    Route(
        "GET",
        "/subscriptions/{id}",
        SubscriptionRetrieveParams,
        retrieve_subscription,
        "subscription",
    ),
    Route(
        "POST", "/subscriptions/{id}", SubscriptionUpdateParams, update_subscription, "subscription"
    ),
    Route(
        "DELETE",
        "/subscriptions/{id}",
        SubscriptionCancelParams,
        cancel_subscription,
        "subscription",
    ),
    Route("GET", "/invoices", InvoiceListParams, list_invoices, "list:invoice"),
    Route("GET", "/invoices/{id}", InvoiceRetrieveParams, retrieve_invoice, "invoice"),
    Route(
        "GET",
        "/invoice_payments",
        InvoicePaymentListParams,
        list_invoice_payments,
        "list:invoice_payment",
    ),
    Route(
        "GET",
        "/invoice_payments/{id}",
        InvoicePaymentRetrieveParams,
        retrieve_invoice_payment,
        "invoice_payment",
    ),
)
