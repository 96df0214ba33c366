"""Errors as the API answers them: RFC 9457 problem details."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

CONTENT_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818  # the RFC's own word
    """``status`` is the HTTP status, ``code`` stable for programs, ``detail`` for people.

    Neither may hold a secret: both go to the caller.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})

    def as_json(self) -> dict[str, Any]:
        """The body."""
        body: dict[str, Any] = {
            "type": f"urn:tollkeeper:problem:{self.code}",
            "title": self.status.phrase,
            "status": int(self.status),
            "code": self.code,
            "detail": self.detail,
        }
        return {**body, "errors": self.errors} if self.errors else body


def invalid(detail: str, errors: Sequence[Mapping[str, str]] = ()) -> Problem:
    """422: the request was understood and is wrong."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", detail, errors=errors)


def unauthorized() -> Problem:
    """401: no key, or not one of ours; which of the two is nobody's business."""
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "unauthorized",
        "Send a valid API key: Authorization: Bearer tk_<key id>_<secret>.",
        headers={"WWW-Authenticate": 'Bearer realm="tollkeeper"'},
    )


def unavailable(detail: str) -> Problem:
    """503: try again soon."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", detail, headers={"Retry-After": "1"}
    )


def too_large(bytes_max: int) -> Problem:
    """413: more than anyone would honestly send."""
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "too_large",
        f"The body is larger than {bytes_max // 1024} KiB.",
    )
