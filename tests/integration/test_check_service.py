"""The check over the real store: what it answers, and what it does in an outage."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.check_request import CheckRequest
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.experiments import Experiment
from tollkeeper_core.domain.funnel import Step
from tollkeeper_core.domain.links import verify_link
from tollkeeper_core.domain.movements import SubscriptionState
from tollkeeper_core.domain.periods import Calendar, day_of_month, periods_at, rfc3339
from tollkeeper_core.domain.pricing import TokenRates
from tollkeeper_core.domain.problems import Problem
from tollkeeper_core.domain.rules import Rules
from tollkeeper_core.domain.split import Split
from tollkeeper_core.services.check import Check
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.links import Links
from tollkeeper_core.services.outage import OutagePolicy

from tests.support.outside import KEY, NOW_MS, Counts, Time

LINK_KEY = bytes(range(32))
BEARER = f"Bearer {KEY}"


def config(unknown_model: Any = "block", **tiers: Any) -> Config:
    return Config.model_validate(
        {
            "settings": {"unknown_model": unknown_model, "copy": {"upgrade_message": "More?"}},
            "tiers": {
                "free": {"limits": {"daily": {"limit_usd": "0.50"}, "monthly": {"limit_usd": "2"}}},
                "capped": {"limits": {"daily": {"limit_usd": "0.10", "hard": True}}},
                "closed": {"limits": {}, "outage": "block"},
                **tiers,
            },
            "api_keys": {"k1": hashlib.sha256(KEY.encode()).hexdigest()},
        }
    )


def rules(found: Config | None = None) -> Rules:
    return Rules.of_snapshot((found or config()).snapshot)


class Rates:
    """Knows one model: 1 USD per million tokens in, 2 out, a step above 1,000 in."""

    def rates(self, provider: str | None, model: str, now_ms: int) -> TokenRates | None:
        if model == "dear":
            return TokenRates.flat(10**15, 10**15)
        if model != "known":
            return None
        return TokenRates(((-1, 10**9), (1_000, 3 * 10**9)), ((-1, 2 * 10**9),))

    known = rates


Make = Callable[..., Check]


@pytest.fixture
def make(store: RedisStore) -> Make:
    def made(found: Config, source: Config | None = None, over: RedisStore | None = None) -> Check:
        store.publish(found, NOW_MS)
        clock, used = Time(), over or store
        configs = ConfigCache(used.load_rules, lambda: rules(source or found), clock)
        links = Links("https://page.example", lambda: LINK_KEY, clock)
        return Check(used, configs, Rates(), links, OutagePolicy(clock), clock, Counts(), [].extend)

    return made


def ask(check: Check, **body: Any) -> dict[str, Any]:
    return check(CheckRequest.validate({"user_id": "ada", **body}), BEARER)


def test_the_amount_is_the_worst_case_of_the_tokens(make: Make) -> None:
    check = make(config())
    sizes = [(1_000, 10), (1_001, 10), (0, 0), (None, None)]
    reserved = [
        ask(check, model="known", input_tokens=i, max_output_tokens=o)["reserved_usd"]
        for i, o in sizes
    ]
    assert reserved == ["0.00102", "0.003023", "0.00", "0.003"]


def test_with_neither_model_nor_amount_anything_left_will_do(make: Make) -> None:
    check = make(config())
    assert ask(check)["reserved_usd"] == "0.000000001"
    ask(check, amount_usd="0.499999999")
    assert ask(check)["decision"] == "block"


def test_the_link_of_a_block_says_who_why_and_which_prompt(make: Make) -> None:
    check = make(config())
    blocked = ask(check, amount_usd="0.6", tier="free", request_id="r1")
    claims = verify_link(blocked["upgrade_url"].partition("?t=")[2], [LINK_KEY], NOW_MS)
    assert (claims.user_id, claims.tier) == ("ada", "free")
    assert claims.reason is not None
    assert (claims.reason.code, claims.reason.window) == ("limit_reached", "daily")
    assert blocked["upgrade_message"] == "More?"
    assert ask(check, amount_usd="0.6", tier="free", request_id="r1") == blocked
    other = ask(check, amount_usd="0.6", tier="free", request_id="r2")
    assert other["upgrade_url"] != blocked["upgrade_url"]


def test_a_block_says_when_the_month_by_the_billing_day_ends(make: Make, store: RedisStore) -> None:
    found = config().model_dump(mode="json", by_alias=True)
    found["settings"]["monthly_anchor"] = "subscription"
    check = make(Config.model_validate(found))
    day = 1 + (day_of_month(Calendar(), NOW_MS) + 9) % 28
    ends = rfc3339(periods_at(Calendar(), NOW_MS, day).monthly.resets_ms)
    plan = ("ada", "sub_1", "plan", "free", NOW_MS + 10**9, (1, 0), None, NOW_MS, day)
    store.apply_subscription(SubscriptionState(*plan))
    blocked = ask(check, amount_usd="2.5")
    assert blocked["reason"]["resets_at"] == ends
    assert blocked["usage"]["windows"]["monthly"]["resets_at"] == ends
    unknown = ask(check, model="nobody knows")
    assert unknown["usage"]["windows"]["monthly"]["resets_at"] == ends


def test_the_window_named_is_the_last_to_reset_of_those_that_stop(make: Make) -> None:
    check = make(config())
    assert ask(check, amount_usd="2.5")["reason"]["window"] == "monthly"
    assert ask(check, amount_usd="0.6")["reason"]["window"] == "daily"
    hard = ask(check, amount_usd="0.2", tier="capped")["reason"]
    assert (hard["code"], hard["window"]) == ("hard_limit_reached", "daily")


def test_warnings_come_once_at_50_80_and_100_percent_of_what_is_settled(
    make: Make, store: RedisStore
) -> None:
    from tollkeeper_core.domain.movements import Settle
    from tollkeeper_core.domain.periods import periods_at

    check = make(config())
    version = check.configs.current().version
    periods = periods_at(config().settings.calendar, NOW_MS)
    for event, nano, expected in (
        ("e0", 249_999_999, []),
        ("e1", 1, [("daily", 50, 50)]),
        ("e2", 149_999_999, []),
        ("e3", 1, [("daily", 80, 80)]),
        ("e4", 100_000_000, [("daily", 100, 100)]),
    ):
        store.settle([Settle("ada", event, nano, None, periods, NOW_MS)], version)
        answer = ask(check, amount_usd="0", request_id=event)
        found = [(w["window"], w["percent"], w["threshold"]) for w in answer["warnings"]]
        assert found == expected
        for warning in answer["warnings"]:
            assert warning["resets_at"] == answer["usage"]["windows"]["daily"]["resets_at"]
        assert ask(check, amount_usd="0")["warnings"] == []
        assert ask(check, amount_usd="0", request_id=event) == answer


def test_a_block_tells_of_the_limit_and_an_allowed_call_of_nothing(make: Make) -> None:
    steps: list[Step] = []
    check = replace(make(config()), tell=steps.extend)
    ask(check, amount_usd="0.1")
    assert steps == []
    blocked = [ask(check, amount_usd="0.45", request_id="r1") for _ in range(2)]
    claims = verify_link(blocked[0]["upgrade_url"].partition("?t=")[2], [LINK_KEY], NOW_MS)
    assert steps[0] == steps[1]
    assert (steps[0].prompt_id, steps[0].user_id) == (claims.prompt_id, "ada")
    assert (steps[0].trigger, steps[0].tier, steps[0].at_ms) == ("daily", "free", NOW_MS)
    assert claims.reason is not None
    assert steps[0].resets_ms == claims.reason.resets_ms


def test_a_block_is_of_the_users_variant_and_an_allowed_call_asks_for_none(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = {"name": "copy", "variants": [{"name": "short"}]}
    found = config().model_copy(update={"experiment": Experiment.model_validate(experiment)})
    steps: list[Step] = []
    asked: list[str] = []

    def bucket(_: Split, user_id: str) -> int:
        asked.append(user_id)
        return 9_999

    monkeypatch.setattr(Split, "_bucket", bucket)
    check = replace(make(found), tell=steps.extend)
    ask(check, amount_usd="0.1")
    assert asked == []
    ask(check, amount_usd="0.45")
    assert asked == ["ada"]
    assert [step.variant for step in steps] == ["copy:short"]


def test_an_unknown_model_is_blocked_or_priced_at_the_ceiling_and_counted(make: Make) -> None:
    check = make(config())
    blocked = ask(check, model="mystery", input_tokens=1)
    assert (blocked["decision"], blocked["reason"]["code"]) == ("block", "unknown_model")
    assert blocked["upgrade_url"] is None
    assert ask(check, model="mystery", amount_usd="0.01")["decision"] == "allow"
    ceiling = {"input_usd_per_mtok": "10", "output_usd_per_mtok": "50"}
    check = make(config(ceiling))
    allowed = ask(check, model="mystery", input_tokens=1_000, max_output_tokens=1_000)
    assert allowed["reserved_usd"] == "0.06"
    assert check.count.names == ["UnpricedModel"]  # type: ignore[attr-defined]


def test_a_call_of_more_than_a_million_dollars_is_refused(make: Make) -> None:
    with pytest.raises(Problem, match="check its tokens"):
        ask(make(config()), model="dear", input_tokens=10**6, max_output_tokens=1)


def test_a_key_that_was_just_added_works_and_one_that_was_removed_does_not(
    make: Make, store: RedisStore
) -> None:
    check = make(config())
    fresh = "tk_k2_" + "f" * 32
    request = CheckRequest(user_id="ada")
    with pytest.raises(Problem, match="API key"):
        check(request, f"Bearer {fresh}")
    digests = {"k2": hashlib.sha256(fresh.encode()).hexdigest()}
    store.publish(config().model_copy(update={"api_keys": digests}), NOW_MS + 1)
    # The old key is still in hand, but the script knows of another configuration.
    with pytest.raises(Problem, match="API key"):
        check(request, BEARER)
    assert check(request, f"Bearer {fresh}")["decision"] == "allow"


def test_guesses_do_not_reach_redis(make: Make) -> None:
    check = make(config())
    ask(check)
    loads: list[int] = []
    load = check.configs.load
    check.configs.load = lambda: loads.append(1) or load()  # type: ignore[func-returns-value]
    for n in range(50):
        with pytest.raises(Problem):
            check(CheckRequest(user_id="ada"), f"Bearer tk_k1_{n:032}")
    assert not loads
    check.clock.now_ms += 5_001  # type: ignore[attr-defined]
    for n in range(50):
        with pytest.raises(Problem):
            check(CheckRequest(user_id="ada"), f"Bearer tk_k1_{n:032}")
    assert len(loads) == 1


@pytest.fixture
def away() -> RedisStore:
    """A store whose Redis nobody can reach."""
    return RedisStore(LeanRedis("http://127.0.0.1:1", "t", 0.5))


def test_in_an_outage_the_tier_decides(make: Make, away: RedisStore) -> None:
    check = make(config(), over=away)
    allowed = ask(check, amount_usd="0.5", tier="free")
    assert (allowed["decision"], allowed["degraded"]) == ("allow", True)
    assert allowed["reserved_usd"] == "0.00"
    with pytest.raises(Problem) as refused:
        ask(check, amount_usd="0.6", tier="closed")
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
    with pytest.raises(Problem, match="tiers/gold"):
        ask(check, tier="gold")
    with pytest.raises(Problem, match="API key"):
        check(CheckRequest(user_id="ada"), "Bearer tk_k1_" + "x" * 32)


def test_after_an_outage_the_published_configuration_counts_again(
    make: Make, store: RedisStore, away: RedisStore
) -> None:
    check = make(config(), over=away)
    assert ask(check, amount_usd="0.5")["degraded"]
    in_hand = check.configs.in_an_outage()
    configs = ConfigCache(store.load_rules, rules, check.clock)
    healed = Check(
        store, configs, Rates(), check.links, check.outage, check.clock, Counts(), [].extend
    )
    healed.configs._in_hand = in_hand
    assert ask(healed, amount_usd="0.6")["decision"] == "block"


def test_nothing_published_says_what_to_do(store: RedisStore, redis: Any) -> None:
    clock = Time()
    links = Links("https://page.example", lambda: LINK_KEY, clock)
    configs = ConfigCache(store.load_rules, rules, clock)
    check = Check(store, configs, Rates(), links, OutagePolicy(clock), clock, Counts(), [].extend)
    with pytest.raises(Problem, match="run sync_config"):
        ask(check)
