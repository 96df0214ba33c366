"""Profit over a real Redis and a real archive: every figure is the crowd's own count."""

import random
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from tollkeeper_core.adapters.books_bench import BooksBench
from tollkeeper_core.adapters.record import S3Record
from tollkeeper_core.adapters.redis_books import RedisBooks
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.ledger import Reserve
from tollkeeper_core.domain.movements import Settle, Settlement
from tollkeeper_core.domain.periods import periods_at
from tollkeeper_core.domain.postings import settlement_postings
from tollkeeper_core.domain.profit import rates_of
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.profit import Profit, ProfitReport

from tests.support.direct_redis import direct_store
from tests.support.money import Account, Bookkeeper, calendar_config
from tests.support.profit_crowd import DAY_MS, Call, Crowd
from tests.support.record import BUCKET, quiet, s3
from tests.support.redis_stack import RedisStack

ZONE = "America/New_York"
FIRST_MS = 1_789_000_000_000  # 2026-09-10
DAYS = 75
#: Of one of the minor unit, as the crowd counts.
RATES = {"usd": Fraction(1, 100), "eur": Fraction(108, 10_000)}
CONFIG = calendar_config(ZONE)
CALENDAR = CONFIG.settings.calendar


@pytest.fixture
def record() -> Iterator[S3Record]:
    with s3(versioned=False) as client:
        yield S3Record(client, BUCKET)


def check(store: RedisStore, version: str, call: Call) -> None:
    """As intercept does; the app says a tier with it."""
    at_ms, periods = call.at_ms, periods_at(CALENDAR, call.at_ms)
    name = f"r{call.event}"
    request = Reserve(call.user, name, call.nano, call.tier, periods, at_ms, at_ms + DAY_MS)
    assert store.reserve(request, version).admitted


def settle(store: RedisStore, version: str, record: S3Record, calls: list[Call]) -> None:
    """As log_usage does; each may come again."""
    requests = [
        Settle(
            call.user,
            call.event,
            call.nano,
            f"r{call.event}" if call.tier else None,
            periods_at(CALENDAR, call.at_ms),
            # What waited in the queue, settled together.
            (call.at_ms // (25 * DAY_MS) + 1) * 25 * DAY_MS,
        )
        for call in calls
    ]
    done = store.settle(requests, version)
    assert all(isinstance(one, Settlement) for one in done)
    record.write([line for one in done for line in settlement_postings(one)])  # type: ignore[arg-type]


def deliver(
    store: RedisStore, direct: RedisStore, record: S3Record, crowd: Crowd, seed: int
) -> None:
    chance = random.Random(seed)
    version = store.publish(CONFIG, 1) and (store.load() or ("",))[0]
    for call in crowd.calls:
        if call.tier:
            check(direct, str(version), call)
    calls = [call for call in crowd.calls for _ in range(chance.choice((1, 1, 2)))]
    chance.shuffle(calls)
    for first in range(0, len(calls), 1_000):
        settle(store, str(version), record, calls[first : first + 1_000])
    account = Account()
    configs = ConfigCache(store.load, lambda: CONFIG, lambda: FIRST_MS)
    now_ms = FIRST_MS + DAYS * DAY_MS
    book = Bookkeeper(account, RedisBooks(store), record, configs, now_ms)
    newest_first = sorted(crowd.transactions, key=lambda one: -one.created_s)
    for part in (newest_first[::3], newest_first[1::2], newest_first):
        account.listed = part
        book()


def test_ten_thousand_users_are_what_the_crowd_counted(
    redis: RedisStack, store: RedisStore, record: S3Record
) -> None:
    crowd = Crowd(users=10_000, first_ms=FIRST_MS, days=DAYS, zone=ZONE, seed=6)
    with direct_store(redis) as direct:
        deliver(store, direct, record, crowd, seed=7)

    reports = [
        Profit(source, rates_of({"eur": "1.08"})).report(crowd.months, 10)
        for source in (RedisBooks(store), BooksBench(record, quiet))
    ]
    assert reports[0] == reports[1]
    found = reports[0]
    profits = crowd.profits(RATES)
    assert len(profits) > 6_000
    assert found.total.users == len(profits)
    assert found.total.sums.profit_usd(found.rates) == sum(profits.values())
    assert found.unconverted == ["jpy"]
    _same_lists(found, profits)
    _same_months(found, crowd)
    _same_tiers(found, crowd)
    _same_top(found, crowd)


def _same_lists(found: ProfitReport, profits: dict[str, Fraction]) -> None:
    ranked = sorted(profits, key=lambda user: (profits[user], user))
    assert [row.name for row in found.bottom] == ranked[:10]
    assert [row.name for row in found.top] == ranked[:-11:-1]
    for row in (*found.top, *found.bottom):
        assert row.sums.profit_usd(found.rates) == profits[row.name]


def _same_months(found: ProfitReport, crowd: Crowd) -> None:
    for row in found.by_month:
        costs = {at: n for at, n in crowd.cost.items() if at[0] == row.name}
        moved = {at: n for at, n in crowd.money.items() if at[0] == row.name}
        assert row.sums.cost_nano == sum(costs.values())
        assert row.users == len({at[-1] for at in (*costs, *moved)})
        for kind, minor in (
            ("paid", row.sums.paid_minor),
            ("refunded", row.sums.refunded_minor),
            ("fee", row.sums.fee_minor),
        ):
            summed: Counter[str] = Counter()
            for (_, what, currency, _), amount in moved.items():
                summed[currency] += amount if what == kind else 0
            assert minor == summed


def _same_tiers(found: ProfitReport, crowd: Crowd) -> None:
    costs: Counter[str] = Counter()
    paid: Counter[tuple[str, str]] = Counter()
    for (month, _, user), nano in crowd.cost.items():
        costs[crowd.tier_of(month, user)] += nano
    for (month, kind, currency, user), minor in crowd.money.items():
        paid[crowd.tier_of(month, user), currency] += minor if kind == "paid" else 0
    assert {row.name: row.sums.cost_nano for row in found.by_tier} == {**costs, "-": 0}
    told = {
        (row.name, currency): minor
        for row in found.by_tier
        for currency, minor in row.sums.paid_minor.items()
    }
    assert Counter(told) == paid


def _same_top(found: ProfitReport, crowd: Crowd) -> None:
    by_user: Counter[str] = Counter()
    for (_, _, user), nano in crowd.cost.items():
        by_user[user] += nano
    count = -(-len(by_user) * 5 // 100)
    top: Any = found.top_spend
    assert (top.users, top.of_users) == (count, len(by_user))
    assert top.cost_nano == sum(nano for _, nano in by_user.most_common(count))
    assert top.of_cost_nano == sum(by_user.values())
    assert top.share > Fraction(1, 2)
