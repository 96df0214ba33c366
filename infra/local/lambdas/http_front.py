"""The HTTP faces of the functions: each function's URL, and Lambda's Invoke API."""

import hashlib
import json
import time
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from infra.local.lambdas import cors
from infra.local.lambdas.event_bridge import EventBus
from infra.local.lambdas.function_url import (
    Headers,
    HttpRequest,
    InvalidAnswerError,
    build_event,
    read_answer,
)
from infra.local.lambdas.invocation import (
    PAYLOAD_BYTES_MAX,
    Invocation,
    ThrottledError,
)
from infra.local.lambdas.pool import Pool
from infra.local.template import FunctionUrl


class BodyTooLargeError(Exception):
    """A request's body is longer than Lambda takes."""


class FunctionUrlFront:
    """Serves one function's URL."""

    def __init__(self, pool: Pool, url: FunctionUrl, emit: Callable[[str], None]) -> None:
        self._pool = pool
        self._url = url
        self._emit = emit
        self._url_id = hashlib.sha256(pool.function.arn.encode()).hexdigest()[:32]

    async def __call__(self, request: Request) -> Response:
        """Answer one request, and say so on a line."""
        began = time.perf_counter()
        response = await self._respond(request)
        took_ms = (time.perf_counter() - began) * 1000
        path = request.url.path
        self._emit(f"{request.method} {path} {response.status_code} in {took_ms:.0f} ms")
        return response

    async def _respond(self, request: Request) -> Response:
        headers = [(name.decode("latin-1"), v.decode("latin-1")) for name, v in request.headers.raw]
        if self._url.cors and cors.is_preflight(request.method, headers):
            return _response(200, cors.preflight_headers(self._url.cors, headers), b"")
        answer = await self._answer(request, headers)
        if self._url.cors:
            pairs = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in answer.raw_headers]
            return _response(
                answer.status_code,
                cors.with_cors(self._url.cors, headers, pairs),
                bytes(answer.body),
            )
        return answer

    async def _answer(self, request: Request, headers: Headers) -> Response:
        call = Invocation()
        ids = [("x-amzn-requestid", call.request_id), ("x-amzn-trace-id", call.trace_id)]
        try:
            event = build_event(
                HttpRequest(
                    method=request.method,
                    raw_path=request.scope["raw_path"].decode("latin-1"),
                    raw_query=request.scope["query_string"].decode("latin-1"),
                    headers=headers,
                    body=await _bounded_body(request),
                    client_ip=request.client.host if request.client else "127.0.0.1",
                    protocol=f"HTTP/{request.scope['http_version']}",
                ),
                url_id=self._url_id,
                request_id=call.request_id,
                trace_id=call.trace_id,
            )
            # Base64 adds a third: the limit holds for what the function gets.
            call.payload = json.dumps(event).encode()
            if len(call.payload) > PAYLOAD_BYTES_MAX:
                raise BodyTooLargeError
            result = await self._pool.invoke(call)
            if result.is_error:
                return _bad_gateway(ids)
            answer = read_answer(result.payload)
        except BodyTooLargeError:
            return _message(413, "Request Entity Too Large", ids)
        except ThrottledError:
            return _message(429, "Rate Exceeded.", ids)
        except InvalidAnswerError:
            return _bad_gateway(ids)
        return _response(answer.status, [*answer.headers, *ids], answer.body)


class InvokeApi:
    """Lambda's Invoke, and what only this machine has.

    `POST /2015-03-31/functions/{name}/invocations` is the Lambda API's; by `POST /event-bus` the
    AWS endpoint hands over EventBridge events; `GET /warm` waits until every function has started.
    """

    def __init__(
        self,
        find: Callable[[str], Pool | None],
        warm: Callable[[], Awaitable[None]],
        bus: EventBus,
    ) -> None:
        self._find = find
        self._warm = warm
        self._bus = bus

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        match request.method, request.url.path.strip("/").split("/"):
            case "POST", ["2015-03-31", "functions", name, "invocations"]:
                return await self._invoke(request, name)
            case "POST", ["event-bus"]:
                self._bus.publish(json.loads(await request.body()))
                return Response(status_code=202)
            case "GET", ["warm"]:
                await self._warm()
                return Response(status_code=204)
            case _:
                return _service_error(404, "UnknownOperationException", "no such operation")

    async def _invoke(self, request: Request, name: str) -> Response:
        pool = self._find(name)
        if pool is None:
            return _service_error(404, "ResourceNotFoundException", f"Function not found: {name}")
        try:
            payload = await _bounded_body(request) or b"{}"
            json.loads(payload)
        except BodyTooLargeError:
            message = f"Request must be smaller than {PAYLOAD_BYTES_MAX} bytes"
            return _service_error(413, "RequestTooLargeException", message)
        except ValueError:
            message = "Could not parse request body into json"
            return _service_error(400, "InvalidRequestContentException", message)
        if request.headers.get("x-amz-invocation-type") == "Event":
            self._bus.invoke_async(pool, payload)
            return Response(status_code=202)
        return await _invoke_and_wait(pool, payload)


async def _invoke_and_wait(pool: Pool, payload: bytes) -> Response:
    try:
        result = await pool.invoke(Invocation(payload))
    except ThrottledError:
        return _service_error(429, "TooManyRequestsException", "Rate Exceeded.")
    headers = {"X-Amz-Executed-Version": "$LATEST"}
    if result.is_error:
        headers["X-Amz-Function-Error"] = "Unhandled"
    return Response(result.payload, media_type="application/json", headers=headers)


async def _bounded_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > PAYLOAD_BYTES_MAX:
            raise BodyTooLargeError
    return bytes(body)


def _response(status: int, headers: Headers, body: bytes) -> Response:
    response = Response(body, status)
    # Starlette's own headers argument is a mapping: two cookies would be one.
    length = [] if status == 204 else [("content-length", str(len(body)))]
    pairs = [(name, value) for name, value in headers if name != "content-length"]
    response.raw_headers = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in pairs + length]
    return response


def _message(status: int, message: str, headers: Headers) -> Response:
    body = json.dumps({"Message": message}).encode()
    return _response(status, [("content-type", "application/json"), *headers], body)


def _bad_gateway(headers: Headers) -> Response:
    pairs = [("content-type", "application/json"), *headers]
    return _response(502, pairs, b"Internal Server Error")


def _service_error(status: int, error_type: str, message: str) -> Response:
    return Response(
        json.dumps({"Type": "User", "Message": message}),
        status,
        media_type="application/json",
        headers={"x-amzn-ErrorType": error_type},
    )
