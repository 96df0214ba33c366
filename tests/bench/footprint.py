"""What is stored and what is billed: bytes a user, and commands a check and a settle."""

from collections.abc import Iterator

from tollkeeper_core.adapters import redis_keys as keys

from tests.bench.findings import Finding, Target, counted
from tests.bench.scale import Scale
from tests.bench.users import BUYER, HEAVY, NEVER_BOUGHT, bytes_of
from tests.bench.world import DAY_MS, HOLD_MS, NOW_MS, World

BYTES = "Redis bytes a user"
BILLED = "Commands that Upstash bills"
CHECK_TARGET, SETTLE_TARGET = Target(5), Target(7)


def measure(world: World, scale: Scale) -> Iterator[Finding]:
    """Bytes by MEMORY USAGE, commands by INFO commandstats."""
    for life in (NEVER_BOUGHT, BUYER, HEAVY):
        life.live(world, life.name, scale.days)
        kinds = bytes_of(world, life.name)
        detail = ", ".join(f"{kind} {size:,}" for kind, size in sorted(kinds.items()))
        yield Finding(BYTES, f"{life.name}, {scale.days} days", counted(sum(kinds.values())),
                      "bytes", detail)  # fmt: skip
    yield from _a_call(world)
    yield from _commands(world)


def _a_call(world: World) -> Iterator[Finding]:
    """What one more call leaves: while it is held, and once it is settled."""
    user = NEVER_BOUGHT.name
    before = sum(bytes_of(world, user).values())
    held = world.check(user)
    between = sum(bytes_of(world, user).values())
    world.settle([world.usage(user, held.reservation_id)])
    after = sum(bytes_of(world, user).values())
    yield Finding(BYTES, "one call under way", counted(between - before), "bytes")
    days = f"for {keys.SETTLED_S // keys.DAY_S} days, as long as a repetition may come"
    yield Finding(BYTES, "one call settled", counted(after - before), "bytes", days)


def _commands(world: World) -> Iterator[Finding]:
    user, next_day = "billed", NOW_MS + DAY_MS
    world.call(user)

    def billed(what: str, commands: dict[str, int], target: Target | None = None) -> Finding:
        detail = ", ".join(f"{name} {n}" for name, n in sorted(commands.items()))
        total = counted(sum(commands.values()))
        return Finding(BILLED, what, total, "commands", f"{detail}; and the EVALSHA", target)

    yield billed("a check", world.commands(lambda: world.check(user)), CHECK_TARGET)
    held = world.check(user).reservation_id
    usage = world.usage(user, held)
    settling = world.commands(lambda: world.settle([usage]))
    yield billed("a settle", settling, SETTLE_TARGET)
    yield billed("a settle repeated", world.commands(lambda: world.settle([usage])))
    unheld = world.usage(user, None)
    yield billed("a settle without a check", world.commands(lambda: world.settle([unheld])))
    late = NOW_MS + HOLD_MS
    yield billed(
        "a check that finds a hold expired", world.commands(lambda: world.check(user, late))
    )
    tomorrow = world.commands(lambda: world.check(user, next_day))
    yield billed("the first check of a day, after a hold expired", tomorrow)
