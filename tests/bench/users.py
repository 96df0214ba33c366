"""Users as the product leaves them: lived through the store once, then copied by the thousand."""

from dataclasses import dataclass
from typing import Any, cast

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.domain.movements import Grant

from tests.bench.world import DAY_MS, NOW_MS, World

# A copy's keys differ in the user's name only. Nothing but this benchmark runs it.
_COPY = """
for n = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  for i = 4, #ARGV, 3 do
    redis.call("RESTORE", string.format(ARGV[3], n) .. ARGV[i], ARGV[i + 1], ARGV[i + 2])
  end
end
"""
_COPIES_A_STEP = 2_000


@dataclass(frozen=True, slots=True)
class Life:
    """What a user does: ``calls_a_day``, and purchases before."""

    name: str
    calls_a_day: int
    lots: int = 0

    def live(self, world: World, user: str, days: int) -> None:
        """Do all that through the store, on each of the last days."""
        for n in range(self.lots):
            buy(world, user, n)
        for day in reversed(range(days)):
            for _ in range(self.calls_a_day):
                world.call(user, NOW_MS - day * DAY_MS)


NEVER_BOUGHT = Life("never bought: 1 call a day", 1)
BUYER = Life("buyer: 5 calls a day, 2 lots", 5, lots=2)
HEAVY = Life("heavy: 50 calls a day, 5 lots", 50, lots=5)


def buy(world: World, user: str, number: int) -> None:
    """One pack: five dollars for four, for a year."""
    purchase = f"cs_live_{number:058d}"  # as long as Stripe's own
    at_ms = NOW_MS - (number + 1) * DAY_MS
    world.store.grant(
        Grant(user, purchase, "starter", 4 * 10**9, 500, "usd", at_ms + 365 * DAY_MS, None, at_ms)
    )


def name_of(number: int) -> str:
    """The copy with this number."""
    return f"user-{number:07d}"


def fill(world: World, original: str, first: int, last: int) -> None:
    """Copies of a user, numbered from ``first`` to ``last``."""
    pattern = keys.user(name_of(0)).replace(f"{0:07d}", "%07d")
    stem = keys.user(original)
    kept: list[Any] = []
    for key in _keys(world, original):
        ttl = max(world.direct.pttl(key), 0)
        kept += [key.removeprefix(stem.encode()), ttl, world.direct.dump(key)]
    for begin in range(first, last + 1, _COPIES_A_STEP):
        end = min(begin + _COPIES_A_STEP - 1, last)
        world.direct.eval(_COPY, 0, begin, end, pattern, *kept)


def bytes_of(world: World, user: str) -> dict[str, int]:
    """What Redis holds for a user, by kind of key."""
    kinds = {"r": "checks' answers", "e": "settlements' answers", "buys": "purchases"}
    stem = keys.user(user).encode()
    found: dict[str, int] = {}
    for key in _keys(world, user):
        part = key.removeprefix(stem).decode().split(":")[1:2]
        kind = kinds.get(part[0], part[0]) if part else "state"
        size = cast("int", world.direct.memory_usage(key, samples=0))
        found[kind] = found.get(kind, 0) + size
    return found


def _keys(world: World, user: str) -> list[bytes]:
    return list(world.direct.scan_iter(match=keys.user(user) + "*", count=1000))
