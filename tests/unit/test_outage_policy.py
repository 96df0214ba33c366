"""What a user may do while Redis is away: neither everything nor nothing."""

from typing import Any

import pytest
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.problems import Problem
from tollkeeper_core.domain.rules import Rules
from tollkeeper_core.services import outage
from tollkeeper_core.services.outage import OutagePolicy

CENT = 10_000_000
HOUR_MS = 3_600_000


class Clock:
    now_ms = 1_800_000_000_000 // HOUR_MS * HOUR_MS

    def __call__(self) -> int:
        return self.now_ms


def rules(**tier: Any) -> Rules:
    limits = {"daily": {"limit_usd": "0.50"}, "monthly": {"limit_usd": "0.30", "hard": True}}
    tiers = {"free": {"limits": limits, **tier}, "pro": {"limits": {}}}
    return Rules.of_snapshot(Config.model_validate({"tiers": tiers}).snapshot)


@pytest.fixture
def policy() -> OutagePolicy:
    return OutagePolicy(Clock())


def admitted(policy: OutagePolicy, amount: int | None, user: str = "ada", **tier: Any) -> bool:
    try:
        answer = policy.decide(rules(**tier), user, None, amount, "rsv_1")
    except Problem as problem:
        return problem.status != 503
    assert answer["decision"] == "allow"
    assert answer["degraded"] is True
    return True


def test_the_grace_is_the_lowest_limit_unless_the_tier_names_one() -> None:
    assert rules().tiers["free"].grace_nano == 30 * CENT
    assert rules(outage_grace_usd="0.05").tiers["free"].grace_nano == 5 * CENT
    assert rules(outage_grace_usd="0").tiers["free"].grace_nano == 0
    assert rules().tiers["pro"].grace_nano is None


def test_a_user_gets_the_grace_and_not_a_nano_more(policy: OutagePolicy) -> None:
    assert admitted(policy, 29 * CENT)
    assert not admitted(policy, CENT + 1)
    assert admitted(policy, CENT)
    assert not admitted(policy, 1)
    assert admitted(policy, 30 * CENT, user="bob")


def test_the_next_hour_brings_another(policy: OutagePolicy) -> None:
    assert admitted(policy, 30 * CENT)
    policy.clock.now_ms += HOUR_MS - 1  # type: ignore[attr-defined]
    assert not admitted(policy, 1)
    policy.clock.now_ms += 1  # type: ignore[attr-defined]
    assert admitted(policy, 30 * CENT)
    assert not admitted(policy, 1)


def test_calls_of_unknown_price_are_ten(policy: OutagePolicy) -> None:
    assert [admitted(policy, None) for _ in range(11)] == [True] * 10 + [False]


def test_a_grace_of_nothing_admits_what_costs_nothing(policy: OutagePolicy) -> None:
    assert not admitted(policy, 1, outage_grace_usd="0")
    assert admitted(policy, 0, outage_grace_usd="0")


def test_a_tier_without_limits_goes_on(policy: OutagePolicy) -> None:
    for _ in range(100):
        policy.decide(rules(), "ada", "pro", 10**15, "rsv_1")


def test_block_means_nobody_and_says_to_try_again(policy: OutagePolicy) -> None:
    with pytest.raises(Problem) as refused:
        policy.decide(rules(outage="block"), "ada", None, 0, "rsv_1")
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})


def test_memory_is_bounded_and_who_came_last_is_remembered(
    policy: OutagePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "_USERS_MAX", 3)
    for user in "abc":
        assert admitted(policy, 29 * CENT, user=user)
    assert admitted(policy, CENT, user="a")
    assert admitted(policy, CENT, user="d")
    assert len(policy._allowed_nano) == 3
    assert not admitted(policy, CENT, user="a")
    assert not admitted(policy, 30 * CENT, user="d")
    assert admitted(policy, 30 * CENT, user="b")


def test_the_answer_has_the_fields_of_any_other(policy: OutagePolicy) -> None:
    answer = policy.decide(rules(), "ada", "free", CENT, "rsv_7")
    assert answer["reservation_id"] == "rsv_7"
    assert answer["reserved_usd"] == "0.00"
    assert answer["expires_at"] == "2027-01-15T08:10:00Z"
    with pytest.raises(Problem, match="tiers/gold"):
        policy.decide(rules(), "ada", "gold", CENT, "rsv_7")
