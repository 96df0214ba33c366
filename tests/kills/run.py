"""One run: a seed's traffic, a seed's kills, and the books compared at the end."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random

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


def run(
    redis: RedisStack,
    aws_url: str,
    seed: int,
    kills: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Figures:
    """Empties ``redis`` first. ``progress`` is told of the kills so far. Raises ConsumerError."""
    redis.flush()
    random, figures = Random(f"{seed}:kills"), Figures(seed)
    aws = LocalAws(aws_url, REGION)
    sqs, s3 = aws.sqs(), aws.s3()
    name = f"kills-{seed}-{next(_runs)}"
    # Without a redrive policy: a consumer that is killed all the time uses up any receive count.
    queue_url = sqs.create_queue(QueueName=name)["QueueUrl"]
    s3.create_bucket(Bucket=name)
    where = Addresses(redis.url, redis.token, aws_url, queue_url, name)

    def waiting() -> int:
        answer = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])
        found = answer["Attributes"]
        visible, not_visible = (
            found["ApproximateNumberOfMessages"],
            found["ApproximateNumberOfMessagesNotVisible"],
        )
        return int(visible) + int(not_visible)

    client = LeanRedis(redis.url, redis.token, 30.0)
    with client, Launcher(where) as launcher:
        admin, record = RedisAdmin(client), S3Record(s3, name)
        traffic = Traffic(admin, Random(f"{seed}:traffic"))
        record.write([posting for granted in traffic.buy() for posting in grant_postings(granted)])

        def send(bodies: list[str]) -> None:
            if not all(SqsUsageQueue(sqs, queue_url).send(bodies)):
                raise RuntimeError("the queue took not all")

        # A life at whose end a batch was settled: the measure of random times on this machine.
        batch_s = 0.1
        while figures.kills < kills:
            if waiting() < BATCH:
                send(traffic.next(_SENT_TOGETHER))
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
        send(traffic.next(0))
        while waiting():
            figures.replayed += launcher.live(Life(None, 0, None, NOON_MS)).replayed
        figures.events, figures.twice = len(traffic.costs), traffic.twice
        figures.wrong = list(differences(record, admin, traffic))
    for each in (sqs, s3):
        each.close()
    return figures


def _life(random: Random, batch_s: float) -> Life:
    now_ms = NOON_MS + random.randrange(2 * DAY_MS)
    if random.random() < _AT_A_POINT:
        point = random.choice(tuple(Point))
        return Life(point, random.randint(1, _PASSES_MAX.get(point, 2)), None, now_ms)
    return Life(None, 0, random.uniform(0, 1.5 * batch_s), now_ms)
