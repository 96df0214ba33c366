"""The consumer that dies: the product's own parts, and a place to die between any two requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tollkeeper_core.adapters.archive import S3Archive
from tollkeeper_core.adapters.prices import GenaiPrices
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import LedgerError
from tollkeeper_core.domain.movements import Settle, Settlement
from tollkeeper_core.domain.postings import Posting
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.settle import Failed, SettleUsage

from infra.local.clients import LocalAws
from tests.kills.life import Life, Notes, Point
from tests.support.outside import ListQueue

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

#: What one receive brings at most (SQS API).
BATCH = 10
REGION = "us-east-1"
_DEADLINE_S = 30.0
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything is that a consumer talks to."""

    redis_url: str
    redis_token: str
    aws_url: str
    queue_url: str
    bucket: str


class Consumer:
    """One is made in the launcher and forked for each life: nothing is connected before that."""

    def __init__(self, where: Addresses) -> None:
        self._where = where
        aws = LocalAws(where.aws_url, REGION)
        self._sqs, self._s3 = aws.sqs(), aws.s3()
        self._prices = GenaiPrices()

    def live(self, life: Life, notes: Notes) -> None:
        """Receive, settle, archive, delete, until the queue is empty, or until death."""
        notes.passes(Point.BORN)
        settle = self._service(life, notes)
        # Invisible for no time: there is one consumer, and what it held when it died comes again
        # at once instead of six minutes later.
        while messages := self._sqs.receive_message(
            QueueUrl=self._where.queue_url,
            MaxNumberOfMessages=BATCH,
            VisibilityTimeout=0,
            WaitTimeSeconds=0,
        ).get("Messages"):
            notes.passes(Point.RECEIVED)
            outcomes = settle([message["Body"] for message in messages])
            if failed := [each.reason for each in outcomes if isinstance(each, Failed)]:
                raise RuntimeError(f"not settled: {failed}")
            notes.passes(Point.RECORDED)
            for n, message in enumerate(messages):
                if n:
                    notes.passes(Point.BETWEEN_DELETES)
                self._sqs.delete_message(
                    QueueUrl=self._where.queue_url, ReceiptHandle=message["ReceiptHandle"]
                )
            notes.passes(Point.ACKNOWLEDGED)

    def _service(self, life: Life, notes: Notes) -> SettleUsage:
        where, clock = self._where, _Clock(life.now_ms)
        store = _Store(LeanRedis(where.redis_url, where.redis_token, _DEADLINE_S), notes)
        archive = _Archive(self._s3, where.bucket, notes)
        configs = ConfigCache(store.load, _no_parameters, clock)
        queue = ListQueue()
        return SettleUsage(store, configs, self._prices, archive, clock, lambda _: None, queue)


class _Clock:
    """Leaps five hours a reading, to and fro over two midnights: batches span days.

    So one batch makes several objects, and a redelivered event (which keeps the time of its first
    settlement) lies in another object than its new neighbours.
    """

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._readings = 0

    def __call__(self) -> int:
        self._readings += 1
        return self._now_ms + self._readings % 10 * 5 * _HOUR_MS


class _Store(RedisStore):
    def __init__(self, client: LeanRedis, notes: Notes) -> None:
        super().__init__(client)
        self._notes = notes

    def settle(
        self, requests: Sequence[Settle], config_version: str
    ) -> list[Settlement | LedgerError]:
        answers = super().settle(requests, config_version)
        replayed = sum(isinstance(each, Settlement) and each.replayed for each in answers)
        self._notes.passes(Point.CHARGED, replayed)
        return answers


class _Archive(S3Archive):
    def __init__(self, client: "S3Client", bucket: str, notes: Notes) -> None:
        super().__init__(client, bucket)
        self._notes = notes
        self._objects = 0

    def write(self, postings: Sequence[Posting]) -> None:
        self._objects = 0
        super().write(postings)

    def _put(self, partition: str, lines: Sequence[str]) -> str:
        if self._objects:
            self._notes.passes(Point.BETWEEN_OBJECTS)
        self._objects += 1
        return super()._put(partition, lines)


def _no_parameters() -> Config:
    raise RuntimeError("the parameters are asked only while Redis is away")
