"""Payment methods: a customer's saved cards, and new ones for tests."""

from stripe.params import (
    CustomerPaymentMethodListParams,
    PaymentMethodAttachParams,
    PaymentMethodCreateParams,
    PaymentMethodDetachParams,
    PaymentMethodListParams,
    PaymentMethodRetrieveParams,
)

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.lists import list_objects
from infra.local.stripe_local.errors import StripeError, missing_param, no_such, not_simulated
from infra.local.stripe_local.events import emit
from infra.local.stripe_local.flows import intents, payments
from infra.local.stripe_local.flows.cards import read_number

_CREATE = frozenset({"billing_details", "card", "metadata", "type"})


def create(call: Call) -> Json:
    """POST /v1/payment_methods: a card by one of Stripe's test numbers."""
    fields = call.params
    for name in fields:
        if name not in _CREATE:
            raise not_simulated(name)
    if fields.get("type") != "card":
        raise not_simulated(f"type={fields.get('type')}")
    typed = fields.get("card", {}).get("number")
    if typed is None:
        raise missing_param("card[number]")
    number = read_number(typed)
    if number is None:
        raise StripeError(
            "Your card number is incorrect.",
            status=402,
            kind="card_error",
            code="incorrect_number",
            param="number",
        )
    details = fields.get("billing_details") or {}
    payer = payments.Payer(
        email=details.get("email") or "", name=details.get("name") or "", card=number
    )
    method = payments.create_method(call.account, "card", payer, None)
    method["metadata"] = fields.get("metadata") or {}
    return method


def attach(call: Call) -> Json:
    """POST /v1/payment_methods/{id}/attach; also one of Stripe's names (`pm_card_visa`)."""
    method = intents.method_of_token(call.account, call.id) or retrieve(call)
    if "customer" not in call.params:
        raise missing_param("customer")
    customer = call.account.get("customer", call.params["customer"], param="customer", status=400)
    if method["customer"] not in (None, customer["id"]):
        raise StripeError(
            "The payment method you provided has already been attached to a customer.",
            param="payment_method",
        )
    payments.attach_method(call.account, method, customer["id"])
    return method


def detach(call: Call) -> Json:
    """POST /v1/payment_methods/{id}/detach: nobody can be charged by it any more."""
    method = retrieve(call)
    if method["customer"] is None:
        raise StripeError(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible.",
            param="payment_method",
        )
    previous = {"customer": method["customer"]}
    for customer in call.account.each("customer"):
        settings = customer["invoice_settings"]
        if settings["default_payment_method"] == method["id"]:
            settings["default_payment_method"] = None
    method["customer"] = None
    emit(call.account, "payment_method.detached", method, cause=call.cause, previous=previous)
    return method


def retrieve(call: Call) -> Json:
    """GET /v1/payment_methods/{id}."""
    found = call.account.find(call.id)
    if found is None or found["object"] != "payment_method":
        raise no_such("PaymentMethod", call.id, param="payment_method", status=404)
    return found


def list_all(call: Call) -> Json:
    """GET /v1/payment_methods: those of a customer."""
    return list_objects(call, "payment_method", equal=("customer", "type"))


def list_of_customer(call: Call) -> Json:
    """GET /v1/customers/{id}/payment_methods."""
    call.account.get("customer", call.id)
    return list_objects(
        call, "payment_method", equal=("type",), keep=lambda m: m["customer"] == call.id
    )


_PATH = "/payment_methods"
ROUTES = (
    Route("POST", _PATH, PaymentMethodCreateParams, create, "payment_method"),
    Route("GET", _PATH, PaymentMethodListParams, list_all, "list:payment_method"),
    Route(
        "GET",
        "/customers/{id}/payment_methods",
        CustomerPaymentMethodListParams,
        list_of_customer,
        "list:payment_method",
    ),
    Route("GET", f"{_PATH}/{{id}}", PaymentMethodRetrieveParams, retrieve, "payment_method"),
    Route("POST", f"{_PATH}/{{id}}/attach", PaymentMethodAttachParams, attach, "payment_method"),
    Route("POST", f"{_PATH}/{{id}}/detach", PaymentMethodDetachParams, detach, "payment_method"),
)
