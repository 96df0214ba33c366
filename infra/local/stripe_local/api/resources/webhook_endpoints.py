"""Webhook endpoints."""

from stripe.params import (
    WebhookEndpointCreateParams,
    WebhookEndpointDeleteParams,
    WebhookEndpointListParams,
    WebhookEndpointRetrieveParams,
    WebhookEndpointUpdateParams,
)

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.lists import list_objects
from infra.local.stripe_local.api.urls import check_url
from infra.local.stripe_local.errors import not_simulated
from infra.local.stripe_local.metadata import merge_metadata
from infra.local.stripe_local.objects.platform import webhook_endpoint
from infra.local.stripe_local.version import API_VERSION


def create(call: Call) -> Json:
    """POST /v1/webhook_endpoints: the only answer that carries the `secret`."""
    fields = call.params
    if fields.get("connect"):
        raise not_simulated("connect")
    if fields.get("api_version", API_VERSION) != API_VERSION:
        raise not_simulated(f"api_version={fields['api_version']}")
    check_url("url", fields.get("url"))
    secret = call.account.mint("webhook_secret")
    endpoint = call.account.add(
        webhook_endpoint(
            call.account.new_id("webhook_endpoint"),
            url=fields["url"],
            enabled_events=fields["enabled_events"],
            created=call.account.now(),
            api_version=fields.get("api_version"),
            description=fields.get("description") or None,
            metadata=fields.get("metadata") or {},
        ),
        secret=secret,
    )
    return endpoint | {"secret": secret}


def retrieve(call: Call) -> Json:
    """GET /v1/webhook_endpoints/{id}."""
    return call.account.get("webhook_endpoint", call.id, param="webhook_endpoint")


def list_all(call: Call) -> Json:
    """GET /v1/webhook_endpoints."""
    return list_objects(call, "webhook_endpoint")


def update(call: Call) -> Json:
    """POST /v1/webhook_endpoints/{id}."""
    endpoint = retrieve(call)
    fields = call.params
    check_url("url", fields.get("url"))
    for name in ("url", "enabled_events"):
        if name in fields:
            endpoint[name] = fields[name]
    if "description" in fields:
        endpoint["description"] = fields["description"] or None
    if "metadata" in fields:
        endpoint["metadata"] = merge_metadata(endpoint["metadata"], fields["metadata"])
    if "disabled" in fields:
        endpoint["status"] = "disabled" if fields["disabled"] else "enabled"
    return endpoint


def delete(call: Call) -> Json:
    """DELETE /v1/webhook_endpoints/{id}."""
    endpoint = retrieve(call)
    call.account.remove(endpoint["id"])
    return {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}


_PATH = "/webhook_endpoints"
ROUTES = (
    Route("POST", _PATH, WebhookEndpointCreateParams, create, "webhook_endpoint"),
    Route("GET", _PATH, WebhookEndpointListParams, list_all, "list:webhook_endpoint"),
    Route("GET", f"{_PATH}/{{id}}", WebhookEndpointRetrieveParams, retrieve, "webhook_endpoint"),
    Route("POST", f"{_PATH}/{{id}}", WebhookEndpointUpdateParams, update, "webhook_endpoint"),
    Route("DELETE", f"{_PATH}/{{id}}", WebhookEndpointDeleteParams, delete, "webhook_endpoint"),
)
