"""Test clocks."""

from stripe.params.test_helpers import (
    TestClockAdvanceParams,
    TestClockCreateParams,
    TestClockDeleteParams,
    TestClockListParams,
    TestClockRetrieveParams,
)

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.lists import list_objects
from infra.local.stripe_local.errors import not_simulated
from infra.local.stripe_local.events import emit
from infra.local.stripe_local.flows import subscriptions, time_travel
from infra.local.stripe_local.objects.test_clocks import test_clock

_KIND = "test_helpers.test_clock"


def create(call: Call) -> Json:
    """POST /v1/test_helpers/test_clocks."""
    if "customer" in call.params:
        raise not_simulated("customer")
    clock = call.account.add(
        test_clock(
            call.account.new_id(_KIND),
            created=call.account.now(),
            frozen_time=call.params["frozen_time"],
            name=call.params.get("name"),
        )
    )
    emit(call.account, f"{_KIND}.created", clock, cause=call.cause)
    return clock


def retrieve(call: Call) -> Json:
    """GET /v1/test_helpers/test_clocks/{id}."""
    return call.account.get(_KIND, call.id)


def list_all(call: Call) -> Json:
    """GET /v1/test_helpers/test_clocks."""
    return list_objects(call, _KIND)


def advance(call: Call) -> Json:
    """POST /v1/test_helpers/test_clocks/{id}/advance: done before it is answered."""
    return time_travel.advance_clock(call.account, retrieve(call), call.params["frozen_time"])


def delete(call: Call) -> Json:
    """DELETE /v1/test_helpers/test_clocks/{id}: its subscriptions end, its jobs are dropped."""
    account, clock = call.account, retrieve(call)
    with account.on_clock_of({"test_clock": clock["id"]}):
        for subscription in list(account.each("subscription")):
            on_it = subscription["test_clock"] == clock["id"]
            if on_it and subscription["status"] not in subscriptions.ENDED:
                subscriptions.cancel(account, subscription, call.cause)
    jobs = account.state.jobs
    jobs[:] = [job for job in jobs if job.get("test_clock") != clock["id"]]
    account.remove(clock["id"])
    emit(account, f"{_KIND}.deleted", clock, cause=call.cause)
    return {"id": clock["id"], "object": _KIND, "deleted": True}


_PATH = "/test_helpers/test_clocks"
ROUTES = (
    Route("POST", _PATH, TestClockCreateParams, create, _KIND),
    Route("GET", _PATH, TestClockListParams, list_all, f"list:{_KIND}"),
    Route("GET", f"{_PATH}/{{id}}", TestClockRetrieveParams, retrieve, _KIND),
    Route("POST", f"{_PATH}/{{id}}/advance", TestClockAdvanceParams, advance, _KIND),
    Route("DELETE", f"{_PATH}/{{id}}", TestClockDeleteParams, delete, _KIND),
)
