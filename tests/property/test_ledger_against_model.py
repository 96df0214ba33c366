"""The scripts on a real Redis, side by side with the model, over any mix of what can happen."""

import os
from collections import Counter
from fractions import Fraction
from itertools import count
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tollkeeper_core.adapters.redis_books import RedisBooks
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.books import EntryKind, entry_of
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.credits import display_checked, display_credits, display_on_hold
from tollkeeper_core.domain.ledger import Reserve
from tollkeeper_core.domain.movements import (
    Cause,
    Claim,
    Claimed,
    FirstPayment,
    Grant,
    Hold,
    Settle,
    Settlement,
    SubscriptionState,
)
from tollkeeper_core.domain.periods import Window, periods_at
from tollkeeper_core.domain.postings import (
    claim_postings,
    first_payment_postings,
    grant_postings,
    settlement_postings,
)

from tests.support.ledger_model import DAY_MS, Effect, ModelLot, UserModel, windows
from tests.support.redis_stack import RedisStack

START_MS = 1_793_000_000_000  # 2026-10-26, days before Europe's clocks change
TTL_MS = 600_000
CENT = 10_000_000
AMOUNTS = st.one_of(st.integers(0, 60 * CENT), st.sampled_from([0, 1, CENT, 50 * CENT]))
STEPS = st.sampled_from(
    [0, 1, 1_000, TTL_MS - 1, TTL_MS, TTL_MS + 1, 3_600_000, DAY_MS, 9 * DAY_MS]
)
#: Billing days: none, around the beginning, and one that not every month has.
DAYS = st.sampled_from([0, 1, 5, 25, 26, 27, 31])
COUNTS = st.sampled_from([0, DAY_MS, 30 * DAY_MS])
_users = count()


def limit(cents: int, *, hard: bool = False) -> dict[str, Any]:
    return {"limit_usd": f"{cents // 100}.{cents % 100:02d}", "hard": hard}


CONFIGS = [
    Config.model_validate({
        "settings": {"time_zone": zone, "monthly_anchor": anchor},
        "tiers": {
            "free": {"limits": {"daily": limit(daily), "weekly": limit(90), "monthly": limit(200)}},
            "capped": {"rank": 1, "limits": {"daily": limit(70, hard=True), "monthly": limit(100)}},
            "pro": {"rank": 5, "enforcement": "soft", "limits": {"monthly": limit(300)}},
            "open": {"rank": 9, "limits": {}},
        },
    })
    for zone, daily, anchor in (
        ("UTC", 50, "calendar"),
        ("America/New_York", 50, "subscription"),
        ("Europe/Berlin", 20, "subscription"),
    )
]  # fmt: skip


class Ledger(RuleBasedStateMachine):
    """One user; every rule acts on both and compares the answers."""

    stack: RedisStack
    store: RedisStore

    @initialize()
    def begin(self) -> None:
        self.user = f"user:{next(_users)}"
        self.now_ms = START_MS
        self.stack.direct.delete("tk:config")
        self.model = UserModel(CONFIGS[0])
        self.configure(CONFIGS[0])
        self.sums: dict[str, int] = {}
        self.taken: dict[str, int] = {}
        self.books: Counter[str] = Counter()
        self.seen: set[str] = set()
        self.names = count()
        self.firsts: dict[str, FirstPayment] = {}

    @rule(config=st.sampled_from(CONFIGS))
    def configure(self, config: Config) -> None:
        self.store.publish(config, self.now_ms)
        loaded = self.store.load()
        assert loaded is not None
        self.version, self.model.config = loaded

    @rule(ms=STEPS)
    def wait(self, ms: int) -> None:
        self.now_ms += ms

    @property
    def periods(self) -> Any:
        return periods_at(self.model.config.settings.calendar, self.now_ms)

    @rule(
        amount=AMOUNTS,
        said=st.sampled_from([None, None, "free", "capped", "pro", "open"]),
        edge=st.sampled_from([None, -1, 0, 1]),
        again=st.booleans(),
        data=st.data(),
    )
    def check(
        self, amount: int, said: str | None, edge: int | None, again: bool, data: st.DataObject
    ) -> None:
        if edge is not None:  # exactly what fits, and one nano beside it
            fits = self.model.affordable(said, self.periods, self.now_ms)
            amount = max(fits + edge, 0) if fits < 1_000 * CENT else amount
        known = list(self.model.answers)
        rid = data.draw(st.sampled_from(known)) if again and known else f"r{next(self.names)}"
        got = self.store.reserve(
            Reserve(self.user, rid, amount, said, self.periods, self.now_ms, self.now_ms + TTL_MS),
            self.version,
        )
        expected = self.model.reserve(rid, amount, said, self.periods, self.now_ms, TTL_MS)
        assert (got.admitted, got.held_nano, got.affordable_nano) == expected
        assert got.warned == self.model.warned[rid]

    @rule(cost=AMOUNTS, late=st.booleans(), data=st.data(), times=st.integers(1, 2))
    def settle(self, cost: int, late: bool, data: st.DataObject, times: int) -> None:
        known = [None, *self.model.holds]
        rid = data.draw(st.sampled_from(known))
        old = list(self.model.charges)
        event = data.draw(st.sampled_from(old)) if late and old else f"e{next(self.names)}"
        request = Settle(self.user, event, cost, rid, self.periods, self.now_ms)
        charge = self.model.settle(event, cost, rid, self.periods, self.now_ms)
        for got in self.store.settle([request] * times, self.version):
            assert isinstance(got, Settlement)
            assert got.cost_nano == charge.cost
            assert got.allowance_nano == charge.allowance
            assert got.overrun_nano == charge.overrun
            assert got.lots_nano == charge.lots
            assert got.period_ids == charge.periods
            assert got.expired_nano == charge.expired
            assert set(got.begun) == charge.begun
            assert got.cost_nano == got.allowance_nano + sum(got.lots_nano.values())
            self.record(settlement_postings(got))

    @rule(
        granted=st.one_of(st.integers(1, 20 * CENT), st.integers(1, 300 * CENT)),
        paid=st.integers(1, 2_000),
        currency=st.sampled_from(["usd", "eur"]),
        life=st.sampled_from([None, 1, TTL_MS, DAY_MS, 30 * DAY_MS, 40 * DAY_MS]),
        fresh=st.sampled_from([None, None, 1, TTL_MS, 3 * DAY_MS]),
        part=st.integers(0, 100),
        led=st.booleans(),
        early=st.booleans(),
        times=st.integers(1, 3),
        data=st.data(),
    )
    def buy(
        self,
        granted: int,
        paid: int,
        currency: str,
        life: int | None,
        fresh: int | None,
        part: int,
        led: bool,
        early: bool,
        times: int,
        data: st.DataObject,
    ) -> None:
        waiting = [name for name in self.model.claims if name not in self.model.lots]
        known = early and waiting
        name = data.draw(st.sampled_from(waiting)) if known else f"pi_{next(self.names)}"
        now_ms = self.now_ms
        expires = now_ms + life if life else None
        opens = (now_ms + fresh, granted * part // 100) if fresh else (None, 0)
        grant = Grant(
            self.user, name, "p", granted, paid, currency, expires, None, now_ms, None, *opens,
            cause=Cause("prm_1", "daily", "free") if led else None,
        )  # fmt: skip
        for _ in range(times):
            got = self.store.grant(grant)
            self.record(grant_postings(got))
            model = self.model.grant(
                ModelLot(name, granted, paid, currency, expires, now_ms, *opens, led=led)
            )
            assert got.repaid_nano == model.repaid
            assert got.claimed == (name in self.model.claims)
            if got.claimed and data.draw(st.booleans()):
                again = self.store.claim_again(self.user, name, now_ms)
                self.same(again, self.model.claim_again(name, now_ms))

    @rule(
        claim=st.sampled_from(["re_1", "re_2", "dp_1", "issfr_1"]),
        version=st.tuples(st.integers(0, 2), st.integers(0, 2)),
        taken=st.one_of(st.integers(0, 2_500), st.just(10**12)),
        hold=st.sampled_from(Hold),
        times=st.integers(1, 2),
        data=st.data(),
    )
    def claim(
        self,
        claim: str,
        version: tuple[int, int],
        taken: int,
        hold: Hold,
        times: int,
        data: st.DataObject,
    ) -> None:
        """Any word on any claim, also on a purchase that nobody knows yet."""
        names = [*self.model.lots, *self.model.claims, f"pi_{next(self.names)}"]
        name = data.draw(st.sampled_from(names))
        expected = self.model.claim(name, claim, (version, taken, int(hold)), self.now_ms)
        for _ in range(times):
            got = self.store.claim(Claim(self.user, name, claim, version, taken, hold, self.now_ms))
            self.same(got, expected)

    def same(self, got: Claimed | None, expected: Effect | None) -> None:
        assert (got is None) == (expected is None)
        if got is not None and expected is not None:
            assert dict(got.lots_nano) == expected.lots
            assert (got.owed_nano, got.revoked_nano) == (expected.owed, expected.revoked)
            assert (got.refunded_minor, got.frozen) == (expected.refunded, expected.frozen)
            assert got.revoked_nano == got.owed_nano - sum(got.lots_nano.values())
            self.record(claim_postings(got))

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
        self.store.apply_subscription(said)
        self.model.subscribe(
            sub, tier, said.until_ms, (at, kind), day, said.month_until_ms, following
        )
        for name, plan in self.store.account(self.user, 0, self.now_ms).next_plans.items():
            assert self.model.subs[name][0][5] == plan

    def said(
        self,
        sub: str,
        tier: str,
        until: int,
        version: tuple[int, int],
        day: int,
        counts: int,
        following: str,
    ) -> SubscriptionState:
        until_ms = self.now_ms + until if until and version[1] != 2 else 0
        month_ms = self.now_ms + counts if day and counts else 0
        what = (self.user, sub, "plan", tier, until_ms, version, None, self.now_ms)
        return SubscriptionState(*what, day, month_ms, following)

    @rule(
        prompt=st.sampled_from(["prm_1", "prm_2", "prm:3"]),
        invoice=st.sampled_from(["in_1", "in_2"]),
    )
    def pay_plan(self, prompt: str, invoice: str) -> None:
        told = FirstPayment(self.user, prompt, invoice, self.now_ms)
        first = self.firsts.setdefault(prompt, told)
        assert self.store.first_payment(told) == first
        self.record(first_payment_postings(first))

    @invariant()
    def both_stand_the_same(self) -> None:
        standing = self.store.read(self.user, None, self.periods, self.now_ms, self.version)
        tier = self.model.tier(None, self.now_ms)
        assert self.model.config.tiers[standing.tier].rank == tier.rank
        assert standing.anchor_day == self.model.anchor_day(self.periods, self.now_ms)
        month = self.model.month(self.periods, self.now_ms)
        for window, period in zip(Window, windows(self.periods.ids, month), strict=True):
            counters = standing.counters[window]
            model = self.model
            assert counters.allowance_nano == model.settled(period, total=False)
            assert counters.total_nano == model.settled(period, total=True)
            assert counters.calls == model.calls(period)
            assert counters.held_allowance_nano == model.held(period, self.now_ms, total=False)
            assert counters.held_total_nano == model.held(period, self.now_ms, total=True)
        holds = self.model.open_holds(self.now_ms)
        assert standing.held_credits_nano == sum(hold.credits for hold in holds)
        left = {lot.id: lot.remaining_nano for lot in standing.lots}
        lots = self.model.lots.values()
        assert left == {lot.id: lot.remaining for lot in lots if lot.remaining}
        usable = {lot.id: lot.usable_nano(self.now_ms) for lot in standing.lots}
        assert usable == {lot.id: lot.left(self.now_ms) for lot in lots if lot.remaining}
        assert self.model.owed >= 0
        free = [lot for lot in lots if lot.remaining and not lot.frozen and lot.alive(self.now_ms)]
        assert not (self.model.owed and free), "who owes has nothing that may be used"

    @invariant()
    def what_is_shown_is_never_more_than_what_was_paid(self) -> None:
        standing = self.store.read(self.user, None, self.periods, self.now_ms, self.version)
        for frozen, display in ((False, display_credits), (True, display_on_hold)):
            shown = display(standing.lots, self.now_ms)
            for currency in ("usd", "eur"):
                lots = [x for x in self.model.lots.values() if x.currency == currency]
                there = [x for x in lots if x.frozen == frozen and x.alive(self.now_ms)]
                minor = shown.get(currency, (0, ""))[0]
                assert minor <= sum(lot.paid for lot in there)
                assert (minor == 0) == (sum(lot.remaining for lot in there) == 0)

    @invariant()
    def what_is_shown_as_open_may_be_used(self) -> None:
        standing = self.store.read(self.user, None, self.periods, self.now_ms, self.version)
        shown = display_credits(standing.lots, self.now_ms)
        for currency, checked in display_checked(standing.lots, self.now_ms).items():
            lots = [x for x in self.model.lots.values() if x.currency == currency]
            usable = sum(Fraction(x.paid * x.left(self.now_ms), x.granted) for x in lots)
            assert 0 <= shown[currency][0] - checked.minor <= usable

    @invariant()
    def the_record_adds_up_to_the_state(self) -> None:
        user = f"user:{self.user.replace(':', '%3A')}"
        assert self.sums.get(f"{user}:usage", 0) == sum(c.cost for c in self.model.charges.values())
        for lot in self.model.lots.values():
            assert self.sums.get(f"{user}:lot:{lot.id}", 0) == lot.remaining
            taken = sum(e.refunded for e in self.model.effects.get(lot.id, {}).values())
            assert self.taken.get(lot.id, 0) == taken <= lot.paid
        assert self.sums.get(f"{user}:owed", 0) == -self.model.owed
        paid = sum(lot.paid for lot in self.model.lots.values()) - sum(self.taken.values())
        assert self.sums.get(f"{user}:paid", 0) == paid == -self.sums.get("cash", 0)

    @invariant()
    def the_books_are_what_was_charged(self) -> None:
        """By the record's own lines to the tier, and to the month by the model's calls."""
        kept = [key.decode().removeprefix("tk:books:") for key in self.stack.direct.keys("tk:b*")]
        mine = [e for e in RedisBooks(self.store).entries(kept) if e.user_id == self.user]
        assert {f"{e.month} {e.field}": e.amount for e in mine} == self.books
        cost: Counter[str] = Counter()
        for charge in self.model.charges.values():
            cost[charge.periods[2]] += charge.cost
        known: Counter[str] = Counter()
        for entry in mine:
            known[entry.month] += entry.amount if entry.kind is EntryKind.COST else 0
        assert known == +cost

    def record(self, postings: list[Any]) -> None:
        for asset in {p.asset for p in postings}:
            assert sum(p.amount for p in postings if p.asset == asset) == 0
        for posting in postings:
            if posting.id not in self.seen:
                self.seen.add(posting.id)
                if (entry := entry_of(posting)) is not None:
                    self.books[f"{entry.month} {entry.field}"] += entry.amount
                self.sums[posting.account] = self.sums.get(posting.account, 0) + posting.amount
                if posting.kind == "claim" and posting.account == "cash":
                    name = posting.set_id.split(":")[1]
                    self.taken[name] = self.taken.get(name, 0) + posting.amount


def test_ledger_against_model(redis: RedisStack, store: RedisStore) -> None:
    Ledger.stack, Ledger.store = redis, store
    case: Any = Ledger.TestCase
    case.settings = settings(
        max_examples=int(os.environ.get("LEDGER_EXAMPLES", "60")),
        stateful_step_count=30,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    case("runTest").runTest()
