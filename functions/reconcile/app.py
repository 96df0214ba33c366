"""What Stripe's lists say: once a day all that its events missed, once an hour the money alone."""

from typing import Any

from tollkeeper_core import bootstrap
from tollkeeper_core.telemetry import count, flush, logger

#: Stripe tries an event again for three days; what it gave up on since the last run is younger.
_DAYS_DEFAULT = 4
_DAY_S, _HOUR_S = 86_400, 3_600
_UNCLEAR_TOLD = 20


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Any event, maybe ``{"days": n}`` to look further back, or ``{"money_hours": n}`` to look at
    money alone -> what was looked at and found.

    What it raises is tried again by the next run: nothing is done twice.
    """
    try:
        now_s = bootstrap.clock() // 1000
        if (hours := event.get("money_hours")) is not None:
            return {"money": _book_money(now_s - hours * _HOUR_S)}
        since_s = now_s - event.get("days", _DAYS_DEFAULT) * _DAY_S
        return {**_reconcile(since_s), "money": _book_money(since_s)}
    finally:
        flush()


def _reconcile(since_s: int) -> dict[str, Any]:
    done = bootstrap.reconcile()(since_s, _silent)
    if news := done.news.total():
        count("ReconcileFound", news)
    if done.problems_count:
        count("ReconcileProblem", done.problems_count)
    told = {
        "looked_at": dict(done.looked_at),
        "ours": done.ours,
        "found": {kind: n for kind, n in done.news.items() if n},
        "problems": done.problems,
    }
    logger.info("reconciled", extra=told)
    return told


def _book_money(since_s: int) -> dict[str, Any]:
    done = bootstrap.book_money()(since_s, _silent)
    if done.unclear:
        count("ReconcileProblem", len(done.unclear))
    told = {
        "looked_at": done.looked_at,
        "booked": done.booked,
        "unclear": done.unclear[:_UNCLEAR_TOLD],
    }
    logger.info("booked", extra=told)
    return told


def _silent(step: str, done: int, total: int | None = None, detail: str = "") -> None:
    """Nobody watches."""
