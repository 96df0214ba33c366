"""One run: a seed's traffic, a seed's kills, and the books compared at the end."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import TYPE_CHECKING

from tollkeeper_core.adapters.queue import SqsUsageQueue
from tollkeeper_core.adapters.record import S3Record
from tollkeeper_core.adapters.redis_admin import RedisAdmin
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.domain.postings import grant_postings

from infra.local.clients import LocalAws
from tests.kills.books import differences
from tests.kills.consumer import BATCH, REGION, Addresses
from tests.kills.launcher import Launcher
from tests.kills.life import Life, Point
from tests.kills.traffic import DAY_MS, NOON_MS, Traffic
from tests.support.redis_stack import RedisStack

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

#: Half of the kills are at a named point, half at a random time.
_AT_A_POINT = 0.5
#: How often a point may be passed before death: at most what a batch or two offer.
_PASSES_MAX = {Point.BORN: 1, Point.BETWEEN_OBJECTS: 3, Point.BETWEEN_DELETES: 2 * BATCH}
_SENT_TOGETHER = 20
_runs = count()


@dataclass
class Figures:
    """``chosen``: kills by the point that was chosen; ``random``: those at a random time, by the
    point passed last. ``replayed``: settlements that were asked for again. ``wrong``: nothing, if
    all is well.
    """

    seed: int
    chosen: Counter[Point] = field(default_factory=Counter)
    random: Counter[Point] = field(default_factory=Counter)
    events: int = 0
    twice: int = 0
    replayed: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return self.chosen.total() + self.random.total()


class _Queue:
    """The usage queue, as the harness sees it."""

    def __init__(self, sqs: "SQSClient", name: str) -> None:
        self._sqs = sqs
        # Without a redrive policy: a consumer killed all the time uses up any receive count.
        self.url = sqs.create_queue(QueueName=name)["QueueUrl"]

    def waiting(self) -> int:
        """Messages that are not deleted yet."""
        answer = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])
        found = answer["Attributes"]
        visible = found["ApproximateNumberOfMessages"]
        return int(visible) + int(found["ApproximateNumberOfMessagesNotVisible"])

    def send(self, bodies: list[str]) -> None:
        """All of them."""
        if not all(SqsUsageQueue(self._sqs, self.url).send(bodies)):
            raise RuntimeError("the queue took not all")


def run(
    redis: RedisStack,
    aws_url: str,
    seed: int,
    kills: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Figures:
    """Empties ``redis`` first. ``progress`` is told of the kills so far. Raises ConsumerError.

    The seed gives the traffic, the points and the random times; what a random time meets is up to
    the machine.
    """
    redis.flush()
    figures = Figures(seed)
    aws = LocalAws(aws_url, REGION)
    sqs, s3 = aws.sqs(), aws.s3()
    name = f"kills-{seed}-{next(_runs)}"
    s3.create_bucket(Bucket=name)
    queue, record = _Queue(sqs, name), S3Record(s3, name)
    where = Addresses(redis.url, redis.token, aws_url, queue.url, name)
    client = LeanRedis(redis.url, redis.token, 30.0)
    with client, closing(sqs), closing(s3), Launcher(where) as launcher:
        admin = RedisAdmin(client)
        traffic = Traffic(admin, Random(f"{seed}:traffic"))
        record.write([posting for granted in traffic.buy() for posting in grant_postings(granted)])
        _kill(launcher, queue, traffic, figures, kills, progress)
        queue.send(traffic.next(0))
        while queue.waiting():
            figures.replayed += launcher.live(Life(None, 0, None, NOON_MS)).replayed
        figures.events, figures.twice = len(traffic.costs), traffic.twice
        figures.wrong = list(differences(record, admin, traffic))
    return figures


def _kill(
    launcher: Launcher,
    queue: _Queue,
    traffic: Traffic,
    figures: Figures,
    kills: int,
    progress: Callable[[int], None],
) -> None:
    """One life after the other while traffic comes in, until so many were killed."""
    random = Random(f"{figures.seed}:kills")
    # A life at whose end a batch was settled: the measure of random times on this machine.
    batch_s = 0.1
    while figures.kills < kills:
        if queue.waiting() < BATCH:
            queue.send(traffic.next(_SENT_TOGETHER))
        life = _life(random, batch_s)
        death = launcher.live(life)
        figures.replayed += death.replayed
        if life.point in (Point.BETWEEN_DELETES, Point.ACKNOWLEDGED):
            batch_s = (batch_s + death.seconds) / 2
        if death.killed and life.point:
            figures.chosen[life.point] += 1
        elif death.killed:
            figures.random[death.last] += 1
        progress(figures.kills)


def _life(random: Random, batch_s: float) -> Life:
    now_ms = NOON_MS + random.randrange(2 * DAY_MS)
    if random.random() < _AT_A_POINT:
        point = random.choice(tuple(Point))
        return Life(point, random.randint(1, _PASSES_MAX.get(point, 2)), None, now_ms)
    return Life(None, 0, random.uniform(0, 1.5 * batch_s), now_ms)
