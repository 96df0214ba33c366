"""Refunds."""

from stripe.params import (
    RefundCreateParams,
    RefundListParams,
    RefundRetrieveParams,
    RefundUpdateParams,
)

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.lists import list_objects
from infra.local.stripe_local.errors import StripeError, missing_param, not_simulated
from infra.local.stripe_local.events import changed, emit
from infra.local.stripe_local.flows.refunds import create_refund
from infra.local.stripe_local.metadata import merge_metadata
from infra.local.stripe_local.words import words

_FIELDS = words("amount charge metadata payment_intent reason")


def create(call: Call) -> Json:
    """POST /v1/refunds: of a charge, or of the charge that a payment intent ended with."""
    for name in call.params:
        if name not in _FIELDS:
            raise not_simulated(name)
    charge = _charge(call)
    with call.account.on_clock_of(call.account.find(charge["customer"])):
        return create_refund(
            call.account, charge, call.params.get("amount"), call.params, call.cause
        )


def _charge(call: Call) -> Json:
    charge_id, intent_id = call.params.get("charge"), call.params.get("payment_intent")
    if charge_id and intent_id:
        charge = call.account.get("charge", charge_id, param="charge", status=400)
        if charge["payment_intent"] != intent_id:
            raise StripeError(
                f"The charge {charge_id} does not belong to the PaymentIntent {intent_id}.",
                param="charge",
            )
        return charge
    if charge_id:
        return call.account.get("charge", charge_id, param="charge", status=400)
    if not intent_id:
        raise missing_param("payment_intent")
    intent = call.account.get("payment_intent", intent_id, param="payment_intent", status=400)
    if intent["status"] != "succeeded":
        raise StripeError(
            f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.",
            param="payment_intent",
        )
    return call.account.get("charge", intent["latest_charge"])


def retrieve(call: Call) -> Json:
    """GET /v1/refunds/{id}."""
    return call.account.get("refund", call.id)


def update(call: Call) -> Json:
    """POST /v1/refunds/{id}: its metadata, and nothing else."""
    refund = retrieve(call)
    before = call.account.snapshot(refund)
    if "metadata" in call.params:
        refund["metadata"] = merge_metadata(refund["metadata"], call.params["metadata"])
    previous = changed(before, refund)
    if previous:
        for kind in ("refund.updated", "charge.refund.updated"):
            emit(call.account, kind, refund, cause=call.cause, previous=previous)
    return refund


def list_all(call: Call) -> Json:
    """GET /v1/refunds."""
    return list_objects(call, "refund", equal=("charge", "payment_intent"))


ROUTES = (
    Route("POST", "/refunds", RefundCreateParams, create, "refund"),
    Route("GET", "/refunds", RefundListParams, list_all, "list:refund"),
    Route("GET", "/refunds/{id}", RefundRetrieveParams, retrieve, "refund"),
    Route("POST", "/refunds/{id}", RefundUpdateParams, update, "refund"),
)
