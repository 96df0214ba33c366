"""Stripe's events: exact bytes in, applied once, on record before Stripe hears 200."""

from http import HTTPStatus
from typing import Any

from tollkeeper_core import bootstrap
from tollkeeper_core.domain.billing import ForgedEventError
from tollkeeper_core.domain.problems import Problem
from tollkeeper_core.function_url import Answer, json_answer, problem_answer, request_of
from tollkeeper_core.services.stripe_events.event import Effect, UnusableEventError
from tollkeeper_core.telemetry import count, flush, logger

#: Stripe's events are some KiB: what is larger is not worth the work of checking its signature.
_BODY_BYTES_MAX = 512 * 1024

_COUNTED = {Effect.GRANTED: "CreditsGranted", Effect.UNKNOWN: "WebhookUnknownEvent"}


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: object) -> Answer:
    """A function URL's event (payload 2.0) -> its answer; Stripe repeats what is not 2xx."""
    try:
        return _applied(event)
    except Problem as problem:
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return _failed(problem.code, problem.status, problem.detail)
        return _refused(problem)
    except ForgedEventError:
        return _refused(
            Problem(HTTPStatus.BAD_REQUEST, "bad_signature", "This is not signed by Stripe.")
        )
    except UnusableEventError as error:
        # Acknowledged, it would be lost: somebody may have paid. The alarm on 5xx calls the owner.
        return _failed("unusable_event", HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
    except Exception:
        logger.exception("not applied")
        return _failed("unavailable", HTTPStatus.SERVICE_UNAVAILABLE, "see the exception")
    finally:
        flush()


def _applied(event: dict[str, Any]) -> Answer:
    request = request_of(event, _BODY_BYTES_MAX)
    apply = bootstrap.apply_stripe_event()
    applied = apply(request.body, request.headers.get("stripe-signature"))
    count("WebhookEvent")
    if applied.effect in _COUNTED:
        count(_COUNTED[applied.effect])
    told = {"event_id": applied.event_id, "type": applied.event_type, "effect": applied.effect}
    logger.info("applied", extra=told)
    return json_answer(HTTPStatus.OK, told)


def _refused(problem: Problem) -> Answer:
    count("WebhookRejected")
    logger.warning("refused", extra={"code": problem.code})
    return problem_answer(problem)


def _failed(code: str, status: HTTPStatus, reason: str) -> Answer:
    count("WebhookFailed")
    logger.error("not applied", extra={"code": code, "reason": reason})
    return problem_answer(Problem(status, code, "This was not applied: send it again."))
