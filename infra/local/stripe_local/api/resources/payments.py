"""What a payment leaves behind: charges and balance transactions. Read only."""

from stripe.params import (
    BalanceTransactionListParams,
    BalanceTransactionRetrieveParams,
    ChargeListParams,
    ChargeRetrieveParams,
)

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.lists import list_objects


def retrieve_charge(call: Call) -> Json:
    """GET /v1/charges/{id}."""
    return call.account.get("charge", call.id)


def list_charges(call: Call) -> Json:
    """GET /v1/charges."""
    return list_objects(call, "charge", equal=("customer", "payment_intent"))


def retrieve_transaction(call: Call) -> Json:
    """GET /v1/balance_transactions/{id}."""
    return call.account.get("balance_transaction", call.id)


def list_transactions(call: Call) -> Json:
    """GET /v1/balance_transactions."""
    return list_objects(call, "balance_transaction", equal=("currency", "source", "type"))


ROUTES = (
    Route("GET", "/charges", ChargeListParams, list_charges, "list:charge"),
    Route("GET", "/charges/{id}", ChargeRetrieveParams, retrieve_charge, "charge"),
    Route(
        "GET",
        "/balance_transactions",
        BalanceTransactionListParams,
        list_transactions,
        "list:balance_transaction",
    ),
    Route(
        "GET",
        "/balance_transactions/{id}",
        BalanceTransactionRetrieveParams,
        retrieve_transaction,
        "balance_transaction",
    ),
)
