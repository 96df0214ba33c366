"""The store's scripts on a real Redis: what the property test does not look at."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import Reservation, Reserve, StaleConfigError, UnknownTierError
from tollkeeper_core.domain.links import LINK_SECONDS_MAX
from tollkeeper_core.domain.movements import (
    Grant,
    PromptState,
    Settle,
    Settlement,
    SubscriptionState,
)
from tollkeeper_core.domain.periods import periods_at
from tollkeeper_core.services.upgrade import WATCH_MS

from tests.support.redis_stack import RedisStack

NOW_MS = 1_795_600_000_000
DAY_MS = 86_400_000
CENT = 10_000_000


def config(daily_usd: str = "0.50") -> Config:
    return Config.model_validate(
        {
            "tiers": {
                "free": {"limits": {"daily": {"limit_usd": daily_usd}}},
                "pro": {"rank": 1, "limits": {"monthly": {"limit_usd": "20.00"}}},
            }
        }
    )


def reserve(
    store: RedisStore, version: str, rid: str, nano: int = CENT, user: str = "ada",
    tier: str | None = None, now_ms: int = NOW_MS,
) -> Reservation:  # fmt: skip
    periods = periods_at(config().settings.calendar, now_ms)
    request = Reserve(user, rid, nano, tier, periods, now_ms, now_ms + 600_000)
    return store.reserve(request, version)


def usage(event: str, nano: int, rid: str | None = None, now_ms: int = NOW_MS) -> Settle:
    return Settle("ada", event, nano, rid, periods_at(config().settings.calendar, now_ms), now_ms)


@pytest.fixture
def version(store: RedisStore) -> str:
    store.publish(config(), NOW_MS)
    loaded = store.load()
    assert loaded is not None
    assert loaded[1] == config()
    return loaded[0]


def test_a_warm_check_is_one_request_and_five_commands(
    redis: RedisStack, store: RedisStore, version: str
) -> None:
    reserve(store, version, "r0")
    redis.reset_stats()
    reserve(store, version, "r1")
    stats = redis.stats()
    assert stats["http_requests"] == 1
    assert stats["script_commands"] == {"hmget": 2, "set": 1, "hset": 1, "zadd": 1}


def test_ten_settlements_are_one_request_and_seven_commands_each(
    redis: RedisStack, store: RedisStore, version: str
) -> None:
    for n in range(11):
        reserve(store, version, f"r{n}")
    store.settle([usage("warm", CENT, "r10")], version)
    redis.reset_stats()
    settled = store.settle([usage(f"e{n}", CENT // 2, f"r{n}") for n in range(10)], version)
    assert all(isinstance(s, Settlement) and not s.replayed for s in settled)
    stats = redis.stats()
    assert stats["http_requests"] == 1
    each = {"mget": 1, "hmget": 2, "zrem": 1, "hincrby": 1, "hset": 1, "set": 1}
    assert stats["script_commands"] == {name: 10 * n for name, n in each.items()}


def test_of_200_checks_at_once_the_50_that_fit_are_admitted(
    store: RedisStore, version: str
) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: reserve(store, version, f"r{n}"), range(200)))
    assert sum(answer.admitted for answer in answers) == 50
    again = reserve(store, version, "r0")
    assert again.admitted == answers[0].admitted
    assert (
        store.read("ada", None, periods_at(config().settings.calendar, NOW_MS), NOW_MS, version)
        .counters[next(iter(answers[0].standing.limits))]
        .held_total_nano
        == 50 * CENT
    )


def test_a_server_that_forgot_the_scripts_is_taught_again(
    redis: RedisStack, store: RedisStore, version: str
) -> None:
    redis.flush_scripts()
    assert reserve(store, version, "r1").admitted
    redis.flush_scripts()
    redis.reset_stats()
    settled = store.settle([usage(f"e{n}", 1) for n in range(10)], version)
    assert [isinstance(s, Settlement) for s in settled] == [True] * 10
    assert redis.stats()["http_requests"] == 2


def test_a_changed_configuration_is_noticed_by_the_next_check(
    store: RedisStore, version: str
) -> None:
    assert not reserve(store, version, "r1", 60 * CENT).admitted
    store.publish(config("0.60"), NOW_MS + 1)
    with pytest.raises(StaleConfigError):
        reserve(store, version, "r2", 60 * CENT)
    loaded = store.load()
    assert loaded is not None
    assert reserve(store, loaded[0], "r2", 60 * CENT).admitted


def test_an_older_reading_of_the_parameters_never_wins(store: RedisStore, version: str) -> None:
    assert store.publish(config("0.60"), NOW_MS + 5)
    assert not store.publish(config("0.70"), NOW_MS + 4)
    loaded = store.load()
    assert loaded is not None
    assert loaded[1] == config("0.60")


def test_an_unknown_tier_changes_nothing(
    redis: RedisStack, store: RedisStore, version: str
) -> None:
    with pytest.raises(UnknownTierError, match="tiers/gold"):
        reserve(store, version, "r1", tier="gold")
    assert not redis.direct.keys("tk:{ada}*")


def test_a_subscription_gives_its_tier_at_once_and_a_purchase_marks_its_prompt(
    store: RedisStore, version: str
) -> None:
    assert not reserve(store, version, "r1", 100 * CENT, tier="free").admitted
    until = NOW_MS + 30 * DAY_MS
    store.apply_subscription(
        SubscriptionState("ada", "sub_1", "pro", "pro", until, (1, 0), "prm_1", NOW_MS)
    )
    assert reserve(store, version, "r2", 100 * CENT, tier="free").admitted
    assert store.prompt_state("ada", "prm_1") is PromptState.PAID
    assert store.prompt_state("ada", "prm_2") is PromptState.OPEN
    assert store.prompt_state("bob", "prm_1") is PromptState.OPEN
    assert not reserve(store, version, "r3", 100 * CENT, tier="free", now_ms=until).admitted


def test_no_two_users_share_a_key() -> None:
    users = ["a", "a}", "a}:e:{b", "{a", "a:e", "a%7D", "ä", "a b", "A"]
    names = [keys.user(u) for u in users] + [keys.event(u, "b}") for u in users]
    assert len(set(names)) == len(names)
    assert all(name.count("{") == name.count("}") == 1 for name in names)


def test_every_key_of_a_user_has_the_life_that_is_stated(
    redis: RedisStack, store: RedisStore, version: str
) -> None:
    reserve(store, version, "r1")
    reserve(store, version, "r2", 100 * CENT)
    store.settle([usage("e1", CENT)], version)
    lives = {key.decode(): redis.direct.ttl(key) for key in redis.direct.keys("tk:{ada}*")}
    assert lives == {
        "tk:{ada}": pytest.approx(400 * 86_400, abs=5),
        "tk:{ada}:holds": -1,
        "tk:{ada}:r:r1": pytest.approx(16 * 86_400, abs=5),
        "tk:{ada}:r:r2": pytest.approx(86_400, abs=5),
        "tk:{ada}:e:e1": pytest.approx(16 * 86_400, abs=5),
    }
    store.grant(Grant("ada", "cs_1", "p", 1, 1, "usd", None, None, NOW_MS))
    assert redis.direct.ttl("tk:{ada}") == -1


def test_a_paid_prompt_is_remembered_for_longer_than_any_link_lives(
    redis: RedisStack, store: RedisStore, version: str
) -> None:
    store.grant(Grant("ada", "cs_1", "p", 1, 1, "usd", None, "prm_1", NOW_MS))
    store.apply_subscription(
        SubscriptionState("ada", "sub_1", "pro", "pro", NOW_MS + 1, (1, 0), "prm_2", NOW_MS)
    )
    for prompt in ("prm_1", "prm_2"):
        life_ms = redis.direct.pttl(f"tk:{{ada}}:p:{prompt}")
        assert life_ms > LINK_SECONDS_MAX * 1000 + WATCH_MS


def test_counters_of_long_past_periods_go_and_recent_ones_stay(
    redis: RedisStack, store: RedisStore, version: str
) -> None:
    for day in range(60):
        store.settle([usage(f"e{day}", 1, now_ms=NOW_MS + day * DAY_MS)], version)
    fields = {f.decode() for f in redis.direct.hkeys("tk:{ada}")}
    days = sorted(f for f in fields if f.startswith("d:"))
    assert len(days) == 51
    assert days[-1] == periods_at(config().settings.calendar, NOW_MS + 59 * DAY_MS).daily.id
    assert not redis.direct.exists("tk:{ada}:holds")


def test_a_thousand_expired_holds_are_given_back_in_one_step(
    store: RedisStore, version: str
) -> None:
    for n in range(1_000):
        assert reserve(store, version, f"r{n}", CENT // 20).admitted
    assert not reserve(store, version, "full", 1).admitted
    later = NOW_MS + 600_000
    assert reserve(store, version, "free", 50 * CENT, now_ms=later).admitted


def test_amounts_are_exact_beyond_what_a_float_prints(store: RedisStore, version: str) -> None:
    nano = 999_999_999_999_999
    [settled] = store.settle([usage("e1", nano)], version)
    assert isinstance(settled, Settlement)
    assert (settled.cost_nano, settled.overrun_nano) == (nano, nano - 50 * CENT)
    [second] = store.settle([usage("e2", nano - 2)], version)
    assert isinstance(second, Settlement)
    periods = periods_at(config().settings.calendar, NOW_MS)
    total = store.read("ada", None, periods, NOW_MS, version).counters
    assert {c.total_nano for c in total.values()} == {2 * nano - 2}


def test_a_sum_beyond_53_bits_is_refused_and_changes_nothing(
    store: RedisStore, version: str
) -> None:
    for n in range(9):
        store.settle([usage(f"e{n}", 10**15)], version)
    before = store.read(
        "ada", None, periods_at(config().settings.calendar, NOW_MS), NOW_MS, version
    )
    [refused, fine] = store.settle([usage("over", 10**15), usage("small", 1)], version)
    assert "2^53" in str(refused)
    assert isinstance(fine, Settlement)
    after = store.read("ada", None, periods_at(config().settings.calendar, NOW_MS), NOW_MS, version)
    for window, counters in after.counters.items():
        assert counters.total_nano == before.counters[window].total_nano + 1


def test_the_client_is_the_real_one_with_all_that_its_constructor_sets(redis: RedisStack) -> None:
    from upstash_redis import Redis

    with Redis(redis.url, redis.token) as real, LeanRedis(redis.url, redis.token, 5.0) as lean:
        own = set(vars(lean))
        assert own <= set(vars(real))
        assert set(vars(real)) - own == {"_json", "_search"}  # modules that nothing here uses
        assert lean.set("k", "ä\n") is True
        assert real.get("k") == lean.get("k") == "ä\n"
