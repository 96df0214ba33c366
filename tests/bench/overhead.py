"""What Python adds to a check: the whole handler against its script called bare."""

from collections.abc import Iterator
from functools import partial
from itertools import count
from random import Random

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.scripts import script as load_script
from tollkeeper_core.domain.periods import cutoffs, periods_at

from tests.bench.findings import Finding, milliseconds
from tests.bench.functions import Functions
from tests.bench.scale import Scale
from tests.bench.timing import Cost, Spread, Turn, race, wall, wall_ratio
from tests.bench.world import CONFIG, HOLD_MS, HOLD_NANO, NOW_MS, World

SECTION = "What Python adds to a check"


def measure(world: World, functions: Functions, scale: Scale, rng: Random) -> Iterator[Finding]:
    """Handler's start to its end, the store's method, and one bare EVALSHA of the same script."""
    contenders = {
        "handler": _handler(world, functions, scale),
        "store": _store(world, scale),
        "bare": _bare(world, scale),
        "get": _get(world, scale),
    }
    costs = race(contenders, scale.rounds, rng)
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


def _handler(world: World, functions: Functions, scale: Scale) -> Turn:
    def turn() -> Cost:
        events = [functions.check_event("overhead handler") for _ in range(scale.operations)]
        return world.cost_of([partial(functions.check, event) for event in events])

    return turn


def _store(world: World, scale: Scale) -> Turn:
    return lambda: world.cost_of([lambda: world.check("overhead store")] * scale.operations)


def _bare(world: World, scale: Scale) -> Turn:
    code, names = load_script("reserve"), count()
    periods = periods_at(CONFIG.settings.calendar, NOW_MS)
    user = "overhead bare"

    def call() -> None:
        reservation = f"bare_{next(names)}"
        world.client.evalsha(
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
