"""A function URL's event (payload format 2.0) as a request, and an answer as it wants it.

docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

import base64
import binascii
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import unquote

from pydantic_core import to_json

from tollkeeper_core.domain.problems import CONTENT_TYPE, Problem, too_large

Answer = dict[str, Any]


class Request(NamedTuple):
    """``headers`` in lower case; ``path`` percent-decoded by segment; ``body`` as it was sent."""

    method: str
    path: tuple[str, ...]
    headers: Mapping[str, str]
    body: bytes


def request_of(event: Mapping[str, Any], body_bytes_max: int) -> Request:
    """Raises Problem 413 for a body over the bound, before it is decoded, and 400."""
    body = event.get("body") or ""
    encoded = bool(event.get("isBase64Encoded"))
    if len(body) > (body_bytes_max * 4 // 3 + 4 if encoded else body_bytes_max):
        raise too_large(body_bytes_max)
    try:
        raw = base64.b64decode(body, validate=True) if encoded else body.encode()
    except (binascii.Error, UnicodeEncodeError):
        raise Problem(HTTPStatus.BAD_REQUEST, "bad_body", "The body cannot be decoded.") from None
    if len(raw) > body_bytes_max:
        raise too_large(body_bytes_max)
    http = event["requestContext"]["http"]
    return Request(
        method=str(http["method"]).upper(),
        path=tuple(unquote(part) for part in str(event["rawPath"]).strip("/").split("/")),
        headers={name.lower(): value for name, value in event.get("headers", {}).items()},
        body=raw,
    )


def json_answer(
    status: HTTPStatus, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Answer:
    """An answer with a JSON body, kept by no cache."""
    return {
        "statusCode": int(status),
        "headers": {
            "Content-Type": "application/json",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            **(headers or {}),
        },
        "body": to_json(body).decode(),
        "isBase64Encoded": False,
    }


def problem_answer(problem: Problem) -> Answer:
    """RFC 9457."""
    headers = {**problem.headers, "Content-Type": CONTENT_TYPE}
    return json_answer(problem.status, problem.as_json(), headers)
