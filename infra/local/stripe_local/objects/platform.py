"""Events, webhook endpoints and lists."""

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]


def listing(data: Iterable[Json], *, url: str, has_more: bool = False) -> Json:
    """A `list`."""
    return {"object": "list", "data": list(data), "has_more": has_more, "url": url}


def event(
    event_id: str,
    *,
    kind: str,
    obj: Json,
    previous: Json | None,
    created: int,
    api_version: str,
    pending_webhooks: int,
    request_id: str | None,
    idempotency_key: str | None,
) -> Json:
    """An `event`. `previous`: for `*.updated`, the changed fields as they were."""
    data: Json = {"object": obj}
    if previous is not None:
        data["previous_attributes"] = previous
    return {
        "id": event_id,
        "object": "event",
        "api_version": api_version,
        "created": created,
        "data": data,
        "livemode": False,
        "pending_webhooks": pending_webhooks,
        "request": {"id": request_id, "idempotency_key": idempotency_key},
        "type": kind,
    }


def webhook_endpoint(
    endpoint_id: str,
    *,
    url: str,
    enabled_events: list[str],
    created: int,
    api_version: str | None = None,
    description: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Json:
    """A `webhook_endpoint`, without the `secret` that only its creation answers."""
    return {
        "id": endpoint_id,
        "object": "webhook_endpoint",
        "api_version": api_version,
        "application": None,
        "created": created,
        "description": description,
        "enabled_events": enabled_events,
        "livemode": False,
        "metadata": metadata or {},
        "status": "enabled",
        "url": url,
    }
