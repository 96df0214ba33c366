"""The webhook endpoint at Stripe: registered once, found again on every later run."""

from typing import TYPE_CHECKING, cast

import stripe

if TYPE_CHECKING:
    from stripe.params import WebhookEndpointCreateParams

# What functions/stripe_webhook acts on: purchases that were paid, at once or later, what was given
# back of them or is in dispute, and the subscriptions that give a tier.
EVENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "radar.early_fraud_warning.created",
    "radar.early_fraud_warning.updated",
    "invoice.paid",
    "invoice.payment_failed",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.deleted",
)
DESCRIPTION = "Tollkeeper"


def register_webhook(client: stripe.StripeClient, url: str) -> str | None:
    """Register ``url`` for Tollkeeper's events; answer the signing secret if an endpoint was made.

    An endpoint that has this URL and the pinned API version is kept, enabled, and given the events
    it lacks; Stripe shows its secret to nobody again, hence None. One with another API version is
    replaced: the version of an endpoint cannot be changed. Raises stripe.StripeError.
    """
    old = [endpoint for endpoint in _endpoints(client) if endpoint.url == url]
    for endpoint in old:
        if endpoint.api_version == stripe.api_version:
            _bring_up_to_date(client, endpoint)
            return None
    return _replace(client, url, old)


def replace_webhook(client: stripe.StripeClient, url: str) -> str:
    """Make a new endpoint for ``url`` in place of any other; answer its signing secret.

    For a secret that was lost. Raises stripe.StripeError.
    """
    return _replace(client, url, [e for e in _endpoints(client) if e.url == url])


def disable_webhook(client: stripe.StripeClient, url: str) -> list[str]:
    """Have Stripe send no more events to ``url``; answer the endpoints' ids. It stays in the list.

    ``register_webhook`` enables it again. Raises stripe.StripeError.
    """
    found = [endpoint for endpoint in _endpoints(client) if endpoint.url == url]
    for endpoint in found:
        if endpoint.status == "enabled":
            client.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    return [endpoint.id for endpoint in found]


def _replace(client: stripe.StripeClient, url: str, old: list[stripe.WebhookEndpoint]) -> str:
    # The new one first: no event falls between the two, and one that reaches both is applied once.
    secret = _create(client, url)
    for endpoint in old:
        client.v1.webhook_endpoints.delete(endpoint.id)
    return secret


def _endpoints(client: stripe.StripeClient) -> list[stripe.WebhookEndpoint]:
    return list(client.v1.webhook_endpoints.list({"limit": 100}).auto_paging_iter())


def _bring_up_to_date(client: stripe.StripeClient, endpoint: stripe.WebhookEndpoint) -> None:
    if endpoint.status == "enabled" and set(endpoint.enabled_events) >= set(EVENTS):
        return
    events = sorted({*endpoint.enabled_events, *EVENTS})
    client.v1.webhook_endpoints.update(
        endpoint.id,
        cast(
            "stripe.params.WebhookEndpointUpdateParams",
            {"enabled_events": events, "disabled": False},
        ),
    )


def _create(client: stripe.StripeClient, url: str) -> str:
    # The types list every version and event as literals; the version comes from the package itself.
    params = cast(
        "WebhookEndpointCreateParams",
        {
            "url": url,
            "enabled_events": list(EVENTS),
            "api_version": stripe.api_version,
            "description": DESCRIPTION,
        },
    )
    endpoint = client.v1.webhook_endpoints.create(params)
    if endpoint.secret is None:
        raise stripe.APIError("Stripe made the webhook endpoint but did not answer its secret")
    return endpoint.secret
