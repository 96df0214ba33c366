"""Any history, archived in any order and any number of times: emptied, rebuilt, and as before."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from tollkeeper_core.adapters.redis_books import RedisBooks
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.movements import Grant, Settle, Settlement
from tollkeeper_core.domain.periods import periods_at
from tollkeeper_core.domain.postings import (
    Posting,
    grant_postings,
    money_postings,
    settlement_postings,
    subscription_postings,
)
from tollkeeper_core.domain.transactions import Movement

from tests.property.test_ledger_against_model import CONFIGS, COUNTS, DAYS, START_MS, Ledger
from tests.support.ledger_model import DAY_MS, Charge
from tests.support.record import Owner, owner, s3
from tests.support.redis_stack import RedisStack

MARKERS_MS = 16 * DAY_MS


class Charges(dict[str, Charge]):
    """The model's charges; those that a redelivery could not find any more are not told."""

    def __init__(self, known: dict[str, Charge], told: set[str]) -> None:
        super().__init__(known.items())
        self.untold = set(known.keys()) - told

    def __iter__(self) -> Iterator[str]:
        return (name for name in super().__iter__() if name not in self.untold)


class RebuiltLedger(Ledger):
    """The machine that holds scripts against model, and loses its Redis at any moment."""

    owner: ClassVar[Owner]

    @initialize()
    def begin(self) -> None:
        for page in self.owner.record.versions():
            for old in page:
                self.owner.record.replace(old, None)
        self.stack.flush()
        self.sets: dict[str, list[Posting]] = {}
        self.batches: list[list[Posting]] = []
        self.noted: set[str] = set()
        self.told: dict[str, Movement] = {}
        super().begin()

    def record(self, postings: list[Posting]) -> None:
        super().record(postings)
        if postings:
            self.sets[postings[0].set_id] = postings
            self.batches.append(postings)

    @rule(
        sub=st.sampled_from(["sub_1", "sub_2"]),
        tier=st.sampled_from(["capped", "pro", "open"]),
        until=st.sampled_from([0, DAY_MS, 40 * DAY_MS]),
        at=st.integers(0, 5),
        kind=st.integers(0, 2),
        day=DAYS,
        counts=COUNTS,
        following=st.sampled_from(["", "", "small"]),
    )
    def subscribe(
        self,
        sub: str,
        tier: str,
        until: int,
        at: int,
        kind: int,
        day: int,
        counts: int,
        following: str,
    ) -> None:
        said = self.said(sub, tier, until, (at, kind), day, counts, following)
        self.record(subscription_postings(said))
        super().subscribe(sub, tier, until, at, kind, day, counts, following)

    @rule(
        txn=st.integers(0, 5),
        category=st.sampled_from(["charge", "refund", "dispute", "dispute_reversal"]),
        amount=st.integers(-(10**12), 10**12),
        fee=st.integers(-1_500, 1_500),
        currency=st.sampled_from(["usd", "eur"]),
        days=st.integers(0, 70),
        noted=st.booleans(),
    )
    def move_money(
        self, txn: int, category: str, amount: int, fee: int, currency: str, days: int, noted: bool
    ) -> None:
        """What is told of a transaction first holds, whatever is told of it later."""
        at_ms, books = START_MS + days * DAY_MS, RedisBooks(self.store)
        periods = periods_at(self.model.config.settings.calendar, at_ms)
        # A transaction's time is its own: it does not change with what else is told.
        name = f"txn_{self.user}_{txn}_{days}"
        money = (category, "ch_1", amount, fee, currency)
        movement = Movement(name, self.user, *money, at_ms, periods.ids)
        (told,) = books.book([movement])
        assert (told is None) == (name in self.noted)
        if told is not None:
            assert self.told.setdefault(name, told) == told
            self.record(money_postings(told))
            if noted:
                books.recorded([(told.utc_month, name)])
                self.noted.add(name)

    @rule(seed=st.randoms(use_true_random=False), data=st.data())
    def lose_redis(self, seed: Any, data: st.DataObject) -> None:
        """Batches reach the archive in any order and mix, some of them again."""
        self.owner.now_ms, self.owner.config = self.now_ms, self.model.config
        again = seed.sample(self.batches, seed.randint(0, len(self.batches)))
        batches = [*self.batches, *again]
        seed.shuffle(batches)
        while batches:
            size = seed.randint(1, 10)
            mixed, batches = [p for b in batches[:size] for p in b], batches[size:]
            self.owner.record.write(mixed)
        assert self.owner.verify() == []
        before = self.kept()
        self.stack.flush()

        self.owner.rebuild()

        self.forget_what_is_not_on_record()
        self.noted = set(self.told)  # what is on record is known to be so
        assert self.kept() == before
        assert self.owner.verify() == []
        loaded = self.store.load()
        assert loaded is not None
        self.version = loaded[0]

    def kept(self) -> dict[str, Any]:
        """What must outlive Redis, as it is stored."""
        stored = self.owner.admin.dump(self.user)
        (state,) = self.owner.admin.states([self.user])
        stem = f"tk:{{{self.user.replace(':', '%3A')}}}"
        markers = {
            # What a call came past is told with it, and is in no record (docs/ledger.md).
            answer["event"]: {k: v for k, v in answer.items() if k not in ("crossed", "topup")}
            for name, text in stored.items()
            if name.startswith(f"{stem}:e:")
            for flat in [json.loads(text)]
            for answer in [dict(zip(flat[::2], flat[1::2], strict=True))]
            if answer["cost"] != "0" and int(answer["settled"]) + MARKERS_MS > self.now_ms
        }
        return {
            "books": {
                f"{key.decode()} {field}": amount
                for key in self.stack.direct.keys("tk:books:*")
                for field, amount in self.stack.direct.hgetall(key).items()
            },
            "markers": markers,
            "lots": stored.get(stem, {}).get("lots", ""),
            "owed": state.owed_nano,
            "unused": state.unused,
            "months": stored.get(stem, {}).get("months", ""),
            "purchases": {
                name: json.loads(text)
                for name, text in stored.get(f"{stem}:buys", {}).items()
                if text.startswith("[")
            },
            "claims": {
                name: text
                for name, text in stored.get(f"{stem}:buys", {}).items()
                if not text.startswith("[")
            },
            "subscriptions": {
                name: "ended" if text.split(" ")[1] == "2" else text
                for name, text in stored.get(f"{stem}:subs", {}).items()
            },
        }

    def forget_what_is_not_on_record(self) -> None:
        """Holds, answers of checks and what they warned of, calls that cost nothing, and the tier
        said since the last settlement: docs/ledger.md, "What does not come back".
        """
        usage = [s[0] for s in self.sets.values() if s[0].kind == "settle"]
        said = max(((p.at_ms, p.id, p.terms["said_tier"]) for p in usage), default=(0, "", ""))
        self.model.said = said[2] or None
        self.model.holds.clear()
        self.model.answers.clear()
        self.model.told.clear()
        found = {p.terms["event_id"] for p in usage if p.at_ms + MARKERS_MS > self.now_ms}
        self.model.charges = Charges(self.model.charges, found)

    @rule()
    def deliver_everything_again(self) -> None:
        for event in list(self.model.charges):
            request = Settle(self.user, event, 1, None, self.periods, self.now_ms)
            (got,) = self.store.settle([request], self.version)
            assert isinstance(got, Settlement)
            if postings := settlement_postings(got):
                assert got.replayed
                assert postings == self.sets[postings[0].set_id]
        for lot in self.model.lots:
            grant = Grant(self.user, lot, "other", 1, 1, "usd", None, None, self.now_ms)
            postings = grant_postings(self.store.grant(grant))
            assert postings == self.sets[postings[0].set_id]


def test_a_lost_redis_comes_back_from_the_archive(redis: RedisStack, store: RedisStore) -> None:
    RebuiltLedger.stack, RebuiltLedger.store = redis, store
    case: Any = RebuiltLedger.TestCase
    case.settings = settings(
        max_examples=15,
        stateful_step_count=25,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    with s3() as client, owner(redis, client, CONFIGS[0], 0) as RebuiltLedger.owner:
        case("runTest").runTest()
