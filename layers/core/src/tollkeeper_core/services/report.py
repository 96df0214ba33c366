"""Takes usage reports: judges each event, queues the good ones. Nothing is priced here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from tollkeeper_core.domain.api import (
    EVENT_AGE_MS_MAX,
    EVENT_AHEAD_MS_MAX,
    QueuedUsage,
    UsageBatch,
    UsageEvent,
)
from tollkeeper_core.domain.ports import Clock, UsageQueue
from tollkeeper_core.services.validation import problems


@dataclass(frozen=True)
class Report:
    """Needs no Redis: usage is never dropped for an outage, it waits in the queue."""

    queue: UsageQueue
    clock: Clock

    def __call__(self, batch: UsageBatch) -> dict[str, Any]:
        """{"results": [a verdict for each event, in order]}.

        ``accepted``: it will be settled once. ``rejected``: it never will, the error says why.
        ``failed``: the queue did not take it; send it again with the same event_id.
        """
        now_ms = self.clock()
        verdicts = [self._judge(raw, now_ms) for raw in batch.events]
        good = [v for v in verdicts if isinstance(v, UsageEvent)]
        bodies = [QueuedUsage(received_ms=now_ms, event=e).model_dump_json() for e in good]
        queued = iter(self.queue.send(bodies))
        return {"results": [_result(v, queued) for v in verdicts]}

    @staticmethod
    def _judge(raw: Mapping[str, Any], now_ms: int) -> UsageEvent | dict[str, Any]:
        try:
            event = UsageEvent.model_validate(raw)
        except ValidationError as error:
            return _rejected(raw, "; ".join(f"{e['field']}: {e['error']}" for e in problems(error)))
        age_ms = now_ms - event.at_ms(now_ms)
        if age_ms > EVENT_AGE_MS_MAX:
            return _rejected(raw, "at: is more than 14 days ago")
        if age_ms < -EVENT_AHEAD_MS_MAX:
            return _rejected(raw, "at: lies in the future")
        return event


def _rejected(raw: Mapping[str, Any], why: str) -> dict[str, Any]:
    event_id = raw.get("event_id")
    shown = event_id[:128] if isinstance(event_id, str) else None
    return {"event_id": shown, "status": "rejected", "error": why}


def _result(verdict: UsageEvent | dict[str, Any], queued: Any) -> dict[str, Any]:
    if isinstance(verdict, dict):
        return verdict
    if next(queued):
        return {"event_id": verdict.event_id, "status": "accepted"}
    return {
        "event_id": verdict.event_id,
        "status": "failed",
        "error": "the queue did not take it; send it again with the same event_id",
    }
