"""The funnel over a real Redis and a real archive: every figure is the crowd's own count."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import boto3
import pytest
from tollkeeper_core import bootstrap, telemetry
from tollkeeper_core.adapters.record import S3Record
from tollkeeper_core.adapters.redis_admin import RedisAdmin
from tollkeeper_core.adapters.redis_funnel import RedisFunnel
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.adapters.step_bench import StepBench
from tollkeeper_core.adapters.step_queue import SqsSteps
from tollkeeper_core.adapters.workbench import open_workbench
from tollkeeper_core.domain.announcements import Announcement, AnnouncementError
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.experiments import Seen, SeenSource
from tollkeeper_core.domain.forgetting import Forgetting
from tollkeeper_core.domain.funnel import (
    Counted,
    FunnelSource,
    Step,
    StepKind,
    is_step_message,
    read_step_message,
    step_message,
)
from tollkeeper_core.domain.periods import Calendar
from tollkeeper_core.services.analytics import Analytics
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.count_steps import CountSteps
from tollkeeper_core.services.export import Export
from tollkeeper_core.services.forget import Forget
from tollkeeper_core.services.settle import Failed

from functions.log_usage.app import handler
from tests.support.function_server import Context
from tests.support.funnel_crowd import DAY_MS, EXPERIMENT, Crowd, deliveries
from tests.support.outside import Counts
from tests.support.record import BUCKET, quiet, s3
from tests.support.redis_stack import RedisStack
from tests.support.stage import REGION

FIRST = date(2026, 10, 26)  # a Monday
FIRST_MS = 1_792_972_800_000
LAST = FIRST + timedelta(days=28)
CALENDAR = Calendar("America/New_York")


@dataclass
class Bus:
    """Announcements, kept. ``down``: it takes none."""

    told: list[Announcement] = field(default_factory=list)
    down: bool = False

    def publish(self, stage: str, announcements: Any) -> None:
        if self.down:
            raise AnnouncementError("down")
        self.told += announcements


class Funnel:
    """The service over Redis and S3 with a clock of its own."""

    def __init__(self, store: RedisStore, record: S3Record) -> None:
        self.now_ms = FIRST_MS + 29 * DAY_MS
        config = Config.model_validate(
            {
                "settings": {"time_zone": CALENDAR.time_zone},
                "tiers": {"free": {"limits": {}}},
            }
        )
        assert store.publish(config, 1)
        self.redis, self.record = RedisFunnel(store), record
        self.bus, self.counts = Bus(), Counts()
        configs = ConfigCache(store.load, lambda: config, lambda: self.now_ms)
        self.count = CountSteps(
            self.redis, record, self.bus, configs, "test", lambda: self.now_ms, self.counts
        )

    def deliver(self, steps: list[Step]) -> list[Counted | Failed | None]:
        return self.count.messages([step_message(step) for step in steps])

    @property
    def sources(self) -> list[FunnelSource]:
        return [self.redis, StepBench(self.record, quiet)]

    @property
    def seen_by(self) -> list[SeenSource]:
        return [self.redis, StepBench(self.record, quiet)]


@pytest.fixture
def funnel(store: RedisStore) -> Iterator[Funnel]:
    with s3() as client:
        yield Funnel(store, S3Record(client, BUCKET))


def step(kind: StepKind = StepKind.LIMIT_REACHED, prompt: str = "prm_1", **more: Any) -> Step:
    told = {"user_id": "ada", "at_ms": FIRST_MS + DAY_MS, "trigger": "daily", "tier": "free"}
    return Step(kind=kind, prompt_id=prompt, **(told | more))


def test_the_report_is_one_request(funnel: Funnel, redis: RedisStack) -> None:
    funnel.deliver([step()])
    redis.reset_stats()
    Analytics(funnel.redis, CALENDAR, LAST).funnel(FIRST, LAST, "week")
    assert redis.stats()["http_requests"] == 1


def test_a_repetition_gets_the_first_word_and_changes_nothing(funnel: Funnel) -> None:
    first, again = step(), step(at_ms=FIRST_MS + 5 * DAY_MS, tier="pro")
    other = step(prompt="prm_2", trigger="weekly")
    assert funnel.deliver([first, other])[0] == funnel.deliver([again])[0]
    for source in funnel.sources:  # the record has it in two objects
        counts, _ = source.counts([f"d:{FIRST + timedelta(days=n)}" for n in range(9)], [])
        assert sorted((c.day, c.trigger, c.tier, c.count) for c in counts) == [
            ("d:2026-10-26", "daily", "free", 1),
            ("d:2026-10-26", "weekly", "free", 1),
        ]


@pytest.mark.parametrize("broken", ["archive", "bus"])
def test_what_fails_after_the_count_is_made_good_by_the_next_delivery(
    funnel: Funnel, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    with monkeypatch.context() as patch:
        if broken == "bus":
            funnel.bus.down = True
        else:
            patch.setattr(funnel.record, "write_steps", _no_s3)
        with pytest.raises((OSError, AnnouncementError)):
            funnel.deliver([step()])
    funnel.bus.down = False
    funnel.deliver([step()])
    for source in funnel.sources:
        counts, _ = source.counts(["d:2026-10-26"], [])
        assert [c.count for c in counts] == [1]
    (told,) = funnel.bus.told
    assert (told.kind, told.detail["window"]) == ("limit.reached", "daily")


def _no_s3(_: object) -> None:
    raise OSError("the archive is down")


def test_the_owner_hears_of_a_limit_once_a_period(funnel: Funnel) -> None:
    hour = 3_600_000
    funnel.deliver([step(prompt=f"prm_{n}", at_ms=FIRST_MS + DAY_MS + n * hour) for n in range(30)])
    assert len(funnel.bus.told) == 3  # in New York these are three days
    funnel.deliver([step(prompt="prm_w", trigger="weekly")])
    funnel.deliver([step(StepKind.PROMPT_SHOWN, "prm_b", trigger="button")])
    assert [told.detail["window"] for told in funnel.bus.told][3:] == ["weekly"]


def test_what_is_too_late_to_tell_twice_from_once_is_not_counted(funnel: Funnel) -> None:
    late = step(at_ms=funnel.now_ms - 30 * DAY_MS - 1)
    just = step(prompt="prm_2", at_ms=funnel.now_ms - 30 * DAY_MS)
    assert [answer is None for answer in funnel.deliver([late, just])] == [True, False]
    assert funnel.counts.names == ["StepTooLate"]


def test_what_the_queue_carries_is_what_was_told(moto_url: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    sqs, lost = boto3.client("sqs"), Counts()
    url = sqs.create_queue(QueueName="steps")["QueueUrl"]
    told = [step(prompt=f"prm_{n}", user_id='é "quoted" {x}') for n in range(12)]
    SqsSteps(url, REGION, lost)(told)
    bodies: list[str] = []
    while got := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        bodies += [message["Body"] for message in got]
        for message in got:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert all(map(is_step_message, bodies))
    assert {s.prompt_id: s for s in map(read_step_message, bodies)} == {
        s.prompt_id: s for s in told
    }
    assert lost.names == []
    sqs.delete_queue(QueueUrl=url)
    SqsSteps(url, REGION, lost)(told[:2])
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    SqsSteps(url, REGION, lost)(told[:1])
    assert lost.names == ["StepLost"] * 3


def test_a_message_that_is_no_step_fails_alone(funnel: Funnel) -> None:
    good = step_message(step())
    bad = good.replace('"daily"', '"Every day"')
    first, second = funnel.count.messages([bad, good])
    assert isinstance(first, Failed)
    assert "Every day" not in first.reason
    assert isinstance(second, Counted)


def test_every_key_ends(funnel: Funnel, redis: RedisStack) -> None:
    funnel.deliver([step(), step(StepKind.PAID, currency="usd", minor=500)])
    named = [key.decode() for key in redis.direct.scan_iter()]
    lives = {key: redis.direct.ttl(key) for key in named if key != "tk:config"}
    assert len(lives) == 7
    for key, life in lives.items():
        assert 0 < life <= (800 if key.startswith("tk:funnel:") else 62) * 86_400, key


def test_a_forgotten_user_is_nowhere_and_still_counts(funnel: Funnel, redis: RedisStack) -> None:
    funnel.deliver([step(), step(StepKind.PROMPT_SHOWN)])
    funnel.deliver([step(prompt="prm_2"), step(prompt="prm_3", user_id="bob")])
    before = [source.counts(["d:2026-10-26"], ["d:2026-10-26"]) for source in funnel.sources]
    with LeanRedis(redis.url, redis.token, 10.0) as client:
        Forget(funnel.record, RedisAdmin(client), lambda: "ab" * 64)("ada", quiet)
    assert [
        source.counts(["d:2026-10-26"], ["d:2026-10-26"]) for source in funnel.sources
    ] == before
    assert not [key for key in redis.direct.scan_iter() if b"ada" in key]
    lines = [
        line
        for page in funnel.record.versions()
        for found in funnel.record.read_versions(page)
        for line in found
    ]
    assert len(lines) == 4
    assert not [line for line in lines if '"ada"' in line or "prm_1" in line or "prm_2" in line]


def in_experiment(kind: StepKind, arm: str, prompt: str = "prm_1", **more: Any) -> Step:
    return step(kind, prompt, variant=f"copy:{arm}", **more)


def seen(funnel: Funnel) -> list[list[Seen]]:
    """By each source, sorted."""
    return [sorted(source.seen("copy"), key=lambda one: one.user_id) for source in funnel.seen_by]


def test_an_experiment_knows_who_saw_it_first_when_and_who_bought(
    funnel: Funnel, redis: RedisStack
) -> None:
    at_ms = FIRST_MS + DAY_MS
    shown, paid, bought = StepKind.PROMPT_SHOWN, StepKind.PAID, {"currency": "usd", "minor": 500}
    told = [
        in_experiment(paid, "short", "prm_2", at_ms=at_ms + 60, **bought),
        in_experiment(shown, "short", "prm_2", at_ms=at_ms + 50),
        in_experiment(shown, "short", "prm_1", at_ms=at_ms + 7),
        in_experiment(shown, "short", "prm_3", at_ms=at_ms + 90),
        in_experiment(shown, "holdout", "prm_9", at_ms=at_ms, user_id="é|b"),
        # None of these was shown the page of this experiment.
        in_experiment(StepKind.LIMIT_REACHED, "short", "prm_4", user_id="carol"),
        in_experiment(paid, "short", "prm_5", user_id="dan", **bought),
        step(shown, "prm_6", user_id="eve"),
        step(shown, "prm_7", user_id="fay", variant="copy-2:short"),
    ]
    funnel.deliver(told)
    funnel.deliver(told[::-1])
    expected = [Seen("ada", "short", at_ms + 7, True), Seen("é|b", "holdout", at_ms, False)]
    assert seen(funnel) == [expected, expected]
    assert 0 < redis.direct.ttl("tk:experiment:copy") <= 800 * 86_400


def test_without_an_experiment_a_step_costs_no_command_more(
    funnel: Funnel, redis: RedisStack
) -> None:
    funnel.deliver([step(StepKind.PROMPT_SHOWN)])
    assert not list(redis.direct.scan_iter("tk:experiment*"))


def test_a_forgotten_user_goes_on_counting_in_an_experiment_under_no_name(
    funnel: Funnel, redis: RedisStack
) -> None:
    funnel.deliver(
        [
            in_experiment(StepKind.PROMPT_SHOWN, "short"),
            in_experiment(StepKind.PAID, "short", currency="usd", minor=500),
            in_experiment(StepKind.PROMPT_SHOWN, "holdout", "prm_2", user_id="bob"),
            step(StepKind.PROMPT_SHOWN, "prm_3", variant="other:short"),
        ]
    )
    with LeanRedis(redis.url, redis.token, 10.0) as client:
        for _ in range(2):
            Forget(funnel.record, RedisAdmin(client), lambda: "ab" * 64)("ada", quiet)
    by_counters, by_record = seen(funnel)
    assert by_counters == by_record
    assert [one.user_id for one in by_counters] == ["bob", Forgetting("ada", "ab" * 64).alias]
    assert [(one.arm, one.bought) for one in by_counters] == [("holdout", False), ("short", True)]
    for key in redis.direct.scan_iter("tk:experiment:*"):
        assert not [field for field in redis.direct.hkeys(key) if field.endswith(b"|ada")]


def test_export_tells_each_of_a_users_steps_once(funnel: Funnel, redis: RedisStack) -> None:
    funnel.deliver([step(), step(prompt="prm_9", user_id="bob")])
    funnel.deliver([step(), step(StepKind.PROMPT_SHOWN)])
    with LeanRedis(redis.url, redis.token, 10.0) as client:
        export = Export(funnel.record, RedisAdmin(client), open_workbench)
        told = json.loads("".join(export("ada", quiet)))
    assert [(s["prompt_id"], s["step"]) for s in told["steps"]] == [
        ("prm_1", "limit_reached"),
        ("prm_1", "prompt_shown"),
    ]
    assert told["postings"] == []


def test_export_tells_what_a_user_saw_in_experiments_and_nobody_else(
    funnel: Funnel, redis: RedisStack
) -> None:
    shown = StepKind.PROMPT_SHOWN
    funnel.deliver([in_experiment(shown, "short"), step(shown, "prm_8", variant="other:long")])
    funnel.deliver([in_experiment(shown, "short", "prm_9", user_id="bob")])
    with LeanRedis(redis.url, redis.token, 10.0) as client:
        export = Export(funnel.record, RedisAdmin(client), open_workbench)
        told = json.loads("".join(export("ada", quiet)))
    at_ms = FIRST_MS + DAY_MS
    found = {key: value for key, value in told["live"].items() if "experiment" in key}
    assert found == {
        "tk:experiment:copy": {"prompt_shown|ada": f"{at_ms}|short"},
        "tk:experiment:other": {"prompt_shown|ada": f"{at_ms}|long"},
    }


def test_the_queue_holds_both_and_each_message_has_its_own_outcome(
    funnel: Funnel, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[str] = []

    def settle(bodies: list[str]) -> list[Failed]:
        settled.extend(bodies)
        return [Failed("no") for _ in bodies]

    monkeypatch.setattr(telemetry.metrics.provider, "namespace", "Tollkeeper")
    monkeypatch.setattr(bootstrap, "settle_usage", _always(settle))
    monkeypatch.setattr(bootstrap, "count_steps", _always(funnel.count))
    bodies = {"m1": step_message(step()), "m2": json.dumps({"event": 1}), "m3": '{"step":1}'}
    records = [{"messageId": n, "body": body} for n, body in bodies.items()]
    context: Any = Context()
    answer = handler({"Records": records}, context)
    assert [f["itemIdentifier"] for f in answer["batchItemFailures"]] == ["m2", "m3"]
    assert settled == [bodies["m2"]]
    counts, _ = funnel.redis.counts(["d:2026-10-26"], [])
    assert [c.count for c in counts] == [1]


def _always(service: Any) -> Callable[[object], Any]:
    return lambda _count: service


def test_ten_thousand_users_are_what_the_crowd_counted(funnel: Funnel) -> None:
    crowd = Crowd(users=10_000, first_ms=FIRST_MS, seed=6, calendar=CALENDAR)
    sent = deliveries(list(crowd.steps()), seed=7)
    assert crowd.lost > 100

    # More at once than comes from a queue: a batch writes an object for each of its days.
    for first in range(0, len(sent), 2_000):
        funnel.deliver(sent[first : first + 2_000])

    days = [f"d:{FIRST + timedelta(days=n - 1)}" for n in range(32)]
    periods = sorted({period for period, _ in crowd.seen})
    for source in funnel.sources:
        counts, users = source.counts(days, periods)
        found = {(c.day, _group(c)): (c.count, c.minor) for c in counts}
        assert len(found) == len(counts)
        assert found == {at: (n, crowd.minor[at]) for at, n in crowd.groups.items()}
        assert users == {
            (period, kind): len(crowd.seen.get((period, kind), ()))
            for period in periods
            for kind in StepKind
        }
    assert len({told.id for told in funnel.bus.told}) == len(crowd.reached)
    _same_report(funnel, crowd)


def _group(count: Any) -> str:
    parts = (count.kind, count.trigger, count.tier, count.offer, count.currency, count.variant)
    return "|".join(parts).removesuffix("|" if not count.variant else "")


def _same_report(funnel: Funnel, crowd: Crowd) -> None:
    paid: Counter[str] = Counter()
    minor: Counter[str] = Counter()
    steps: Counter[str] = Counter()
    for (day, group), n in crowd.groups.items():
        kind, _, _, _, currency = group.split("|")[:5]
        steps[kind] += n
        if kind == StepKind.PAID:
            paid[currency] += n
            minor[currency] += crowd.minor[day, group]
    first = FIRST - timedelta(days=1)
    reports = [
        Analytics(source, CALENDAR, LAST).funnel(first, LAST, "week") for source in funnel.sources
    ]
    assert reports[0] == reports[1]
    total = reports[0].total
    assert total.steps == steps
    assert total.conversion == Fraction(steps[StepKind.PAID], steps[StepKind.PROMPT_SHOWN])
    assert {c: s.average_minor for c, s in total.sales.items()} == {
        c: Fraction(minor[c], n) for c, n in paid.items()
    }
    assert reports[0].slices[1].users == {
        kind: len(crowd.seen.get((f"w:{FIRST}", kind), ())) for kind in StepKind
    }
    assert reports[0].slices[0].users is None  # of that week one day alone was asked for
    _same_variants(funnel, crowd, first)


def _same_variants(funnel: Funnel, crowd: Crowd, first: date) -> None:
    shown: Counter[str] = Counter()
    for (_, group), n in crowd.groups.items():
        kind, *_, variant = (*group.split("|"), "")[:6]
        shown[variant or "-"] += n if kind == StepKind.PROMPT_SHOWN else 0
    assert set(shown) == {"-", *(f"copy:{name}" for name in EXPERIMENT.split.shares)}
    # Both sources have told the same counts by now; to read the record once more takes its time.
    found = Analytics(funnel.redis, CALENDAR, LAST).funnel(first, LAST, "variant")
    assert {s.name: s.steps[StepKind.PROMPT_SHOWN] for s in found.slices} == shown


def test_what_was_counted_before_there_were_variants_counts_as_of_none(
    funnel: Funnel, redis: RedisStack
) -> None:
    funnel.deliver([step(), step(prompt="prm_2", variant="copy:short")])
    old = json.loads(step(prompt="prm_3").line(("d:2026-10-26", "w:2026-10-26", "m:2026-10")))
    del old["variant"]
    funnel.record.write_steps([json.dumps(old)])
    redis.direct.hincrby("tk:funnel:d:2026-10-26", "count|limit_reached|daily|free||", 1)
    for source in funnel.sources:
        counts, _ = source.counts(["d:2026-10-26"], [])
        assert {c.variant: c.count for c in counts} == {"": 2, "copy:short": 1}
