"""Messages that can never settle, on the template's own queues: where they end, and what passes."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tollkeeper_core import bootstrap, telemetry
from tollkeeper_core.adapters.prices import GenaiPrices
from tollkeeper_core.adapters.queue import SqsUsageQueue
from tollkeeper_core.adapters.record import S3Record
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.periods import Window, periods_at
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.settle import SettleUsage
from tollkeeper_core.services.tell_crossings import TellCrossings

from functions.log_usage.app import handler
from infra.local.clients import LocalAws
from infra.local.cloudformation import Deployment
from infra.local.lambdas.invocation import Result
from infra.local.lambdas.sqs_poller import RECEIVE_MAX, build_event, failed_ids
from infra.local.resources import create_resources
from infra.local.template import Queue, Stack, function_url_ids, read_template
from tests.support.function_server import Context
from tests.support.memory_ledger import MemoryAnnouncements
from tests.support.outside import ListQueue

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
NOON_MS = 1_795_608_000_000  # 2026-11-25T12:00:00Z
CENT = 10_000_000
REGION = "us-east-1"
_stacks = count()

NO_JSON = "{"


def usage(event: str, **fields: Any) -> str:
    event_of = {"event_id": event, "user_id": "ada", **fields}
    return json.dumps({"received_ms": NOON_MS, "event": event_of})


UNKNOWN = usage("no-price", model="no-such-model", usage={"input_tokens": 10, "output_tokens": 20})
ABSURD = usage("absurd", model="gpt-4o", usage={"input_tokens": 10**12, "output_tokens": 1})
NO_USAGE = usage("no-usage", model="gpt-4o", usage={"tokens": {"of": ["any", "shape"]}})
TOO_DEAR = usage("too-dear", cost_usd="1000000.000000001")
POISON = (NO_JSON, UNKNOWN, ABSURD, NO_USAGE, TOO_DEAR)


def config(**settings: Any) -> Config:
    limits = {"daily": {"limit_usd": "0.50"}}
    return Config.model_validate({"settings": settings, "tiers": {"free": {"limits": limits}}})


def never() -> Config:
    raise AssertionError("the parameters are asked only while Redis is away")


@dataclass
class Line:
    """The queue, its dead-letter queue, and a poller with the function behind it."""

    aws: LocalAws
    stack: Stack
    store: RedisStore
    received: Counter[str] = field(default_factory=Counter)
    neighbours: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sqs, self.s3 = self.aws.sqs(), self.aws.s3()
        self.record = S3Record(self.s3, self.stack.buckets[0].name)
        self.configs = ConfigCache(self.store.load, never, lambda: NOON_MS)

    def settle_usage(self, count: Any) -> SettleUsage:
        return SettleUsage(
            self.store,
            self.configs,
            GenaiPrices(),
            self.record,
            lambda: NOON_MS,
            count,
            ListQueue(),
        )

    def queue(self, logical_id: str) -> Queue:
        return next(queue for queue in self.stack.queues if queue.logical_id == logical_id)

    @property
    def tries(self) -> int:
        return int(self.queue("UsageQueue").attributes["RedrivePolicy"]["maxReceiveCount"])

    def send(self, *bodies: str, to: str = "UsageQueue") -> None:
        assert all(SqsUsageQueue(self.sqs, self.queue(to).url).send(bodies))

    def send_neighbours(self, number: int) -> None:
        bodies = [usage(f"e{len(self.neighbours) + n}", cost_usd="0.01") for n in range(number)]
        self.neighbours += bodies
        self.send(*bodies)

    def deliver(self) -> bool:
        """One batch, as Lambda's poller hands it on; invisible for no time, to be quick."""
        url, source = (
            self.queue("UsageQueue").url,
            self.stack.function("LogUsageFunction").queues[0],
        )
        messages = self.sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(RECEIVE_MAX, source.batch_size),
            VisibilityTimeout=0,
            WaitTimeSeconds=0,
            MessageSystemAttributeNames=["All"],
        ).get("Messages", [])
        self.received.update(message["Body"] for message in messages)
        if messages:
            context: Any = Context()
            answer = handler(build_event(messages, source), context)
            ids = [message["MessageId"] for message in messages]
            result = Result(json.dumps(answer).encode())
            failed = failed_ids(result, ids, reports_item_failures=source.reports_item_failures)
            for message in messages:
                if message["MessageId"] not in failed:
                    self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bool(messages)

    def deliver_all(self) -> None:
        while self.deliver():
            pass

    def take_all(self, name: str) -> list[str]:
        """Every message of a queue, taken out of it."""
        bodies = []
        while messages := self.sqs.receive_message(
            QueueUrl=self.queue(name).url, MaxNumberOfMessages=10, WaitTimeSeconds=0
        ).get("Messages"):
            for message in messages:
                bodies.append(message["Body"])
                self.sqs.delete_message(
                    QueueUrl=self.queue(name).url, ReceiptHandle=message["ReceiptHandle"]
                )
        return bodies

    def redrive(self) -> None:
        """As StartMessageMoveTask: a message comes anew, and its receives are counted anew."""
        self.received.clear()
        self.send(*self.take_all("UsageDeadLetterQueue"))

    @property
    def recorded(self) -> dict[str, int]:
        """What the archive says that each event cost; a line that is there twice counts once."""
        lines = {
            line["id"]: line
            for names in self.record.names()
            for _, texts in self.record.read(names)
            for line in map(json.loads, texts)
        }
        usages = [line for line in lines.values() if line["account"] == "user:ada:usage"]
        costs = {json.loads(line["terms"])["event_id"]: line["amount"] for line in usages}
        assert len(costs) == len(usages)
        return costs

    @property
    def spent(self) -> int:
        periods = periods_at(config().settings.calendar, NOON_MS)
        loaded = self.store.load()
        assert loaded is not None
        standing = self.store.read("ada", None, periods, NOON_MS, loaded[0])
        return standing.counters[Window.DAILY].total_nano


@pytest.fixture
def line(moto_url: str, store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    urls = dict.fromkeys(function_url_ids(TEMPLATE), "http://127.0.0.1/")
    deployment = Deployment(moto_url, urls, stack_name=f"poison-{next(_stacks)}", region=REGION)
    stack = read_template(TEMPLATE, deployment)
    aws = LocalAws(moto_url, REGION)
    create_resources(stack, aws)
    line = Line(aws, stack, store)
    assert store.publish(config(), 1)
    monkeypatch.setattr(telemetry.metrics.provider, "namespace", "Tollkeeper")
    monkeypatch.setattr(bootstrap, "settle_usage", line.settle_usage)
    tell = TellCrossings(MemoryAnnouncements(), "test")
    monkeypatch.setattr(bootstrap, "tell_crossings", lambda: tell)
    yield line
    line.sqs.close()
    line.s3.close()


def test_poison_is_tried_max_receive_count_times_and_its_neighbours_settle_once(
    line: Line,
) -> None:
    line.send(*POISON)
    for _ in range(line.tries):
        line.send_neighbours(RECEIVE_MAX - len(POISON))
        assert line.deliver()
    line.deliver_all()
    assert line.tries == 5
    assert {body: line.received[body] for body in POISON} == dict.fromkeys(POISON, line.tries)
    assert {body: line.received[body] for body in line.neighbours} == dict.fromkeys(
        line.neighbours, 1
    )
    assert line.take_all("UsageQueue") == []
    assert sorted(line.take_all("UsageDeadLetterQueue")) == sorted(POISON)
    assert line.recorded == {f"e{n}": CENT for n in range(len(line.neighbours))}
    assert line.spent == CENT * len(line.neighbours)


def test_redrive_is_harmless(line: Line) -> None:
    """Of what is still poison, and of what had settled: a consumer killed so often leaves that."""
    line.send_neighbours(5)
    line.deliver_all()
    before = (line.recorded, line.spent)
    line.send(NO_JSON, UNKNOWN, *line.neighbours, to="UsageDeadLetterQueue")
    for _ in range(2):
        line.redrive()
        line.deliver_all()
        assert line.received[NO_JSON] == line.received[UNKNOWN] == line.tries
        assert (line.recorded, line.spent) == before
    assert sorted(line.take_all("UsageDeadLetterQueue")) == sorted((NO_JSON, UNKNOWN))


def test_unknown_model_settles_on_redrive_once_a_ceiling_price_is_set(line: Line) -> None:
    """By a function that is warm and has the older configuration in hand."""
    line.send(UNKNOWN)
    line.deliver_all()
    assert line.recorded == {}
    ceiling = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "2"}
    assert line.store.publish(config(unknown_model=ceiling), 2)
    line.redrive()
    line.deliver_all()
    cost = 10 * 1_000 + 20 * 2_000
    assert line.received == {UNKNOWN: 1}
    assert (line.recorded, line.spent) == ({"no-price": cost}, cost)
    assert line.take_all("UsageDeadLetterQueue") == []
