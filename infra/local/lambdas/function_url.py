"""Function URLs: an HTTP request becomes an event, what the function returns an HTTP answer.

Payload format 2.0; Lambda developer guide, "Invoking Lambda function URLs". What the guide leaves
open is as the service does it: the path stays percent-encoded, a body whose content type is not
known to be text arrives base64-encoded (forms too), a failed function is a bare 502.
"""

import base64
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

_TEXT_MARKS = ("text/", "json", "xml", "javascript")
# They belong to one connection, which ends at the function URL (RFC 9110, 7.6.1).
_HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"}
_BODILESS = {204, 304}

Headers = list[tuple[str, str]]


class InvalidAnswerError(ValueError):
    """The function's answer has a status, headers or body that HTTP cannot carry."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came over the wire: path and query still encoded, headers in order."""

    method: str
    raw_path: str
    raw_query: str
    headers: Headers
    body: bytes
    client_ip: str
    protocol: str = "HTTP/1.1"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What goes back to the client."""

    status: int
    headers: Headers
    body: bytes


def build_event(
    request: HttpRequest, *, url_id: str, request_id: str, trace_id: str
) -> dict[str, Any]:
    """The event for a request to the function URL `url_id`."""
    headers, cookies = _combined(request.headers)
    host = headers.get("host", "")
    headers |= {
        "x-amzn-trace-id": trace_id,
        "x-forwarded-for": request.client_ip,
        "x-forwarded-port": host.rpartition(":")[2] if ":" in host else "80",
        "x-forwarded-proto": "http",
    }
    now = time.time()
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.raw_path,
        "rawQueryString": request.raw_query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": url_id,
            "domainName": host,
            "domainPrefix": url_id,
            "http": {
                "method": request.method,
                "path": request.raw_path,
                "protocol": request.protocol,
                "sourceIp": request.client_ip,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request_id,
            "routeKey": "$default",
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if parameters := _query_parameters(request.raw_query):
        event["queryStringParameters"] = parameters
    if request.body:
        event["body"], event["isBase64Encoded"] = _event_body(
            request.body, headers.get("content-type", "")
        )
    return event


def read_answer(payload: bytes) -> HttpAnswer:
    """The HTTP answer that a function's result stands for; `InvalidAnswerError` when none does.

    A result without `statusCode` is a body of its own, JSON with status 200.
    """
    try:
        result = json.loads(payload)
    except ValueError:
        raise InvalidAnswerError("the function's answer is not JSON") from None
    if not isinstance(result, dict) or "statusCode" not in result:
        return HttpAnswer(200, [("content-type", "application/json")], payload)
    status = _status(result["statusCode"])
    headers = _answer_headers(result.get("headers") or {})
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "application/json"))
    headers += [("set-cookie", str(cookie)) for cookie in result.get("cookies") or []]
    body = _answer_body(result.get("body"), encoded=bool(result.get("isBase64Encoded")))
    return HttpAnswer(status, headers, b"" if status in _BODILESS else body)


def _combined(pairs: Iterable[tuple[str, str]]) -> tuple[dict[str, str], list[str]]:
    """Lower-case headers, a repeated one joined by commas; cookies are taken out of them."""
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in pairs:
        key = name.lower()
        if key == "cookie":
            cookies += [cookie for part in value.split(";") if (cookie := part.strip())]
        elif key not in _HOP_BY_HOP:
            headers[key] = f"{headers[key]},{value}" if key in headers else value
    return headers, cookies


def _query_parameters(raw_query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(raw_query, keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    return parameters


def _event_body(body: bytes, content_type: str) -> tuple[str, bool]:
    media_type = content_type.partition(";")[0].strip().lower()
    if any(mark in media_type for mark in _TEXT_MARKS):
        try:
            return body.decode("utf-8"), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode("ascii"), True


def _status(value: Any) -> int:
    # bool is an int in Python, and no status.
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InvalidAnswerError(f"statusCode {value!r} is not a number")
    try:
        status = int(value)
    except ValueError:
        raise InvalidAnswerError(f"statusCode {value!r} is not a number") from None
    if not 200 <= status <= 599:
        raise InvalidAnswerError(f"statusCode {status} is not an answer's status")
    return status


def _answer_headers(given: Any) -> Headers:
    if not isinstance(given, Mapping):
        raise InvalidAnswerError("headers is not an object")
    headers: Headers = []
    for name, value in given.items():
        if isinstance(value, Mapping | list):
            raise InvalidAnswerError(f"header {name} is not a string")
        text = json.dumps(value) if isinstance(value, bool) else str(value)
        if not text.isascii() or any(mark in text for mark in "\r\n\0"):
            raise InvalidAnswerError(f"header {name} holds what a header cannot")
        if name.lower() not in _HOP_BY_HOP | {"content-length"}:
            headers.append((name.lower(), text))
    return headers


def _answer_body(body: Any, *, encoded: bool) -> bytes:
    if body is None:
        return b""
    text = body if isinstance(body, str) else json.dumps(body)
    if not encoded:
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise InvalidAnswerError("isBase64Encoded is true and the body is not base64") from None
