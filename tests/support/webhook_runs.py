"""Runs of the webhook on a real Redis: deliveries in any order, one in the middle of another."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_answers import lot_of
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.purchases import Purchase

from tests.support.life_cycles import USER, End, LifeCycle
from tests.support.memory_ledger import MemoryAnnouncements, MemoryArchive
from tests.support.redis_stack import RedisStack
from tests.support.upgrade import STAGE, example_config
from tests.support.webhook import PACK, MemoryPurchases, Webhook

DELIVERIES_MAX = 5
#: One delivery in so many is interrupted by another.
INTERRUPTED = 4


@dataclass
class Interruption:
    """Runs ``other`` once, before the step number ``at`` of what is under way."""

    at: int = -1
    other: Callable[[], object] = lambda: None
    happened: int = 0

    def step(self) -> None:
        self.at -= 1
        if self.at == 0:
            self.happened += 1
            self.other()


@dataclass
class Stepping:
    """A port, with every call of it a step."""

    port: Any
    interruption: Interruption

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.port, name)

        def call(*given: Any) -> Any:
            self.interruption.step()
            return method(*given)

        return call


@dataclass
class Run:
    """One user's webhook, from an empty Redis on."""

    redis: RedisStack
    store: RedisStore
    life: LifeCycle
    rng: random.Random
    interruption: Interruption = field(default_factory=Interruption)
    archive: MemoryArchive = field(default_factory=MemoryArchive)
    bus: MemoryAnnouncements = field(default_factory=MemoryAnnouncements)

    def begin(self) -> None:
        """Nothing but a configuration."""
        self.redis.flush()
        self.store.publish(example_config(), 1)

    def webhook(self) -> Webhook:
        """Every call of one of its parts is a step."""
        archive: Any = Stepping(self.archive, self.interruption)
        bus: Any = Stepping(self.bus, self.interruption)
        bought = {name: Purchase(name, PACK.metadata(STAGE)) for name in ("pi_1", "pi_2")}
        stripe: Any = Stepping(
            MemoryPurchases(bought, refunds=dict(self.life.refunds)), self.interruption
        )
        return Webhook(Stepping(self.store, self.interruption), archive, bus, stripe)

    def play(self, events: Sequence[dict[str, Any]]) -> None:
        """These, in this order, and their repetitions anywhere."""
        row = list(events)
        for event in events:
            for _ in range(self.rng.randrange(DELIVERIES_MAX)):
                row.insert(self.rng.randrange(len(row) + 1), event)
        webhook = self.webhook()
        while row:
            event = row.pop(0)
            webhook.clock.now_ms += 1_000
            self.interruption.at = -1
            if row and self.rng.randrange(INTERRUPTED) == 0:
                other = row.pop(0)
                self.interruption.at = self.rng.randint(1, 4)
                self.interruption.other = lambda e=other: webhook(e)
            webhook(event)
            if self.interruption.at > 0:  # it had fewer steps
                self.interruption.at = -1
                self.interruption.other()

    def end(self) -> End:
        """What Redis holds, and what the record says of the sale."""
        state = self.redis.direct.hgetall(keys.user(USER))
        subs = self.redis.direct.hgetall(keys.subscriptions(USER))
        lots = state.get(b"lots", b"").decode()
        sums, there = self.sums(), [lot_of(text) for text in lots.split(";") if text]
        return End(
            lots={lot.id: lot.remaining_nano for lot in there},
            frozen=frozenset(lot.id for lot in there if lot.frozen),
            owed=int(state.get(b"owed", 0)),
            sold=-sum(n for (account, _), n in sums.items() if account.startswith("sales:")),
            net_paid=sum(n for (account, _), n in sums.items() if account.endswith(":paid")),
            subscriptions={name.decode(): _subscription(text) for name, text in subs.items()},
        )

    def sums(self) -> Counter[tuple[str, str]]:
        """The record, added up; every set of it sums to zero."""
        sums: Counter[tuple[str, str]] = Counter()
        sets: Counter[tuple[str, str]] = Counter()
        for posting in self.archive.postings.values():
            sums[posting.account, posting.asset] += posting.amount
            sets[posting.set_id, posting.asset] += posting.amount
        assert not [name for name, total in sets.items() if total]
        return sums


def _subscription(text: bytes) -> tuple[str, str, int]:
    _, _, until_ms, tier, plan, *_ = text.decode().split(" ")
    return tier, plan, int(until_ms)


def record_agrees(run: Run) -> None:
    """Lots and debts are the same in Redis and on record."""
    sums, stem, end = run.sums(), f"user:{USER}:", run.life.end
    lots = {
        account.removeprefix(f"{stem}lot:"): n
        for (account, _), n in sums.items()
        if account.startswith(f"{stem}lot:") and n
    }
    assert lots == dict(end.lots)
    assert -sums[f"{stem}owed", "usd_nano"] == end.owed
