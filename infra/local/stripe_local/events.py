"""Events: what happened, and which webhook endpoints want to hear of it."""

from infra.local.stripe_local.account import Account, Cause, Json
from infra.local.stripe_local.chaos import chaos_of
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
    _send_first(account, event)
    return event


def _send_first(account: Account, event: Json) -> None:
    """Queue the event's deliveries as the account's chaos has it."""
    chaos = chaos_of(account)
    for endpoint in _takers(account, event):
        waits = chaos.waits(len(account.state.deliveries) + 1)
        for wait_s in waits:
            _queue(account, event, endpoint, wait_s)
        if not waits:
            _queue(account, event, endpoint, 0.0)["status"] = "dropped"
            event["pending_webhooks"] -= 1
    account.stir()


def send(account: Account, event: Json) -> list[Json]:
    """Queue one more delivery of `event` to each endpoint that enabled its type."""
    queued = [_queue(account, event, endpoint, 0.0) for endpoint in _takers(account, event)]
    account.stir()
    return queued


def _takers(account: Account, event: Json) -> list[Json]:
    endpoints = account.each("webhook_endpoint")
    return [endpoint for endpoint in endpoints if wants(endpoint, event["type"])]


def wants(endpoint: Json, kind: str) -> bool:
    """Say whether a webhook endpoint takes events of that type now."""
    enabled = endpoint["enabled_events"]
    return bool(endpoint["status"] == "enabled" and ("*" in enabled or kind in enabled))


def _queue(account: Account, event: Json, endpoint: Json, wait_s: float) -> Json:
    event["pending_webhooks"] += 1
    delivery: Json = {
        "id": f"delivery_{len(account.state.deliveries) + 1}",
        "event": event["id"],
        "endpoint": endpoint["id"],
        "status": "pending",
        "attempts": [],
        # By the clock on the wall, as all that goes over the wire.
        "due": account.real_clock() + wait_s,
    }
    account.state.deliveries[delivery["id"]] = delivery
    return delivery


def changed(before: Json, after: Json) -> Json:
    """Return `previous_attributes`: the top-level fields that differ, as they were."""
    return {key: value for key, value in before.items() if after.get(key) != value}
