import json
from typing import Any

from tollkeeper_core.domain.api import UsageBatch
from tollkeeper_core.services.report import Report

from tests.support.outside import NOW_MS, ListQueue, Time


def report(queue: ListQueue, *events: dict[str, Any]) -> list[dict[str, Any]]:
    return list(Report(queue, Time())(UsageBatch(events=list(events)))["results"])


def event(n: int, **more: Any) -> dict[str, Any]:
    return {"event_id": f"e{n}", "user_id": "ada", "cost_usd": "0.01", **more}


def test_verdicts_come_in_order_and_only_good_events_are_queued() -> None:
    queue = ListQueue()
    verdicts = report(queue, event(1), event(2, cost_usd="x"), event(3), {"event_id": 7})
    assert [(v["event_id"], v["status"]) for v in verdicts] == [
        ("e1", "accepted"),
        ("e2", "rejected"),
        ("e3", "accepted"),
        (None, "rejected"),
    ]
    bodies = [json.loads(body) for body in queue.bodies]
    assert [(b["event"]["event_id"], b["received_ms"]) for b in bodies] == [
        ("e1", NOW_MS),
        ("e3", NOW_MS),
    ]
    assert bodies[0]["event"]["cost_usd"] == "0.01"


def test_what_the_queue_does_not_take_is_to_be_sent_again() -> None:
    verdicts = report(ListQueue(room=1), event(1), event(2))
    assert [v["status"] for v in verdicts] == ["accepted", "failed"]
    assert "same event_id" in verdicts[1]["error"]


def test_the_edges_of_an_events_time() -> None:
    day = 86_400
    at = [NOW_MS // 1000 + seconds for seconds in (-14 * day, -14 * day - 1, 300, 301)]
    verdicts = report(ListQueue(), *(event(n, at=f"{_rfc(t)}") for n, t in enumerate(at)))
    assert [v["status"] for v in verdicts] == ["accepted", "rejected", "accepted", "rejected"]


def _rfc(seconds: int) -> str:
    from tollkeeper_core.domain.periods import rfc3339

    return rfc3339(seconds * 1000)
