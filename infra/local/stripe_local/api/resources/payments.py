"""What a payment leaves behind: intents, charges, methods and balance transactions. Read only."""

from stripe.params import (
    BalanceTransactionRetrieveParams,
    ChargeListParams,
    ChargeRetrieveParams,
    PaymentIntentListParams,
    PaymentIntentRetrieveParams,
    PaymentMethodRetrieveParams,
)

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.lists import list_objects


def retrieve_intent(call: Call) -> Json:
    """GET /v1/payment_intents/{id}."""
    return call.account.get("payment_intent", call.id, param="intent")


def list_intents(call: Call) -> Json:
    """GET /v1/payment_intents."""
    return list_objects(call, "payment_intent", equal=("customer",))


def retrieve_charge(call: Call) -> Json:
    """GET /v1/charges/{id}."""
    return call.account.get("charge", call.id)


def list_charges(call: Call) -> Json:
    """GET /v1/charges."""
    return list_objects(call, "charge", equal=("customer", "payment_intent"))


def retrieve_method(call: Call) -> Json:
    """GET /v1/payment_methods/{id}."""
    return call.account.get("payment_method", call.id, param="payment_method")


def retrieve_transaction(call: Call) -> Json:
    """GET /v1/balance_transactions/{id}."""
    return call.account.get("balance_transaction", call.id)


ROUTES = (
    Route("GET", "/payment_intents", PaymentIntentListParams, list_intents, "list:payment_intent"),
    Route(
        "GET",
        "/payment_intents/{id}",
        PaymentIntentRetrieveParams,
        retrieve_intent,
        "payment_intent",
    ),
    Route("GET", "/charges", ChargeListParams, list_charges, "list:charge"),
    Route("GET", "/charges/{id}", ChargeRetrieveParams, retrieve_charge, "charge"),
    Route(
        "GET",
        "/payment_methods/{id}",
        PaymentMethodRetrieveParams,
        retrieve_method,
        "payment_method",
    ),
    Route(
        "GET",
        "/balance_transactions/{id}",
        BalanceTransactionRetrieveParams,
        retrieve_transaction,
        "balance_transaction",
    ),
)
