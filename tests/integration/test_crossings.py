"""Thresholds that settled use comes past: each once, exactly, and told to the owner's bus."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.announcements import threshold_crossed
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.movements import Settle, Settlement
from tollkeeper_core.domain.periods import periods_at
from tollkeeper_core.services.settle import Failed
from tollkeeper_core.services.tell_crossings import TellCrossings

from tests.support.memory_ledger import MemoryAnnouncements
from tests.support.redis_stack import RedisStack

NOON_MS = 1_795_608_000_000  # 2026-11-25T12:00:00Z
SEED = 5
PERCENTS = (100, 80, 50)


@pytest.fixture
def store(redis: RedisStack) -> Iterator[RedisStore]:
    with LeanRedis(redis.url, redis.token, 10.0) as http:
        yield RedisStore(http)


def settle(store: RedisStore, config: Config, event: str, cost_nano: int) -> Settlement:
    loaded = store.load()
    assert loaded is not None
    periods = periods_at(config.settings.calendar, NOON_MS)
    request = Settle("ada", event, cost_nano, None, periods, NOON_MS)
    (settled,) = store.settle([request], loaded[0])
    assert isinstance(settled, Settlement)
    return settled


def with_limits(store: RedisStore, **usd: str) -> Config:
    limits = {
        window: {"limit_usd": text.rstrip("!"), "hard": text.endswith("!")}
        for window, text in usd.items()
    }
    config = Config.model_validate({"tiers": {"free": {"limits": limits}}})
    assert store.publish(config, 1)
    return config


def test_each_is_told_once_by_the_call_that_comes_to_it(store: RedisStore) -> None:
    config = with_limits(store, daily="1", monthly="3!")
    seen = [settle(store, config, f"e{n}", 100_000_000).crossed for n in range(1, 17)]
    assert {n: crossed for n, crossed in enumerate(seen, 1) if crossed} == {
        5: {"daily": 50},
        8: {"daily": 80},
        10: {"daily": 100},
        15: {"monthly": 50},
    }
    assert settle(store, config, "e8", 1).crossed == {"daily": 80}  # again, as it was


def test_of_several_at_once_the_highest(store: RedisStore) -> None:
    config = with_limits(store, daily="1", weekly="1.2")
    assert settle(store, config, "e1", 990_000_000).crossed == {"daily": 80, "weekly": 80}


def test_where_nothing_limits_nothing_is_crossed(store: RedisStore) -> None:
    config = with_limits(store, daily="0")
    assert settle(store, config, "e1", 5_000_000_000).crossed == {}


def test_to_the_nano(redis: RedisStack, store: RedisStore) -> None:
    rng = random.Random(SEED)
    for _ in range(60):
        redis.flush()
        limit_nano = rng.choice((7, 99, 101, 333_333_333, 10**15, rng.randrange(1, 10**15)))
        usd = f"{limit_nano // 10**9}.{limit_nano % 10**9:09d}"
        config = with_limits(store, daily=usd)
        used = 0
        for n in range(6):
            percent = rng.choice(PERCENTS)
            edge = -(-limit_nano * percent // 100) + rng.choice((-1, 0, 1))
            cost = edge - used if edge > used else rng.randrange(0, limit_nano // 3 + 1)
            before, used = used, used + cost
            expected = next(
                (p for p in PERCENTS if before * 100 < limit_nano * p <= used * 100), None
            )
            got = settle(store, config, f"e{n}", cost).crossed
            assert got == ({"daily": expected} if expected else {}), (limit_nano, before, used)


def test_what_was_not_told_comes_again(store: RedisStore) -> None:
    config, bus = with_limits(store, daily="1"), MemoryAnnouncements(down=True)
    quiet, loud = settle(store, config, "e1", 1), settle(store, config, "e2", 900_000_000)
    failed = Failed("no price")

    outcomes = TellCrossings(bus, "prod")([quiet, loud, failed])
    assert outcomes[0] is quiet
    assert isinstance(outcomes[1], Failed)
    assert outcomes[2] is failed

    bus.down = False
    again = settle(store, config, "e2", 900_000_000)
    assert TellCrossings(bus, "prod")([again]) == [again]
    assert bus.told == [threshold_crossed(replace(loud, replayed=True), "daily", 80)]
    assert bus.told[0].detail == {"window": "daily", "percent": 80, "tier": "free"}
