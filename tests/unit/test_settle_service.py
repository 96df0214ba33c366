"""What becomes of a batch of queued usage; the ledger here only says what it was told to."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import LedgerError, LedgerUnavailableError, StaleConfigError
from tollkeeper_core.domain.movements import Settle, Settlement
from tollkeeper_core.domain.pricing import UnpricedModelError, UsageError
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.settle import Failed, SettleUsage

from tests.support.outside import NOW_MS, Counts, ListArchive, ListQueue, Published, Time


def config(unknown_model: Any = "block", zone: str = "UTC") -> Config:
    return Config.model_validate(
        {
            "settings": {"unknown_model": unknown_model, "time_zone": zone},
            "tiers": {"free": {"limits": {}}},
        }
    )


@dataclass
class ScriptedLedger:
    """Settles everything by the allowance; fails the events it is told to; may be stale once."""

    version: str = "v1"
    failing: Mapping[str, LedgerError] = field(default_factory=dict)
    asked: list[list[Settle]] = field(default_factory=list)
    down: bool = False

    def settle(
        self, requests: Sequence[Settle], config_version: str
    ) -> list[Settlement | LedgerError]:
        if self.down:
            raise LedgerUnavailableError("down")
        self.asked.append(list(requests))
        if config_version != self.version:
            return [StaleConfigError()] * len(requests)
        return [self.failing.get(r.event_id) or settled(r) for r in requests]


def settled(r: Settle) -> Settlement:
    return Settlement(
        user_id=r.user_id,
        event_id=r.event_id,
        cost_nano=r.cost_nano,
        allowance_nano=r.cost_nano,
        overrun_nano=0,
        lots_nano={},
        period_ids=r.periods.ids,
        tier="free",
        said_tier="",
        expired_nano={},
        settled_ms=r.now_ms,
        replayed=False,
    )


class Prices:
    """A token costs 5 nano; only gpt is priced, and only by prompt_tokens."""

    def cost_nano(
        self, provider: str | None, model: str, usage: Mapping[str, Any], at_ms: int
    ) -> int:
        if model != "gpt":
            raise UnpricedModelError(provider, model)
        if "prompt_tokens" not in usage:
            raise UsageError("not a usage object")
        return int(usage["prompt_tokens"]) * 5


class Case:
    def __init__(self, found: Config | None = None) -> None:
        self.published = Published(found or config())
        self.top_ups = ListQueue()
        self.ledger, self.archive, self.counts = ScriptedLedger(), ListArchive(), Counts()
        configs = ConfigCache(self.published.load, config, Time())
        self.run = SettleUsage(
            self.ledger,
            configs,
            Prices(),
            self.archive,
            Time(),
            self.counts,  # type: ignore[arg-type]
            self.top_ups,
        )


def body(event_id: str = "e1", received_ms: int = NOW_MS, **more: Any) -> str:
    event = {"event_id": event_id, "user_id": "ada", **({"cost_usd": "0.01"} | more)}
    if "usage" in event:
        del event["cost_usd"]
    return json.dumps({"received_ms": received_ms, "event": event})


def test_a_batch_is_one_request_and_one_archive_write_in_order() -> None:
    case = Case()
    outcomes = case.run([body(f"e{n}") for n in range(10)])
    assert [o.event_id for o in outcomes if isinstance(o, Settlement)] == [
        f"e{n}" for n in range(10)
    ]
    assert [len(batch) for batch in case.ledger.asked] == [10]
    assert len(case.archive.written) == 20
    assert sum(p.amount for p in case.archive.written) == 0


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("not json", "json"),
        ("{}", "missing"),
        (body(cost_usd="-1"), "cost_usd"),
        (body(usage={"nothing": 1}, model="gpt"), "not a usage object"),
        (body(usage={"prompt_tokens": 1}, model="mystery"), "mystery"),
    ],
)
def test_one_bad_message_fails_alone_and_tells_nothing_of_itself(bad: str, says: str) -> None:
    case = Case()
    first, failed, last = case.run([body("e1"), bad, body("e3")])
    assert isinstance(first, Settlement)
    assert isinstance(last, Settlement)
    assert isinstance(failed, Failed)
    assert says in failed.reason
    assert "ada" not in failed.reason
    assert {p.set_id for p in case.archive.written} == {"settle:ada:e1", "settle:ada:e3"}


def test_what_the_ledger_refuses_fails_alone() -> None:
    case = Case()
    case.ledger.failing = {"e1": LedgerUnavailableError("beyond 2^53")}
    refused, fine = case.run([body("e1"), body("e2")])
    assert isinstance(refused, Failed)
    assert isinstance(fine, Settlement)


def test_a_ledger_or_an_archive_that_is_away_fails_the_whole_batch() -> None:
    case = Case()
    case.ledger.down = True
    with pytest.raises(LedgerUnavailableError):
        case.run([body()])
    case = Case()
    case.archive.down = True
    with pytest.raises(OSError, match="archive"):
        case.run([body()])


def test_a_changed_configuration_settles_the_batch_again_by_the_new_one() -> None:
    case = Case()
    case.run([body()])
    case.published.config, case.published.version = config(zone="Asia/Tokyo"), "v2"
    case.ledger.version = "v2"
    at = "2026-11-25T23:30:00Z"
    [outcome] = case.run([body("e2", received_ms=NOW_MS + 10**8, at=at)])
    assert isinstance(outcome, Settlement)
    assert outcome.period_ids[0] == "d:2026-11-26"
    assert len(case.ledger.asked) == 3


def test_the_calls_own_time_counts_not_when_it_was_received() -> None:
    case = Case()
    case.run([body(at="2026-11-20T23:59:59.999+00:00")])
    assert case.ledger.asked[0][0].periods.daily.id == "d:2026-11-20"


def test_usage_is_priced_and_a_failed_call_without_usage_costs_nothing() -> None:
    case = Case()
    case.run(
        [
            body("e1", usage={"prompt_tokens": 7}, model="gpt"),
            body("e2", usage={"prompt_tokens": 7}, model="gpt", status="error"),
            json.dumps(
                {
                    "received_ms": NOW_MS,
                    "event": {"event_id": "e3", "user_id": "ada", "status": "error"},
                }
            ),
        ]
    )
    assert [r.cost_nano for r in case.ledger.asked[0]] == [35, 35, 0]
    assert {p.set_id for p in case.archive.written} == {"settle:ada:e1", "settle:ada:e2"}


def test_an_unknown_model_costs_the_ceiling_or_waits_and_is_counted_either_way() -> None:
    usage = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
    ceiling = {"input_usd_per_mtok": "10", "output_usd_per_mtok": "50"}
    case = Case(config(ceiling))
    case.run([body(usage=usage, model="mystery")])
    assert case.ledger.asked[0][0].cost_nano == 15_000_000
    assert case.counts.names == ["UnpricedModel"]
    case = Case()
    [failed] = case.run([body(usage=usage, model="mystery")])
    assert isinstance(failed, Failed)
    assert case.counts.names == ["UnpricedModel"]
    case = Case(config(ceiling))
    [uncountable] = case.run([body(usage={"pages": 3}, model="mystery")])
    assert isinstance(uncountable, Failed)
