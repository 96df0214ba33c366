"""Errors as Stripe answers them. Source: https://docs.stripe.com/api/errors."""

from typing import Any


class StripeError(Exception):
    """An answer `{"error": {...}}` and its HTTP status; `code`, `param` where Stripe has them.

    `more`: what an error of a payment carries beside them (`payment_intent`, `decline_code`).
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        more: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error: dict[str, Any] = {"message": message, "type": kind}
        if code is not None:
            slug = code.replace("_", "-")
            self.error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{slug}"}
        if param is not None:
            self.error["param"] = param
        self.error |= more or {}


def missing_param(param: str) -> StripeError:
    """A required parameter was not sent."""
    return StripeError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def unknown_param(param: str) -> StripeError:
    """A parameter that the official types do not know."""
    return StripeError(
        f"Received unknown parameter: {param}", code="parameter_unknown", param=param
    )


def not_simulated(param: str) -> StripeError:
    """A parameter that Stripe takes and this server does not act on: refused, never ignored."""
    return StripeError(f"Local Stripe does not simulate `{param}`.", param=param)


def no_such(kind: str, object_id: str, *, param: str, status: int) -> StripeError:
    """No object of that kind has the id: 404 for the id in a path, 400 for one in a parameter."""
    return StripeError(
        f"No such {kind}: '{object_id}'", status=status, code="resource_missing", param=param
    )


def unexpected_state(message: str, intent: dict[str, Any]) -> StripeError:
    """A payment intent is not in a state for that (400)."""
    return StripeError(
        message, code="payment_intent_unexpected_state", more={"payment_intent": intent}
    )
