"""The app's API behind its function URL."""

from http import HTTPStatus
from typing import Any

from snapshot_restore_py import register_before_snapshot
from tollkeeper_core.domain.ledger import LedgerUnavailableError
from tollkeeper_core.domain.ports import SourceError
from tollkeeper_core.domain.problems import Problem, unavailable
from tollkeeper_core.function_url import Answer, problem_answer, request_of
from tollkeeper_core.telemetry import count, flush, logger

from functions.intercept.routes import route
from functions.intercept.snapshot import import_late

#: Refused above this: a check is some hundred bytes, a batch of 100 events some ten thousand.
_BODY_BYTES_MAX = 64 * 1024

register_before_snapshot(import_late)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: object) -> Answer:
    """A function URL's event (payload 2.0) -> its answer. Exceptions become answers here."""
    try:
        return route(request_of(event, _BODY_BYTES_MAX))
    except Problem as problem:
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.warning("refused", extra={"code": problem.code})
        return problem_answer(problem)
    except (LedgerUnavailableError, SourceError) as error:
        count("LedgerUnavailable")
        logger.error("no ledger", extra={"reason": str(error)})
        return problem_answer(unavailable("Tollkeeper cannot answer at the moment; try again."))
    finally:
        flush()
