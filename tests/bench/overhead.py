"""What Python adds to a check: the whole handler against its script called bare."""

from collections.abc import Iterator
from functools import partial
from itertools import count
from random import Random

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.scripts import script as load_script
from tollkeeper_core.domain.periods import cutoffs, periods_at
from upstash_ratelimit import FixedWindow, Ratelimit
from upstash_redis import Redis

from tests.bench.findings import Finding, Target, milliseconds
from tests.bench.functions import Functions
from tests.bench.scale import Scale
from tests.bench.timing import Cost, Race, Spread, Turn, race, wall, wall_ratio
from tests.bench.world import CONFIG, HOLD_MS, HOLD_NANO, NOW_MS, World

SECTION = "What Python adds to a check"
STOCK = Target(0.8)


def measure(world: World, functions: Functions, scale: Scale, rng: Random) -> Iterator[Finding]:
    """Handler's start to its end, the store's method, and one bare EVALSHA of the same script."""
    contenders = {
        "handler": _handler(world, functions, scale),
        "store": _store(world, scale),
        "bare": _bare(world, scale),
        "get": _get(world, scale),
    }
    with Redis(world.url, world.token, rest_retries=0, allow_telemetry=False) as stock:
        contenders["stock"] = _bare(world, scale, stock, "overhead stock")
        contenders["ratelimit"] = _ratelimit(world, scale, stock)
        costs = race(contenders, scale.rounds, rng)
    yield from _against_the_stock_client(costs)
    bare = milliseconds(wall(costs["bare"]))
    for name, what in (("handler", "intercept's handler"), ("store", "the store's reserve")):
        times = f"{milliseconds(wall(costs[name]))} against {bare}"
        ratio = wall_ratio(costs[name], costs["bare"])
        yield Finding(SECTION, f"{what} against a bare EVALSHA", ratio, "×", times)
    added = [
        (a.wall_us - b.wall_us) / 1_000
        for a, b in zip(costs["handler"], costs["bare"], strict=True)
    ]
    yield Finding(
        SECTION, "the handler's own time", Spread.of(added), "ms", "its difference to that"
    )
    inside = f"{wall(costs['bare']).median / 1_000:.2f} ms of which "
    inside += f"{sum(c.script_us for c in costs['bare']) / len(costs['bare']):.0f} µs in the script"
    ratio = wall_ratio(costs["bare"], costs["get"])
    yield Finding(SECTION, "a bare EVALSHA against a GET", ratio, "×", inside)


def _against_the_stock_client(costs: Race) -> Iterator[Finding]:
    """The whole check, from the handler's start to its end, against what a user would take else."""
    handler = milliseconds(wall(costs["handler"]))
    for name, what in (
        ("stock", "one bare EVALSHA of the same script by upstash-redis"),
        ("ratelimit", "limit() of upstash-ratelimit, a counter for one window"),
    ):
        times = f"{handler} against {milliseconds(wall(costs[name]))}"
        ratio = wall_ratio(costs["handler"], costs[name])
        yield Finding(SECTION, f"intercept's handler against {what}", ratio, "×", times, STOCK)


def _ratelimit(world: World, scale: Scale, redis: Redis) -> Turn:
    limit = Ratelimit(redis, FixedWindow(max_requests=10**9, window=86_400)).limit

    def call() -> None:
        if not limit("overhead").allowed:
            raise RuntimeError("the rate limit was met")

    return lambda: world.cost_of([call] * scale.operations)


def _handler(world: World, functions: Functions, scale: Scale) -> Turn:
    def turn() -> Cost:
        events = [functions.check_event("overhead handler") for _ in range(scale.operations)]
        return world.cost_of([partial(functions.check, event) for event in events])

    return turn


def _store(world: World, scale: Scale) -> Turn:
    return lambda: world.cost_of([lambda: world.check("overhead store")] * scale.operations)


def _bare(
    world: World, scale: Scale, client: Redis | None = None, user: str = "overhead bare"
) -> Turn:
    code, names = load_script("reserve"), count()
    periods = periods_at(CONFIG.settings.calendar, NOW_MS)
    evalsha = (client or world.client).evalsha

    def call() -> None:
        reservation = f"bare_{next(names)}"
        evalsha(
            code.sha1,
            [keys.CONFIG, keys.user(user), keys.holds(user), keys.reservation(user, reservation)],
            [
                *(world.version, str(NOW_MS), str(HOLD_NANO), reservation, str(NOW_MS + HOLD_MS)),
                *("", *periods.ids, *cutoffs(NOW_MS)),
                *(str(keys.ADMITTED_S), str(keys.REFUSED_S), str(keys.IDLE_USER_S)),
            ],
        )

    return lambda: world.cost_of([call] * scale.operations)


def _get(world: World, scale: Scale) -> Turn:
    def call() -> None:
        world.client.get("nothing")

    return lambda: world.cost_of([call] * scale.operations)
