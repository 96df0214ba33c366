"""Events: what happened, and which webhook endpoints want to hear of it."""

from infra.local.stripe_local.account import Account, Cause, Json
from infra.local.stripe_local.objects import platform
from infra.local.stripe_local.version import API_VERSION

_UNCAUSED = Cause()


def emit(
    account: Account,
    kind: str,
    obj: Json,
    *,
    cause: Cause = _UNCAUSED,
    previous: Json | None = None,
) -> Json:
    """Record that `kind` happened to `obj`, as it is now, and queue its webhooks."""
    event = account.add(
        platform.event(
            account.new_id("event"),
            kind=kind,
            obj=account.snapshot(obj),
            previous=previous,
            created=account.now(),
            api_version=API_VERSION,
            pending_webhooks=0,
            request_id=cause.request_id,
            idempotency_key=cause.idempotency_key,
        )
    )
    send(account, event)
    return event


def send(account: Account, event: Json) -> list[Json]:
    """Queue one delivery of `event` to each endpoint that enabled its type."""
    queued = [
        _queue(account, event, endpoint)
        for endpoint in account.each("webhook_endpoint")
        if wants(endpoint, event["type"])
    ]
    event["pending_webhooks"] += len(queued)
    account.stir()
    return queued


def wants(endpoint: Json, kind: str) -> bool:
    """Say whether a webhook endpoint takes events of that type now."""
    enabled = endpoint["enabled_events"]
    return bool(endpoint["status"] == "enabled" and ("*" in enabled or kind in enabled))


def _queue(account: Account, event: Json, endpoint: Json) -> Json:
    delivery: Json = {
        "id": f"delivery_{len(account.state.deliveries) + 1}",
        "event": event["id"],
        "endpoint": endpoint["id"],
        "status": "pending",
        "attempts": [],
    }
    account.state.deliveries[delivery["id"]] = delivery
    return delivery


def changed(before: Json, after: Json) -> Json:
    """Return `previous_attributes`: the top-level fields that differ, as they were."""
    return {key: value for key, value in before.items() if after.get(key) != value}
