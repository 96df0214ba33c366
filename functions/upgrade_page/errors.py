"""Exceptions become answers here, and nowhere else."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from tollkeeper_core.domain.billing import BillingError
from tollkeeper_core.domain.ledger import LedgerUnavailableError
from tollkeeper_core.domain.links import LinkError
from tollkeeper_core.domain.ports import SourceError
from tollkeeper_core.domain.problems import Problem, unavailable
from tollkeeper_core.telemetry import count, logger

from functions.upgrade_page import answers
from functions.upgrade_page.request import service, wants_json

#: Headline and advice, by the problem's code.
_WORDS: Mapping[str, tuple[str, str]] = {
    "link_expired": (
        "This link has expired",
        "Links work for a few minutes. Go back to the app and try again: you get a new one.",
    ),
    "link_invalid": (
        "This link does not work",
        "It may have been cut off. Go back to the app and try again: you get a new one.",
    ),
    "already_paid": (
        "This purchase is complete",
        "Thank you, your payment has arrived. To buy more, go back to the app and start again.",
    ),
    "unknown_offer": (
        "This is no longer available",
        "What is for sale has changed since. Go back and choose again.",
    ),
    "checkout_failed": (
        "The payment page did not open",
        "Nothing was charged. Please try again in a moment.",
    ),
    "payment_refused": (
        "Your card was refused",
        "Nothing was changed. Change the card under “Manage your plan”, then try again.",
    ),
    "too_many_purchases": (
        "That is all for today",
        "No more can be bought in one day. Please try again tomorrow.",
    ),
    "unavailable": (
        "We cannot show this right now",
        "Nothing is lost and nothing was charged. Please try again in a moment.",
    ),
}
_OTHER = ("There is nothing here", "Go back to the app and try again.")


async def _problem(request: Request, error: Exception) -> Response:
    problem = _as_problem(error)
    if wants_json(request):
        return answers.problem(problem)
    headline, advice = _WORDS.get(problem.code, _OTHER)
    again = None
    if request.method == "GET" and problem.code == "unavailable":
        again = ("", "Try again")
    elif request.method == "POST" and problem.code in {"unknown_offer", "checkout_failed"}:
        again = (f"/upgrade?t={request.state.token}", "Back to the offers")
    return answers.page(
        "error.html",
        {"headline": headline, "advice": advice, "again": again},
        frame_origins=_origins(request),
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


def _origins(request: Request) -> list[str]:
    """An error is shown in the overlay too, or else its user sees a blank frame."""
    try:
        return service(request).allowed_origins()
    except Exception:
        logger.exception("an error that cannot be framed")
        return []


_EXPECTED = (Problem, LinkError, BillingError, LedgerUnavailableError, SourceError, HTTPException)

EXCEPTION_HANDLERS: Mapping[Any, Any] = dict.fromkeys((*_EXPECTED, Exception), _problem)
