"""Events."""

from stripe.params import EventListParams, EventRetrieveParams

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.lists import list_objects


def retrieve(call: Call) -> Json:
    """GET /v1/events/{id}."""
    return call.account.get("event", call.id)


def list_all(call: Call) -> Json:
    """GET /v1/events: by `type` (a trailing `*` matches the rest), `types`, `delivery_success`."""
    kind, kinds = call.params.get("type"), call.params.get("types")
    delivered = call.params.get("delivery_success")

    def keep(event: Json) -> bool:
        if kind is not None and not _matches(event["type"], kind):
            return False
        if kinds is not None and event["type"] not in kinds:
            return False
        return delivered is None or delivered == _delivered(call, event)

    return list_objects(call, "event", keep=keep, handled=("type", "types", "delivery_success"))


def _matches(kind: str, pattern: str) -> bool:
    return kind.startswith(pattern[:-1]) if pattern.endswith("*") else kind == pattern


def _delivered(call: Call, event: Json) -> bool:
    """Say whether every webhook of the event got through."""
    return all(
        delivery["status"] == "succeeded"
        for delivery in call.account.state.deliveries.values()
        if delivery["event"] == event["id"]
    )


ROUTES = (
    Route("GET", "/events", EventListParams, list_all, "list:event"),
    Route("GET", "/events/{id}", EventRetrieveParams, retrieve, "event"),
)
