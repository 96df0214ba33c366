"""Customers."""

from stripe.params import (
    CustomerCreateParams,
    CustomerDeleteParams,
    CustomerListParams,
    CustomerRetrieveParams,
    CustomerUpdateParams,
)

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.lists import list_objects
from infra.local.stripe_local.errors import StripeError, not_simulated
from infra.local.stripe_local.events import changed, emit
from infra.local.stripe_local.flows import subscriptions
from infra.local.stripe_local.flows.customers import create_customer
from infra.local.stripe_local.flows.subscriptions import ENDED
from infra.local.stripe_local.metadata import merge_metadata
from infra.local.stripe_local.objects.customers import empty_address
from infra.local.stripe_local.words import words

_FIELDS = words(
    """
    address description email invoice_settings metadata name phone preferred_locales tax_exempt
    """
)


def _check(call: Call, *more: str) -> None:
    for name in call.params:
        if name not in _FIELDS and name not in more:
            raise not_simulated(name)
    for name in call.params.get("invoice_settings", {}):
        if name != "default_payment_method":
            raise not_simulated(f"invoice_settings[{name}]")
    clock = call.params.get("test_clock")
    if clock is not None:
        call.account.get("test_helpers.test_clock", clock, param="test_clock", status=400)


def create(call: Call) -> Json:
    """POST /v1/customers."""
    _check(call, "test_clock")
    fields = _unset_empty(call.params)
    with call.account.on_clock_of(fields):
        return create_customer(call.account, fields, call.cause)


def _unset_empty(fields: Json) -> Json:
    return {name: None if value == "" else value for name, value in fields.items()}


def retrieve(call: Call) -> Json:
    """GET /v1/customers/{id}."""
    if call.id in call.account.state.deleted:
        return call.account.state.deleted[call.id]
    return call.account.get("customer", call.id)


def delete(call: Call) -> Json:
    """DELETE /v1/customers/{id}: subscriptions end, and only the id is left, as `deleted`."""
    account = call.account
    customer = account.get("customer", call.id)
    with account.on_clock_of(customer):
        for subscription in list(account.each("subscription")):
            if subscription["customer"] == call.id and subscription["status"] not in ENDED:
                subscriptions.cancel(account, subscription, call.cause)
        emit(account, "customer.deleted", customer, cause=call.cause)
    account.remove(call.id)
    answer: Json = {"id": call.id, "object": "customer", "deleted": True}
    account.state.deleted[call.id] = answer
    return answer


def update(call: Call) -> Json:
    """POST /v1/customers/{id}: metadata is merged, an empty value unsets."""
    _check(call)
    customer = call.account.get("customer", call.id)
    before = call.account.snapshot(customer)
    fields = dict(call.params)
    if "metadata" in fields:
        customer["metadata"] = merge_metadata(customer["metadata"], fields.pop("metadata"))
    if fields.get("address"):
        fields["address"] = empty_address() | (customer["address"] or {}) | fields["address"]
    if "invoice_settings" in fields:
        customer["invoice_settings"] |= _default_method(call, fields.pop("invoice_settings"))
    if fields.get("tax_exempt") == "":
        fields["tax_exempt"] = "none"
    customer |= _unset_empty(fields)
    previous = changed(before, customer)
    if previous:
        emit(call.account, "customer.updated", customer, cause=call.cause, previous=previous)
    return customer


def _default_method(call: Call, settings: Json) -> Json:
    method_id = settings.get("default_payment_method") or None
    if method_id is not None:
        param = "invoice_settings[default_payment_method]"
        method = call.account.get("payment_method", method_id, param=param, status=400)
        if method["customer"] != call.id:
            raise StripeError(
                f"The customer does not have a payment method with the ID {method_id}.",
                code="resource_missing",
                param=param,
            )
    return {"default_payment_method": method_id}


def list_all(call: Call) -> Json:
    """GET /v1/customers."""
    return list_objects(call, "customer", equal=("email", "test_clock"))


ROUTES = (
    Route("POST", "/customers", CustomerCreateParams, create, "customer"),
    Route("GET", "/customers", CustomerListParams, list_all, "list:customer"),
    Route("GET", "/customers/{id}", CustomerRetrieveParams, retrieve, "customer"),
    Route("DELETE", "/customers/{id}", CustomerDeleteParams, delete, "customer"),
    Route("POST", "/customers/{id}", CustomerUpdateParams, update, "customer"),
)
