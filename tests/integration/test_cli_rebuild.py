"""tollkeeper rebuild and verify, by their command line, over a real Redis and an S3."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import boto3
import pytest
from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_admin import RedisAdmin
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import (
    LedgerUnavailableError,
    NothingPublishedError,
    StaleConfigError,
)
from tollkeeper_core.domain.movements import (
    Claim,
    Grant,
    Hold,
    Settle,
    Settlement,
    SubscriptionState,
)
from tollkeeper_core.domain.periods import Calendar, periods_at
from tollkeeper_core.domain.postings import (
    claim_postings,
    grant_postings,
    settlement_postings,
    subscription_postings,
)
from tollkeeper_core.domain.user_state import UserState
from tollkeeper_core.services.sync_config import ConfigError, EmptiedStoreError

from infra.cli.commands import clock
from tests.support.record import owner, s3
from tests.support.redis_stack import RedisStack
from tests.support.stage import DAY_MS, REGION, Stage

CENT = 10_000_000


def some_traffic(stage: Stage) -> None:
    assert stage.buy("cs_1")
    stage.settle("e1", 30 * CENT)
    stage.settle("e2", 40 * CENT)
    stage.settle("e3", CENT, user="b:o{b} é")
    stage.subscribe("sub_1", user="carol")


def test_an_emptied_redis_lets_nobody_in_until_it_is_rebuilt(stage: Stage) -> None:
    some_traffic(stage)
    users = ["ada", "b:o{b} é", "carol"]
    before = stage.admin.states(users)
    version = stage.version
    stage.redis.flush()

    with pytest.raises(EmptiedStoreError, match="Run tollkeeper rebuild"):
        stage.sync()
    assert "Redis was emptied" in str(stage.redis.direct.get(keys.CONFIG_ERROR))
    assert stage.admin.load() is None
    periods = periods_at(Calendar(), clock())
    late = Settle("ada", "e4", CENT, None, periods, clock())
    assert isinstance(stage.admin.settle([late], version)[0], StaleConfigError)
    with pytest.raises(NothingPublishedError):
        stage.buy("cs_1")
    with pytest.raises(NothingPublishedError):
        stage.subscribe("sub_1")
    with pytest.raises(NothingPublishedError):
        stage.admin.claim(Claim("ada", "cs_1", "re_1", (0, 2), 500, Hold.NONE, clock()))
    assert not stage.admin.has_users()

    code, said = stage.rebuild()

    assert code == 0, said
    assert "Users: 3," in said
    assert stage.admin.states(users) == before
    account = stage.admin.account("carol", 0, clock())
    assert (account.customer_id, account.subscriptions) == ("cus_carol", {"sub_1": "monthly"})
    assert stage.redis.direct.get(keys.CONFIG_ERROR) is None
    assert not stage.admin.is_rebuilding()
    assert stage.run("verify") == (0, stage.run("verify")[1])
    assert stage.settle("e1", CENT).replayed
    assert not stage.buy("cs_1")
    assert stage.sync()
    assert stage.admin.states(users) == before


def test_a_first_installation_is_no_emptied_redis(stage: Stage) -> None:
    stage.redis.flush()
    assert stage.sync()
    assert stage.admin.is_published()


def test_a_wrong_configuration_is_told_before_anything_is_done(stage: Stage) -> None:
    some_traffic(stage)
    boto3.client("ssm", region_name=REGION).put_parameter(
        Name=f"/tollkeeper/{stage.name}/tiers/free", Value="{", Overwrite=True
    )
    code, said = stage.rebuild("--force")
    assert (code, "tiers/free: is not JSON" in said) == (2, True)
    assert stage.admin.is_published()


def test_a_redis_in_use_is_left_alone_and_force_replaces_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.cli.commands._PAUSE_S", 0.0)
    some_traffic(stage)
    (before,) = stage.admin.states(["ada"])
    code, said = stage.rebuild()
    assert (code, "in use" in said, "--force" in said) == (2, True, True)

    stage.redis.direct.hset(keys.user("ada"), "lots", "")
    stage.redis.direct.hset(keys.user("mallory"), "lots", "cs_0,9,9,1,usd,0,1")
    assert stage.run("verify")[0] == 1
    code, said = stage.rebuild("--force")

    assert code == 0, said
    assert stage.admin.states(["ada", "mallory"]) == [before, UserState("mallory")]
    assert stage.run("verify")[0] == 0


def test_users_without_a_configuration_are_not_overwritten_unasked(stage: Stage) -> None:
    some_traffic(stage)
    stage.admin.unpublish()
    code, said = stage.rebuild()
    assert (code, "not empty" in said, "--force" in said) == (2, True, True)
    assert stage.rebuild("--force")[0] == 0


def test_force_does_not_replace_a_state_by_nothing(stage: Stage) -> None:
    stage.redis.direct.hset(keys.user("ada"), "lots", "")
    code, said = stage.rebuild("--force")
    assert (code, "archive is empty" in said) == (2, True)
    assert stage.admin.has_users()


def test_nobody_to_ask_means_no(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    some_traffic(stage)
    stage.redis.flush()
    with open(os.devnull) as nobody:  # noqa: PTH123  # a terminal that is none
        monkeypatch.setattr(sys, "stdin", nobody)
        code, said = stage.run("rebuild", "--grace", "0")
    assert (code, "--yes" in said) == (2, True)
    assert not stage.admin.has_users()


def test_a_rebuild_that_broke_off_is_begun_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    some_traffic(stage)
    before = stage.admin.states(["ada", "carol"])
    stage.redis.flush()

    def break_off(self: RedisAdmin, states: Sequence[UserState], now_ms: int) -> None:
        # Half of them; and, as a forced one may leave it, somebody who is not on record.
        real(self, [UserState("ada", owed_nano=7), UserState("ghost", owed_nano=7)], now_ms)
        raise LedgerUnavailableError("gone")

    real = RedisAdmin.restore
    with monkeypatch.context() as patched:
        patched.setattr(RedisAdmin, "restore", break_off)
        assert stage.rebuild()[0] == 2
    assert stage.admin.has_users()
    with pytest.raises(ConfigError):
        stage.sync()

    assert stage.rebuild()[0] == 0
    assert stage.admin.states(["ada", "carol", "ghost"]) == [*before, UserState("ghost")]


def test_a_configuration_published_meanwhile_stops_the_rebuild(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    some_traffic(stage)
    stage.redis.flush()
    real = RedisAdmin.restore

    def published_meanwhile(self: RedisAdmin, states: Sequence[UserState], now_ms: int) -> None:
        self.publish(Config.model_validate({"tiers": {"free": {"limits": {}}}}), 1)
        real(self, states, now_ms)

    monkeypatch.setattr(RedisAdmin, "restore", published_meanwhile)
    code, said = stage.rebuild()
    assert (code, "published while" in said) == (2, True)
    assert stage.admin.states(["ada"]) == [UserState("ada")]


def test_each_planted_difference_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.cli.commands._PAUSE_S", 0.0)
    some_traffic(stage)
    assert stage.run("verify")[0] == 0
    redis, now_ms = stage.redis.direct, clock()
    day, _, month = periods_at(Calendar(), now_ms).ids
    redis.hset(keys.user("ada"), "lots", f"cs_1,{4 * 10**9},{4 * 10**9},500,usd,0,1")
    redis.hset(keys.user("ada"), "owed", "3")
    redis.hset(keys.user("b:o{b} é"), day, "1 2 0 0")
    redis.hdel(keys.user("b:o{b} é"), month)
    periods = redis.hget(keys.user("b:o{b} é"), "periods")
    assert isinstance(periods, bytes)
    left = ",".join(p for p in periods.decode().split(",") if p != month)
    redis.hset(keys.user("b:o{b} é"), "periods", left)
    redis.delete(keys.subscriptions("carol"))
    redis.hset(keys.user("nobody"), mapping={"periods": day, day: "5 5 0 0"})
    redis.delete(keys.purchases("ada"))

    code, said = stage.run("verify")

    assert code == 1
    rows = [line for line in said.splitlines() if "│" in line]
    told = {tuple(cell.strip() for cell in row.split("│")[1:3]) for row in rows}
    assert told == {
        ("ada", "lot cs_1"),
        ("ada", "owed usd"),
        ("ada", "purchase cs_1"),
        ("b:o{b} é", f"spent in {day}"),
        ("b:o{b} é", f"spent in {month}"),
        ("carol", "subscription sub_1"),
        ("nobody", f"spent in {day}"),
    }
    assert "7 differences" in said


def test_what_is_archived_a_moment_later_is_no_difference(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    some_traffic(stage)
    now_ms = clock()
    request = Settle("ada", "e9", CENT, None, periods_at(Calendar(), now_ms), now_ms)
    (settled,) = stage.admin.settle([request], stage.version)
    assert isinstance(settled, Settlement)

    def archive_it(_: float) -> None:
        stage.record.write(settlement_postings(settled))

    times = SimpleNamespace(time_ns=time.time_ns, sleep=archive_it)
    monkeypatch.setattr("infra.cli.commands.time", times)
    assert stage.run("verify")[0] == 0


def test_redis_emptied_in_the_middle_of_traffic(stage: Stage) -> None:
    """Some are settled and archived, some settled and not, some neither: all come again."""
    assert stage.buy("cs_1")
    costs = {f"e{n}": (n + 1) * CENT // 7 for n in range(24)}
    for n, (event, nano) in enumerate(costs.items()):
        if n < 8:
            stage.settle(event, nano)
        elif n < 16:
            now_ms = clock()
            request = Settle("ada", event, nano, None, periods_at(Calendar(), now_ms), now_ms)
            stage.admin.settle([request], stage.version)
    stage.redis.flush()
    assert stage.rebuild()[0] == 0

    for event, nano in [*costs.items(), *costs.items()]:
        stage.settle(event, nano)

    (state,) = stage.admin.states(["ada"])
    month = periods_at(Calendar(), clock()).monthly.id
    assert state.spent[month].total_nano == sum(costs.values())
    assert stage.run("verify")[0] == 0
    once = {line["id"]: line["amount"] for line in stage.lines() if line["account"] == "cash"}
    assert once == {"grant:cs_1:4": -500}


def test_what_is_written_late_is_read_before_traffic_is_let_in(redis: RedisStack) -> None:
    now_ms = 1_795_600_000_000
    config = Config.model_validate({"tiers": {"free": {"limits": {}}}})
    periods = periods_at(Calendar(), now_ms)
    with s3() as client, owner(redis, client, config, now_ms) as own:
        own.sync()
        loaded = own.admin.load()
        assert loaded is not None
        requests = [Settle("ada", f"e{n}", 5, None, periods, now_ms) for n in range(2)]
        sets = [
            settlement_postings(s)
            for s in own.admin.settle(requests, loaded[0])
            if isinstance(s, Settlement)
        ]
        own.record.write(sets[0])
        redis.flush()
        own.grace_s = 3.0

        def write_late(step: str, done: int, total: int | None = None, detail: str = "") -> None:
            if (step, done) == ("wait", 2):
                own.record.write(sets[1])

        own.told = write_late
        assert own.rebuild().postings == 4
        (state,) = own.admin.states(["ada"])
        assert state.spent[periods.daily.id].total_nano == 10
        assert sum(own.slept_s) >= 3.0


def test_a_claim_heard_before_its_purchase_outlives_redis(stage: Stage) -> None:
    heard = Claim("ada", "cs_1", "re_1", (0, 2), 250, Hold.NONE, clock())
    early = stage.admin.claim(heard)
    assert early is not None
    stage.record.write(claim_postings(early))
    stage.redis.flush()
    assert stage.rebuild()[0] == 0

    granted = stage.admin.grant(Grant("ada", "cs_1", "p", 1000, 500, "usd", None, None, clock()))
    stage.record.write(grant_postings(granted))
    assert granted.claimed
    assert stage.run("verify")[0] == 0
    claimed = stage.admin.claim_again("ada", "cs_1", clock())
    assert claimed is not None
    stage.record.write(claim_postings(claimed))
    assert [lot.remaining_nano for lot in stage.admin.states(["ada"])[0].lots] == [500]
    assert stage.run("verify")[0] == 0
    stage.redis.flush()
    assert stage.rebuild()[0] == 0
    assert stage.admin.claim(heard) == replace(early, replayed=True)
    assert stage.admin.claim_again("ada", "cs_1", clock()) == replace(claimed, replayed=True)
    assert stage.run("verify")[0] == 0


def test_two_words_of_one_second_on_a_subscription_count_the_same_in_any_order(
    stage: Stage,
) -> None:
    now_ms = clock()
    plans = ("max", "monthly")
    for user, order in (("ada", plans), ("bob", plans[::-1])):
        for plan in order:
            state = SubscriptionState(
                user, f"sub_{user}", plan, "pro", now_ms + DAY_MS, (9, 1), None, now_ms
            )
            stage.admin.apply_subscription(state)
            stage.record.write(subscription_postings(state))
    ada, bob = stage.admin.states(["ada", "bob"])
    assert ada.subscriptions["sub_ada"] == bob.subscriptions["sub_bob"]
    assert stage.run("verify")[0] == 0


def test_lives_are_those_of_the_first_time(redis: RedisStack) -> None:
    """Markers end 16 days, idle users 400 days after they settled; buyers never."""
    now_ms = 1_795_600_000_000
    config = Config.model_validate({"tiers": {"free": {"limits": {}}}})
    with s3() as client, owner(redis, client, config, now_ms) as own:
        own.sync()
        loaded = own.admin.load()
        assert loaded is not None
        ages = {"new": 0, "ten": 10, "old": 17, "gone": 401}
        for user, days in ages.items():
            at_ms = now_ms - days * DAY_MS
            request = Settle(user, "e", 5, None, periods_at(Calendar(), at_ms), at_ms)
            (settled,) = own.admin.settle([request], loaded[0])
            assert isinstance(settled, Settlement)
            own.record.write(settlement_postings(settled))
        request_ = Grant("old", "cs_1", "p", 10, 10, "usd", None, None, now_ms)
        own.record.write(grant_postings(own.admin.grant(request_)))
        own.admin.apply_subscription(
            SubscriptionState("ten", "sub_1", "p", "pro", 0, (1, 2), None, now_ms)
        )
        redis.flush()

        assert own.rebuild().settlements == 2

        ttl = redis.direct.ttl
        assert ttl(keys.event("new", "e")) == pytest.approx(16 * 86_400, abs=60)
        assert ttl(keys.event("ten", "e")) == pytest.approx(6 * 86_400, abs=60)
        assert not redis.direct.exists(keys.event("old", "e"))
        assert ttl(keys.user("new")) == pytest.approx(400 * 86_400, abs=60)
        assert ttl(keys.user("ten")) == pytest.approx(390 * 86_400, abs=60)
        assert ttl(keys.user("old")) == -1
        assert not redis.direct.exists(keys.user("gone"))
        assert own.verify() == []


def test_revoke_takes_back_by_hand_and_leaves_a_record(stage: Stage) -> None:
    assert stage.buy("cs_1")
    stage.settle("e1", 350 * CENT)  # 50 cents by the allowance, 300 by the lot
    code, said = stage.run("revoke", "ada", "cs_1", "--refunded", "250")
    assert code == 0, said
    assert "$2.50" in said
    assert "1.00 USD of AI spend" in said
    assert "1.00 USD were used already" in said
    assert stage.run("revoke", "ada", "cs_1", "--refunded", "250")[0] == 0
    assert stage.run("verify")[0] == 0
    stage.redis.flush()
    assert stage.rebuild()[0] == 0
    assert stage.admin.states(["ada"])[0].owed_nano == 100 * CENT

    assert stage.run("freeze", "ada", "cs_1")[0] == 0
    assert stage.run("verify")[0] == 0
    assert stage.run("freeze", "ada", "cs_9")[0] == 2

    for arguments, says in [
        (("ada", "cs_9", "--refunded", "1"), "no purchase 'cs_9'. Theirs: cs_1"),
        (("ada", "cs_1", "--refunded", "0"), "at most what was paid, $5.00"),
        (("ada", "cs_1", "--refunded", "501"), "at most what was paid"),
        (("ada", "cs_1", "--refunded", "200"), "more was taken back before"),
    ]:
        code, said = stage.run("revoke", *arguments)
        assert (code, says in said) == (2, True), said


def test_freeze_and_thaw_by_hand(stage: Stage) -> None:
    assert stage.buy("cs_1")

    def frozen() -> list[bool]:
        return [lot.frozen for lot in stage.admin.states(["ada"])[0].lots]

    assert "frozen" in stage.run("freeze", "ada", "cs_1")[1]
    assert frozen() == [True]
    warned = Claim("ada", "cs_1", "issfr_1", (1, 0), 0, Hold.WARNING, clock())
    claimed = stage.admin.claim(warned)
    assert claimed is not None
    stage.record.write(claim_postings(claimed))
    assert "may be used" in stage.run("thaw", "ada", "cs_1")[1]
    assert frozen() == [False]
    disputed = Claim("ada", "cs_1", "dp_1", (1, 1), 0, Hold.OPEN, clock())
    claimed = stage.admin.claim(disputed)
    assert claimed is not None
    stage.record.write(claim_postings(claimed))
    code, said = stage.run("thaw", "ada", "cs_1")
    assert (code, "A dispute about cs_1 is open" in said) == (2, True)
    assert frozen() == [True]
    stage.redis.flush()
    assert stage.rebuild()[0] == 0
    assert frozen() == [True]
    assert stage.run("verify")[0] == 0


def test_what_is_missing_is_named(stage: Stage) -> None:
    name = stage.name
    stage.name = "nowhere"
    code, said = stage.run("verify")
    assert (code, "/tollkeeper/nowhere/secrets/upstash_url is missing" in said) == (2, True)
    stage.name = name
    code, said = stage.run("verify", "--bucket", "no-such-bucket")
    assert (code, "NoSuchBucket" in said) == (2, True)


def test_the_archive_is_found_by_its_name_where_there_is_no_stack(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARCHIVE_BUCKET")
    assert stage.run("verify")[0] == 0
    stage.s3.create_bucket(
        Bucket=f"{stage.bucket}-second", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    code, said = stage.run("verify")
    assert (code, "there are several" in said, "--bucket" in said) == (2, True, True)


def test_the_entry_point(stage: Stage) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli", "verify", "--stage", stage.name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "agree" in done.stdout) == (0, True), done.stderr
