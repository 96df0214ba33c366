"""Customers."""

from stripe.params import (
    CustomerCreateParams,
    CustomerListParams,
    CustomerRetrieveParams,
    CustomerUpdateParams,
)

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.lists import list_objects
from infra.local.stripe_local.errors import not_simulated
from infra.local.stripe_local.events import changed, emit
from infra.local.stripe_local.flows.billing import merge_metadata
from infra.local.stripe_local.flows.checkout import create_customer
from infra.local.stripe_local.objects.customers import empty_address
from infra.local.stripe_local.words import words

_FIELDS = words("address description email metadata name phone preferred_locales tax_exempt")


def _check(call: Call) -> None:
    for name in call.params:
        if name not in _FIELDS:
            raise not_simulated(name)


def create(call: Call) -> Json:
    """POST /v1/customers."""
    _check(call)
    return create_customer(call.account, _unset_empty(call.params), call.cause)


def _unset_empty(fields: Json) -> Json:
    return {name: None if value == "" else value for name, value in fields.items()}


def retrieve(call: Call) -> Json:
    """GET /v1/customers/{id}."""
    return call.account.get("customer", call.id)


def update(call: Call) -> Json:
    """POST /v1/customers/{id}: metadata is merged, an empty value unsets."""
    _check(call)
    customer = retrieve(call)
    before = call.account.snapshot(customer)
    fields = dict(call.params)
    if "metadata" in fields:
        customer["metadata"] = merge_metadata(customer["metadata"], fields.pop("metadata"))
    if fields.get("address"):
        fields["address"] = empty_address() | (customer["address"] or {}) | fields["address"]
    if fields.get("tax_exempt") == "":
        fields["tax_exempt"] = "none"
    customer |= _unset_empty(fields)
    previous = changed(before, customer)
    if previous:
        emit(call.account, "customer.updated", customer, cause=call.cause, previous=previous)
    return customer


def list_all(call: Call) -> Json:
    """GET /v1/customers."""
    return list_objects(call, "customer", equal=("email",))


ROUTES = (
    Route("POST", "/customers", CustomerCreateParams, create, "customer"),
    Route("GET", "/customers", CustomerListParams, list_all, "list:customer"),
    Route("GET", "/customers/{id}", CustomerRetrieveParams, retrieve, "customer"),
    Route("POST", "/customers/{id}", CustomerUpdateParams, update, "customer"),
)
