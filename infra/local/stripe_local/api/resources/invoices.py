"""Invoices, their lines, what is pending for them, and how they were paid."""

from stripe.params import (
    InvoiceItemListParams,
    InvoiceItemRetrieveParams,
    InvoiceLineItemListParams,
    InvoiceListParams,
    InvoicePaymentListParams,
    InvoicePaymentRetrieveParams,
    InvoicePayParams,
    InvoiceRetrieveParams,
    InvoiceVoidInvoiceParams,
)

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.lists import list_objects, page
from infra.local.stripe_local.errors import StripeError, not_simulated
from infra.local.stripe_local.flows import intents, invoices, renewals


def retrieve(call: Call) -> Json:
    """GET /v1/invoices/{id}."""
    return call.account.get("invoice", call.id, param="invoice")


def list_all(call: Call) -> Json:
    """GET /v1/invoices."""
    wanted = call.params.get("subscription")

    def keep(invoice: Json) -> bool:
        details = (invoice["parent"] or {}).get("subscription_details") or {}
        return wanted is None or details.get("subscription") == wanted

    return list_objects(
        call,
        "invoice",
        equal=("customer", "status", "collection_method"),
        keep=keep,
        handled=("subscription",),
    )


def list_lines(call: Call) -> Json:
    """GET /v1/invoices/{id}/lines."""
    return page(call, retrieve(call)["lines"]["data"])


def pay(call: Call) -> Json:
    """POST /v1/invoices/{id}/pay. Raises StripeError (402) where the card is declined."""
    for name in call.params:
        if name not in ("off_session", "payment_method"):
            raise not_simulated(name)
    account, invoice = call.account, retrieve(call)
    if invoice["status"] == "paid":
        raise StripeError("Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] not in ("open", "uncollectible"):
        raise StripeError(
            f"You can only pay an invoice that is open; this one is {invoice['status']}."
        )
    method_id = call.params.get("payment_method")
    method = None
    if method_id:
        method = account.get("payment_method", method_id, param="payment_method", status=400)
    with account.on_clock_of(account.get("customer", invoice["customer"])):
        outcome = renewals.collect(account, invoice, method=method)
    if outcome == "failed":
        intent = invoices.intent_of(account, invoice)
        if intent["last_payment_error"] is None:
            raise StripeError(
                "There is no default_payment_method set on this Customer or Invoice. Please set a "
                "default_payment_method prior to paying.",
                code="resource_missing",
            )
        raise intents.payment_error(account, intent)
    return invoice


def void(call: Call) -> Json:
    """POST /v1/invoices/{id}/void."""
    invoice = retrieve(call)
    if invoice["status"] not in ("open", "uncollectible"):
        raise StripeError(
            "You can only pass in open or uncollectible invoices. This invoice isn't."
        )
    invoices.void(call.account, invoice)
    return invoice


def retrieve_payment(call: Call) -> Json:
    """GET /v1/invoice_payments/{id}."""
    return call.account.get("invoice_payment", call.id)


def list_payments(call: Call) -> Json:
    """GET /v1/invoice_payments: how to get from a payment intent to its invoice."""
    intent = call.params.get("payment", {}).get("payment_intent")
    return list_objects(
        call,
        "invoice_payment",
        equal=("invoice", "status"),
        keep=lambda paid: intent is None or paid["payment"]["payment_intent"] == intent,
        handled=("payment",),
    )


def retrieve_item(call: Call) -> Json:
    """GET /v1/invoiceitems/{id}."""
    return call.account.get("invoiceitem", call.id)


def list_items(call: Call) -> Json:
    """GET /v1/invoiceitems: `pending` are those on no invoice yet."""
    pending = call.params.get("pending")
    return list_objects(
        call,
        "invoiceitem",
        equal=("customer", "invoice"),
        keep=lambda item: pending is None or pending == (item["invoice"] is None),
        handled=("pending",),
    )


ROUTES = (
    Route("GET", "/invoices", InvoiceListParams, list_all, "list:invoice"),
    Route("GET", "/invoices/{id}", InvoiceRetrieveParams, retrieve, "invoice"),
    Route("GET", "/invoices/{id}/lines", InvoiceLineItemListParams, list_lines, "list:line_item"),
    Route("POST", "/invoices/{id}/pay", InvoicePayParams, pay, "invoice"),
    Route("POST", "/invoices/{id}/void", InvoiceVoidInvoiceParams, void, "invoice"),
    Route(
        "GET",
        "/invoice_payments",
        InvoicePaymentListParams,
        list_payments,
        "list:invoice_payment",
    ),
    Route(
        "GET",
        "/invoice_payments/{id}",
        InvoicePaymentRetrieveParams,
        retrieve_payment,
        "invoice_payment",
    ),
    Route("GET", "/invoiceitems", InvoiceItemListParams, list_items, "list:invoiceitem"),
    Route("GET", "/invoiceitems/{id}", InvoiceItemRetrieveParams, retrieve_item, "invoiceitem"),
)
