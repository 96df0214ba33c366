"""Exceptions become answers here, and nowhere else."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from tollkeeper_core.domain.billing import BillingError
from tollkeeper_core.domain.config import Settings
from tollkeeper_core.domain.ledger import LedgerUnavailableError
from tollkeeper_core.domain.links import LinkError
from tollkeeper_core.domain.ports import SourceError
from tollkeeper_core.domain.problems import Problem, unavailable
from tollkeeper_core.telemetry import count, logger

from functions.upgrade_page import answers
from functions.upgrade_page.request import service, token, wants_json, words
from functions.upgrade_page.views import frame_context

#: The problems that the catalogues have words for: a headline, and what to do (``_advice``).
_SAID = frozenset(
    (
        *("link_expired", "link_invalid", "already_paid", "unknown_offer", "checkout_failed"),
        *("payment_refused", "too_many_purchases", "unavailable"),
    )
)


async def _problem(request: Request, error: Exception) -> Response:
    problem = _as_problem(error)
    if wants_json(request):
        return answers.problem(problem)
    settings = _settings(request)
    said = words(request, settings, getattr(request.state, "lang", None))
    key = problem.code if problem.code in _SAID else "other"
    again = None
    if request.method == "GET" and problem.code == "unavailable":
        again = ("", said.say("try_again"))
    elif request.method == "POST" and problem.code in {"unknown_offer", "checkout_failed"}:
        address = f"/upgrade?t={request.state.token}&lang={said.code}"
        again = (address, said.say("offers_again"))
    return answers.page(
        "error.html",
        {
            **frame_context(settings, said),
            "headline": said.say(key),
            "advice": said.say(f"{key}_advice"),
            "again": again,
        },
        settings=settings,
        status=problem.status,
    )


def _as_problem(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case LinkError(expired=expired):
            status, code = (
                (HTTPStatus.GONE, "link_expired")
                if expired
                else (HTTPStatus.FORBIDDEN, "link_invalid")
            )
            return Problem(status, code, str(error))
        case BillingError():
            count("CheckoutFailed")
            logger.error("no checkout", extra={"reason": str(error)})
            return Problem(HTTPStatus.BAD_GATEWAY, "checkout_failed", "The checkout did not start.")
        case LedgerUnavailableError() | SourceError():
            count("LedgerUnavailable")
            logger.error("no ledger", extra={"reason": str(error)})
            return unavailable("The ledger does not answer.")
        case HTTPException():
            status = HTTPStatus(error.status_code)
            code = status.phrase.lower().replace(" ", "_")
            return Problem(status, code, status.phrase, headers=error.headers)
    # Starlette raises it again once this is answered, and Mangum logs it.
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "unavailable", "Something went wrong.")


def _settings(request: Request) -> Settings | None:
    """An error is shown in the overlay too, or else its user sees a blank frame."""
    try:
        return service(request).settings(getattr(request.state, "token", token(request)))
    except Exception:
        logger.exception("an error that cannot be framed")
        return None


_EXPECTED = (Problem, LinkError, BillingError, LedgerUnavailableError, SourceError, HTTPException)

EXCEPTION_HANDLERS: Mapping[Any, Any] = dict.fromkeys((*_EXPECTED, Exception), _problem)
