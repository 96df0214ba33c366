"""What a check costs as users, one user's open holds and one user's lots grow."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from random import Random

from tests.bench.findings import Finding, Target, milliseconds
from tests.bench.scale import Scale
from tests.bench.timing import (
    Cost,
    Race,
    Spread,
    Turn,
    race,
    script,
    script_ratio,
    timed_us,
    wall,
    wall_ratio,
)
from tests.bench.users import Life, buy, fill, name_of
from tests.bench.world import HOLD_MS, NOW_MS, World, open_world

SECTION = "A check as things grow"
TARGET = Target(1.5)
#: Of ten users one buys; a million of them fill two gigabytes.
_FREE = Life("free", calls_a_day=1)
_PAYING = Life("paying", calls_a_day=1, lots=2)
_PAYING_EVERY = 10


def measure(world: World, scale: Scale, rng: Random) -> Iterator[Finding]:
    """``world`` serves the holds and lots; the users get two worlds of their own."""
    with open_world() as small, open_world() as large:
        users = (scale.few_users, scale.many_users)
        populate(small, users[0])
        populate(large, users[1])
        contenders = {
            "small": _any_user(small, users[0], scale, rng),
            "large": _any_user(large, users[1], scale, rng),
        }
        yield from _findings(
            f"{users[1]:,} users against {users[0]}", race(contenders, scale.rounds, rng)
        )
    yield from _findings(
        f"{scale.many_holds:,} open holds of one user against 1",
        race(_holds(world, scale), scale.rounds, rng),
    )
    yield from _findings(
        f"{scale.many_lots} lots of one user against 1",
        race(_lots(world, scale), scale.rounds, rng),
    )
    yield _giving_back(world, scale)


def populate(world: World, users: int) -> None:
    """Numbered from 0; every tenth has bought."""
    _FREE.live(world, "free", days=1)
    _PAYING.live(world, "paying", days=1)
    payers = users // _PAYING_EVERY
    fill(world, "paying", 0, payers - 1)
    fill(world, "free", payers, users - 1)


def _findings(what: str, costs: Race) -> Iterator[Finding]:
    small, large = costs["small"], costs["large"]
    times = f"{milliseconds(wall(large))} against {milliseconds(wall(small))}"
    yield Finding(SECTION, what, wall_ratio(large, small), "×", times, TARGET, "growth")
    inside = f"{script(large).median:.0f} µs against {script(small).median:.0f} µs"
    ratio = script_ratio(large, small)
    yield Finding(SECTION, f"{what}: inside the script", ratio, "×", inside)


def _any_user(world: World, users: int, scale: Scale, rng: Random) -> Turn:
    def turn() -> Cost:
        names = [name_of(rng.randrange(users)) for _ in range(scale.operations)]
        return world.cost_of([partial(world.check, name) for name in names])

    return turn


def _holds(world: World, scale: Scale) -> dict[str, Turn]:
    for _ in range(scale.many_holds - 1):
        world.check("many holds")
    return {
        "small": _one_user(world, "one hold", scale),
        "large": _one_user(world, "many holds", scale),
    }


def _lots(world: World, scale: Scale) -> dict[str, Turn]:
    buy(world, "one lot", 0)
    for n in range(scale.many_lots):
        buy(world, "many lots", n)
    return {
        "small": _one_user(world, "one lot", scale),
        "large": _one_user(world, "many lots", scale),
    }


@dataclass
class _Held:
    """A check that is let go later."""

    world: World
    user: str
    reservation_id: str = ""

    def check(self) -> None:
        self.reservation_id = self.world.check(self.user).reservation_id

    def settle(self) -> None:
        self.world.settle([self.world.usage(self.user, self.reservation_id)])


def _one_user(world: World, user: str, scale: Scale) -> Turn:
    """Each check's hold is let go, untimed, before the next: the number of holds stays."""

    def turn() -> Cost:
        costs = []
        for _ in range(scale.operations):
            held = _Held(world, user)
            costs.append(world.cost_of([held.check]))
            held.settle()
        return Cost(
            statistics.median(cost.wall_us for cost in costs),
            statistics.mean(cost.script_us for cost in costs),
        )

    return turn


def _giving_back(world: World, scale: Scale) -> Finding:
    """The one check that finds all of them expired. Redis does nothing else meanwhile."""
    times = []
    for n in range(5):
        for _ in range(scale.many_holds):
            world.check(f"expiring-{n}")
        times.append(timed_us(partial(world.check, f"expiring-{n}", NOW_MS + HOLD_MS)) / 1_000)
    what = f"a check that gives {scale.many_holds:,} expired holds back"
    return Finding(SECTION, what, Spread.of(times), "ms")
