"""The consumer over a real Redis: batches, failures, crashes before the record."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from tollkeeper_core import bootstrap, telemetry
from tollkeeper_core.adapters.prices import GenaiPrices
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import Reserve, Standing
from tollkeeper_core.domain.movements import Settlement
from tollkeeper_core.domain.periods import Window, periods_at
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.settle import Failed, SettleUsage

from functions.log_usage.app import handler
from tests.support.function_server import Context
from tests.support.memory_ledger import MemoryArchive
from tests.support.outside import ListQueue

NOON_MS = 1_795_608_000_000  # 2026-11-25T12:00:00Z
DAY_MS = 86_400_000
CENT = 10_000_000
NO_JSON = "{"


def config(**settings: Any) -> Config:
    limits = {"daily": {"limit_usd": "0.50"}}
    return Config.model_validate({"settings": settings, "tiers": {"free": {"limits": limits}}})


def never() -> Config:
    raise AssertionError("the parameters are asked only while Redis is away")


def usage(event: str, received_ms: int = NOON_MS, **fields: Any) -> str:
    event_of = {"event_id": event, "user_id": "ada", **fields}
    return json.dumps({"received_ms": received_ms, "event": event_of})


@dataclass
class Consumer:
    """The service with all that it is wired to."""

    store: RedisStore
    now_ms: int = NOON_MS
    archive: MemoryArchive = field(default_factory=MemoryArchive)
    counted: list[str] = field(default_factory=list)
    top_ups: ListQueue = field(default_factory=ListQueue)

    def __post_init__(self) -> None:
        def clock() -> int:
            return self.now_ms

        self.configs = ConfigCache(self.store.load, never, clock)
        self.settle = SettleUsage(
            self.store,
            self.configs,
            GenaiPrices(),
            self.archive,
            clock,
            self.counted.append,
            self.top_ups,
        )

    def configure(self, new: Config, read_ms: int) -> None:
        assert self.store.publish(new, read_ms)

    def hold(self, rid: str, nano: int) -> None:
        periods = periods_at(config().settings.calendar, self.now_ms)
        hold = Reserve("ada", rid, nano, None, periods, self.now_ms, self.now_ms + 600_000)
        assert self.store.reserve(hold, self.configs.current().version).admitted

    def standing(self, at_ms: int = NOON_MS) -> Standing:
        periods = periods_at(config().settings.calendar, at_ms)
        version = self.configs.reload().version
        return self.store.read("ada", None, periods, at_ms, version)

    @property
    def spent(self) -> int:
        return self.standing().counters[Window.DAILY].total_nano

    @property
    def recorded(self) -> dict[str, int]:
        """What the archive says that each event cost."""
        return {
            posting.set_id.rpartition(":")[2]: posting.amount
            for posting in self.archive.postings.values()
            if posting.account == "user:ada:usage"
        }


@pytest.fixture
def consumer(store: RedisStore) -> Consumer:
    consumer = Consumer(store)
    consumer.configure(config(), 1)
    return consumer


def test_a_batch_is_charged_and_recorded_before_it_returns(consumer: Consumer) -> None:
    outcomes = consumer.settle([usage("e1", cost_usd="0.01"), usage("e2", cost_usd="0.02")])
    assert [o.cost_nano for o in outcomes if isinstance(o, Settlement)] == [CENT, 2 * CENT]
    assert consumer.recorded == {"e1": CENT, "e2": 2 * CENT}
    assert sum(posting.amount for posting in consumer.archive.postings.values()) == 0


def test_no_record_no_answer_and_the_redelivery_records_what_was_charged(
    consumer: Consumer,
) -> None:
    bodies = [usage("e1", cost_usd="0.01"), usage("e2", cost_usd="0.02")]
    consumer.archive.down = True
    with pytest.raises(OSError, match="archive is down"):
        consumer.settle(bodies)
    consumer.archive.down = False
    consumer.now_ms += 60_000
    consumer.settle(bodies)
    assert consumer.recorded == {"e1": CENT, "e2": 2 * CENT}
    assert consumer.spent == 3 * CENT


def test_one_bad_message_does_not_stop_its_neighbours(consumer: Consumer) -> None:
    no_price = usage("e2", model="no-such-model", usage={"input_tokens": 1, "output_tokens": 1})
    too_much = usage("e3", cost_usd="999999999")
    bodies = [NO_JSON, usage("e1", cost_usd="0.01"), no_price, too_much]
    outcomes = consumer.settle(bodies)
    assert [type(outcome) for outcome in outcomes] == [Failed, Settlement, Failed, Failed]
    assert consumer.recorded == {"e1": CENT}
    assert consumer.counted == ["UnpricedModel"]


def test_a_reported_call_lets_its_hold_go(consumer: Consumer) -> None:
    consumer.hold("r1", 50 * CENT)
    consumer.settle([usage("e1", cost_usd="0.01", reservation_id="r1")])
    counters = consumer.standing().counters[Window.DAILY]
    assert (counters.total_nano, counters.held_total_nano) == (CENT, 0)


def test_a_failed_call_costs_nothing_and_lets_its_hold_go(consumer: Consumer) -> None:
    consumer.hold("r1", 50 * CENT)
    consumer.settle([usage("e1", status="error", reservation_id="r1")])
    counters = consumer.standing().counters[Window.DAILY]
    assert (counters.total_nano, counters.held_total_nano) == (0, 0)


def test_a_call_is_counted_on_its_own_day_however_long_it_waited(consumer: Consumer) -> None:
    consumer.now_ms += 3 * DAY_MS
    waited = usage("e1", cost_usd="0.01")
    told = usage("e2", NOON_MS + DAY_MS, cost_usd="0.02", at="2026-11-25T23:59:59.999Z")
    consumer.settle([waited, told])
    assert consumer.spent == 3 * CENT
    assert consumer.standing(NOON_MS + DAY_MS).counters[Window.DAILY].total_nano == 0


def test_a_warm_consumer_takes_a_new_configuration_over_and_settles_once(
    consumer: Consumer,
) -> None:
    consumer.settle([usage("e1", cost_usd="0.01")])
    consumer.configure(config(time_zone="Asia/Tokyo"), 2)
    at = "2026-11-25T16:00:00Z"  # the 26th in Tokyo
    outcomes = consumer.settle([usage("e1", cost_usd="0.01"), usage("e2", cost_usd="0.02", at=at)])
    assert [o.period_ids[0] for o in outcomes if isinstance(o, Settlement)] == [
        "d:2026-11-25",
        "d:2026-11-26",
    ]
    assert consumer.recorded == {"e1": CENT, "e2": 2 * CENT}


@pytest.fixture
def invoke(
    monkeypatch: pytest.MonkeyPatch, consumer: Consumer
) -> Callable[[dict[str, str]], list[str]]:
    """The handler over this consumer: bodies by message id -> the ids that come again."""
    monkeypatch.setattr(telemetry.metrics.provider, "namespace", "Tollkeeper")
    monkeypatch.setattr(bootstrap, "settle_usage", lambda count: consumer.settle)

    def run(bodies: dict[str, str]) -> list[str]:
        event = {"Records": [{"messageId": n, "body": b} for n, b in bodies.items()]}
        context: Any = Context()
        answer = handler(event, context)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    return run


def test_exactly_the_messages_that_failed_come_again(
    consumer: Consumer, invoke: Callable[[dict[str, str]], list[str]]
) -> None:
    first, last = usage("e1", cost_usd="0.01"), usage("e4", cost_usd="0.02")
    assert invoke({"m1": NO_JSON, "m2": first, "m3": NO_JSON, "m4": last}) == ["m1", "m3"]
    assert consumer.recorded == {"e1": CENT, "e4": 2 * CENT}
    assert invoke({"m5": usage("e5", cost_usd="0")}) == []


def test_a_batch_that_cannot_be_recorded_comes_again_as_a_whole(
    consumer: Consumer, invoke: Callable[[dict[str, str]], list[str]]
) -> None:
    consumer.archive.down = True
    with pytest.raises(OSError, match="archive is down"):
        invoke({"m1": usage("e1", cost_usd="0.01")})
