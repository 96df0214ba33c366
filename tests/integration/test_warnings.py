"""What checks warn of: each part of each limit once in its period, on a real Redis."""

from typing import Any

import pytest
from tollkeeper_core.adapters.redis_store import RedisStore

from tests.integration.test_ledger_edges import CENT, DAY_MS, User
from tests.support.redis_stack import RedisStack

DAILY = {"daily": {"limit_usd": "1.00"}}
TIERS: dict[str, Any] = {
    "free": {"limits": {**DAILY, "monthly": {"limit_usd": "10.00", "hard": True}}},
    "pro": {"rank": 1, "limits": {"daily": {"limit_usd": "2.00"}}},
    "other": {"rank": 2, "limits": {"weekly": {"limit_usd": "2.00"}}},
    "prepaid": {"limits": {"daily": {"limit_usd": "0"}}},
}


@pytest.fixture
def ada(store: RedisStore) -> User:
    user = User(store)
    user.configure(TIERS)
    return user


def test_each_is_told_once_and_to_the_same_request_again(ada: User) -> None:
    told = {}
    for n in range(1, 15):
        ada.settle(f"e{n}", 10 * CENT)
        told[n] = [dict(ada.check(f"r{n}{again}", 0).warned) for again in ("", "", "x")]
    first = {n: each[0] for n, each in told.items() if each[0]}
    assert first == {5: {"daily": 50}, 8: {"daily": 80}, 10: {"daily": 100}}
    assert all(again == once for once, again, _ in told.values())
    assert not any(other for _, _, other in told.values())


def test_of_several_the_highest_and_each_window_for_itself(ada: User) -> None:
    ada.settle("e1", 99 * CENT)
    assert ada.check("r1", 0).warned == {"daily": 80}
    for day in range(1, 5):
        ada.now_ms += DAY_MS
        ada.settle(f"e2{day}", 120 * CENT)
    assert ada.check("r2", 0).warned == {"daily": 100, "monthly": 50}


def test_a_refusal_tells_nothing_and_leaves_it_to_the_next_that_is_allowed(ada: User) -> None:
    ada.settle("e1", 80 * CENT)
    refused = ada.check("r1", 30 * CENT)
    assert (refused.admitted, refused.warned) == (False, {})
    assert ada.check("r2", 20 * CENT).warned == {"daily": 80}


def test_a_new_period_tells_anew(ada: User) -> None:
    for day in range(3):
        ada.settle(f"e{day}", 50 * CENT)
        assert ada.check(f"r{day}", 0).warned == {"daily": 50}
        assert ada.check(f"s{day}", 0).warned == {}
        ada.now_ms += DAY_MS


def test_a_larger_limit_tells_anew_and_going_back_and_forth_does_not(ada: User) -> None:
    ada.settle("e1", 100 * CENT)
    ada.buy("cs_1", 200 * CENT)
    assert ada.check("r1", 0, "free").warned == {"daily": 100}
    assert ada.check("r2", 0, "pro").warned == {"daily": 50}
    ada.check("r3", 0, "other")  # says nothing of days, and forgets nothing
    assert ada.check("r4", 0, "pro").warned == {}
    assert ada.check("r5", 0, "free").warned == {"daily": 100}
    for n in range(3):
        assert ada.check(f"p{n}", 0, "pro").warned == {}
        assert ada.check(f"f{n}", 0, "free").warned == {}


def test_nobody_is_warned_of_a_limit_of_nothing(ada: User) -> None:
    ada.buy("cs_1", 100 * CENT)
    ada.settle("e1", 50 * CENT)
    assert ada.check("r1", 1, "prepaid").warned == {}


def test_telling_costs_no_command(ada: User, redis: RedisStack) -> None:
    ada.settle("e1", 50 * CENT)
    ada.check("r0", CENT)
    ada.settle("e2", 30 * CENT)
    redis.reset_stats()
    assert ada.check("r1", CENT).warned == {"daily": 80}
    stats = redis.stats()
    assert stats["http_requests"] == 1
    assert stats["script_commands"] == {"hmget": 2, "set": 1, "hset": 1, "zadd": 1}
