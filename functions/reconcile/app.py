"""Once a day: what Stripe says against what the ledger knows, and what it missed applied."""

from typing import Any

from tollkeeper_core import bootstrap
from tollkeeper_core.telemetry import count, flush, logger

#: Stripe tries an event again for three days; what it gave up on since the last run is younger.
_DAYS_DEFAULT = 4
_DAY_S = 86_400


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Any event, maybe ``{"days": n}`` to look further back -> what was looked at and found.

    What it raises is tried again by the next run: nothing is done twice.
    """
    try:
        days = event.get("days", _DAYS_DEFAULT)
        done = bootstrap.reconcile()(bootstrap.clock() // 1000 - days * _DAY_S, _silent)
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
    finally:
        flush()


def _silent(step: str, done: int, total: int | None = None, detail: str = "") -> None:
    """Nobody watches."""
