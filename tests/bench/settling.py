"""Settle throughput in batches against one by one: what a batch saves of each request."""

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from functools import partial
from random import Random

from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.movements import Settle

from tests.bench.findings import Finding, Target, counted, milliseconds
from tests.bench.functions import Functions
from tests.bench.scale import Scale
from tests.bench.timing import Cost, Race, Turn, race, wall, wall_ratio
from tests.bench.world import NOW_MS, World, distant

SECTION = "Settling in batches against one by one"
TARGET = Target(8, at_least=True)
BATCHES = (10, 25, 50)
#: Lambda and Upstash in one region (upstash.com/blog/edge-caching-benchmark: "1 ms").
ROUND_TRIP_MS = 1
_USERS = 50
#: For how many requests are counted: full batches of every size.
_COUNTED = 50


def measure(world: World, functions: Functions, scale: Scale, rng: Random) -> Iterator[Finding]:
    """The store alone, the same with a network before it, and the whole consumer."""
    events = scale.events

    def sizes(turn: Callable[[int], Turn]) -> Race:
        return race({str(size): turn(size) for size in (1, *BATCHES)}, scale.rounds, rng)

    store = sizes(lambda size: _store_turn(world, world.store, size, events))
    yield from _findings("store, no network", store)
    far = distant(world, ROUND_TRIP_MS)
    remote = sizes(lambda size: _store_turn(world, far, size, events))
    yield from _findings(f"store, {ROUND_TRIP_MS} ms away", remote)
    consumer = sizes(lambda size: _consumer_turn(world, functions, size, events))
    yield from _findings("consumer and archive", consumer)
    for size in (1, *BATCHES):
        what = f"HTTP requests for {_COUNTED} events, {size} at a time"
        yield Finding(SECTION, what, counted(_requests(world, size, _COUNTED)), "requests")


def _findings(what: str, costs: Race) -> Iterator[Finding]:
    one = wall(costs["1"])
    for size in BATCHES:
        many = costs[str(size)]
        yield Finding(
            SECTION,
            f"{what}: {size} at a time",
            wall_ratio(costs["1"], many),
            "×",
            f"{milliseconds(wall(many))} an event against {milliseconds(one)}",
            TARGET,
            "settle",
        )


def _store_turn(world: World, store: RedisStore, size: int, events: int) -> Turn:
    def turn() -> Cost:
        batches = _batches(world, size, events)
        return world.throughput([partial(world.settle, batch, store) for batch in batches], events)

    return turn


def _consumer_turn(world: World, functions: Functions, size: int, events: int) -> Turn:
    def turn() -> Cost:
        messages = [
            functions.messages([(r.user_id, r.event_id, r.reservation_id) for r in batch])
            for batch in _batches(world, size, events, time.time_ns() // 1_000_000)
        ]
        # Lambda's metrics go to standard output, one line an invocation.
        with contextlib.redirect_stdout(io.StringIO()):
            return world.throughput(
                [partial(functions.settle, message) for message in messages], events
            )

    return turn


def _requests(world: World, size: int, events: int) -> int:
    def settle() -> None:
        for batch in batches:
            world.settle(batch)

    batches = _batches(world, size, events)
    return world.http_requests(settle)


def _batches(world: World, size: int, events: int, now_ms: int = NOW_MS) -> list[list[Settle]]:
    """New calls of several users, checked already. The consumer goes by the real clock."""
    users = [f"settling-{n % _USERS}" for n in range(events)]
    usage = [world.usage(user, world.check(user, now_ms).reservation_id, now_ms) for user in users]
    return [usage[first : first + size] for first in range(0, events, size)]
