"""The owner's books: written with each call, in the month and by the tier that counted."""

import pytest
from tollkeeper_core.adapters.redis_books import RedisBooks
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.books import Entry, EntryKind
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import Reserve
from tollkeeper_core.domain.movements import Settle, Settlement
from tollkeeper_core.domain.periods import periods_at

from tests.support.redis_stack import RedisStack

LAST_MS = 1_793_505_540_000  # 2026-10-31T23:59 in New York
MINUTE_MS, DAY_S = 60_000, 86_400
CENT = 10_000_000
CONFIG = Config.model_validate(
    {
        "settings": {"time_zone": "America/New_York"},
        "tiers": {"free": {"limits": {}}, "pro": {"rank": 1, "limits": {}}},
    }
)
USER = "a|b: é"


@pytest.fixture
def version(store: RedisStore) -> str:
    store.publish(CONFIG, 1)
    loaded = store.load()
    assert loaded is not None
    return loaded[0]


def settle(
    store: RedisStore, version: str, event: str, nano: int, at_ms: int, held: str | None = None
) -> None:
    periods = periods_at(CONFIG.settings.calendar, at_ms)
    (got,) = store.settle([Settle(USER, event, nano, held, periods, at_ms)], version)
    assert isinstance(got, Settlement)


def entries(store: RedisStore, *months: str) -> list[Entry]:
    return sorted(RedisBooks(store).entries(months), key=lambda e: (e.month, e.of))


def cost(month: str, tier: str, nano: int) -> Entry:
    return Entry(month, EntryKind.COST, tier, USER, nano)


def test_a_call_is_in_the_books_of_its_checks_month_and_tier(
    store: RedisStore, version: str
) -> None:
    periods = periods_at(CONFIG.settings.calendar, LAST_MS)
    request = Reserve(USER, "r1", CENT, "pro", periods, LAST_MS, LAST_MS + 10 * MINUTE_MS)
    assert store.reserve(request, version).admitted
    settle(store, version, "e1", 3, LAST_MS + 2 * MINUTE_MS, "r1")
    settle(store, version, "e2", 5, LAST_MS + 2 * MINUTE_MS)
    settle(store, version, "e2", 5, LAST_MS + 2 * MINUTE_MS)
    assert entries(store, "m:2026-10", "m:2026-11", "m:2026-12") == [
        cost("m:2026-10", "pro", 3),
        cost("m:2026-11", "pro", 5),
    ]


def test_what_cost_nothing_is_in_no_book(
    store: RedisStore, version: str, redis: RedisStack
) -> None:
    settle(store, version, "e1", 0, LAST_MS)
    assert redis.direct.exists("tk:books:m:2026-10") == 0


def test_the_books_live_800_days_from_their_last_new_field(
    store: RedisStore, version: str, redis: RedisStack
) -> None:
    settle(store, version, "e1", 1, LAST_MS)
    assert 0 < redis.direct.ttl("tk:books:m:2026-10") <= 800 * DAY_S
    redis.direct.expire("tk:books:m:2026-10", 100)
    redis.reset_stats()
    settle(store, version, "e2", 1, LAST_MS)
    assert redis.direct.ttl("tk:books:m:2026-10") <= 100
    assert "expire" not in redis.stats()["script_commands"]


def test_ten_thousand_users_are_read_in_a_handful_of_requests(
    store: RedisStore, redis: RedisStack
) -> None:
    fields = {f"cost|free|user {n}": n + 1 for n in range(10_000)}
    redis.direct.hset("tk:books:m:2026-10", mapping=fields)
    redis.reset_stats()
    found = entries(store, "m:2026-10")
    assert redis.stats()["http_requests"] <= 5
    assert {entry.field: entry.amount for entry in found} == fields
