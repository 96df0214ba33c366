"""Disputes and early fraud warnings."""

from stripe.params import (
    DisputeCloseParams,
    DisputeListParams,
    DisputeRetrieveParams,
    DisputeUpdateParams,
)
from stripe.params.radar import EarlyFraudWarningListParams, EarlyFraudWarningRetrieveParams

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.lists import list_objects
from infra.local.stripe_local.errors import not_simulated
from infra.local.stripe_local.flows import disputes
from infra.local.stripe_local.metadata import merge_metadata

_FIELDS = frozenset({"evidence", "metadata", "submit"})
_NOT_EVIDENCE = frozenset({"appeal", "enhanced_evidence"})


def retrieve(call: Call) -> Json:
    """GET /v1/disputes/{id}."""
    return call.account.get("dispute", call.id)


def list_all(call: Call) -> Json:
    """GET /v1/disputes."""
    return list_objects(call, "dispute", equal=("charge", "payment_intent"))


def update(call: Call) -> Json:
    """POST /v1/disputes/{id}: `winning_evidence` and `losing_evidence` decide it."""
    for name in call.params:
        if name not in _FIELDS:
            raise not_simulated(name)
    for name in call.params.get("evidence", {}):
        if name in _NOT_EVIDENCE:
            raise not_simulated(f"evidence[{name}]")
    dispute = retrieve(call)
    fields = dict(call.params)
    if "metadata" in fields:
        fields["metadata"] = merge_metadata(dispute["metadata"], fields["metadata"])
    return disputes.update_dispute(call.account, dispute, fields, call.cause)


def close(call: Call) -> Json:
    """POST /v1/disputes/{id}/close: the merchant accepts it."""
    return disputes.close(call.account, retrieve(call), call.cause)


def retrieve_warning(call: Call) -> Json:
    """GET /v1/radar/early_fraud_warnings/{id}."""
    return call.account.get("radar.early_fraud_warning", call.id)


def list_warnings(call: Call) -> Json:
    """GET /v1/radar/early_fraud_warnings."""
    return list_objects(call, "radar.early_fraud_warning", equal=("charge", "payment_intent"))


_WARNINGS = "/radar/early_fraud_warnings"
ROUTES = (
    Route("GET", "/disputes", DisputeListParams, list_all, "list:dispute"),
    Route("GET", "/disputes/{id}", DisputeRetrieveParams, retrieve, "dispute"),
    Route("POST", "/disputes/{id}", DisputeUpdateParams, update, "dispute"),
    Route("POST", "/disputes/{id}/close", DisputeCloseParams, close, "dispute"),
    Route(
        "GET",
        _WARNINGS,
        EarlyFraudWarningListParams,
        list_warnings,
        "list:radar.early_fraud_warning",
    ),
    Route(
        "GET",
        f"{_WARNINGS}/{{id}}",
        EarlyFraudWarningRetrieveParams,
        retrieve_warning,
        "radar.early_fraud_warning",
    ),
)
