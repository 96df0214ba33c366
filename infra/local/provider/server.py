"""The provider's app: keys, models, triggers, and the way to each endpoint."""

import time
import uuid
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.provider import (
    anthropic_messages,
    openai_chat,
    openai_embeddings,
    openai_responses,
)
from infra.local.provider.body import Body
from infra.local.provider.desk import Caller, Desk
from infra.local.provider.errors import (
    ApiError,
    Vendor,
    invalid_key,
    missing_key,
    unknown_model,
    wanted_failure,
)
from infra.local.provider.ledger import Call
from infra.local.provider.models import Model, find_model, model_names
from infra.local.provider.serving import BackgroundServer

FAILURE_HEADER = "x-local-error"
_FAILURE_MODEL = "error-"

_Handler = Callable[[Desk, Request, Caller, Body], Awaitable[Response]]


def create_app(token_delay_ms: float = 15.0) -> Starlette:
    """The ASGI app; `token_delay_ms` is the pause before each token."""
    return _app(Desk(token_delay_ms=token_delay_ms))


class LocalProvider:
    """The provider in a thread, for the length of a `with` block."""

    def __init__(self, port: int = 0, token_delay_ms: float = 15.0) -> None:
        self._desk = Desk(token_delay_ms=token_delay_ms)
        self._server = BackgroundServer(_app(self._desk), port)
        self.url = self._server.url

    @property
    def token_delay_ms(self) -> float:
        """The pause before each token; a change holds from the next token on."""
        return self._desk.token_delay_ms

    @token_delay_ms.setter
    def token_delay_ms(self, value: float) -> None:
        self._desk.token_delay_ms = value

    @property
    def calls(self) -> list[Call]:
        """Every call so far, oldest first, with what was counted and sent."""
        return self._desk.ledger.calls

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.__exit__(kind, error, trace)


def _app(desk: Desk) -> Starlette:
    def post(path: str, vendor: Vendor, handler: _Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            return await _answer(desk, vendor, handler, request)

        return Route(path, endpoint, methods=["POST"])

    async def calls(_request: Request) -> Response:
        return JSONResponse({"calls": [call.as_json() for call in desk.ledger.calls]})

    return Starlette(
        routes=[
            post("/v1/chat/completions", "openai", openai_chat.create),
            post("/v1/responses", "openai", openai_responses.create),
            post("/v1/embeddings", "openai", openai_embeddings.create),
            post("/v1/messages", "anthropic", anthropic_messages.create),
            post("/v1/messages/count_tokens", "anthropic", anthropic_messages.count),
            Route("/v1/models", _models),
            Route("/local/calls", calls),
        ],
        exception_handlers={404: _no_such_path},
    )


async def _answer(desk: Desk, vendor: Vendor, handler: _Handler, request: Request) -> Response:
    started = time.monotonic()
    headers = _request_headers(vendor)
    request.state.headers = headers
    try:
        key = _key(vendor, request)
        if failure := wanted_failure(vendor, request.headers.get(FAILURE_HEADER, "")):
            raise failure
        body = await Body.read(vendor, request)
        caller = Caller(key, _model(vendor, body.text("model")))
        response = await handler(desk, request, caller, body)
    except ApiError as error:
        response = _error(vendor, headers, error)
    if vendor == "openai":
        elapsed_ms = round((time.monotonic() - started) * 1000)
        response.headers["openai-processing-ms"] = str(elapsed_ms)
    return response


def _error(vendor: Vendor, headers: dict[str, str], error: ApiError) -> Response:
    retry = {"retry-after": "1"} if error.status in (429, 529) else {}
    request_id = next(iter(headers.values()))
    return JSONResponse(
        error.body(vendor, request_id), status_code=error.status, headers={**headers, **retry}
    )


def _request_headers(vendor: Vendor) -> dict[str, str]:
    name = "x-request-id" if vendor == "openai" else "request-id"
    return {name: f"req_{uuid.uuid4().hex}"}


def _key(vendor: Vendor, request: Request) -> str:
    """The caller's key. Anthropic's header counts only there; a bearer token counts at both."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    key = key.strip() if scheme.lower() == "bearer" else ""
    if vendor == "anthropic":
        key = request.headers.get("x-api-key") or key
    if not key:
        raise missing_key(vendor)
    if key.startswith("sk-invalid"):
        raise invalid_key(vendor, key)
    if vendor == "anthropic" and "anthropic-version" not in request.headers:
        raise ApiError(400, "anthropic-version: header is required")
    return key


def _model(vendor: Vendor, name: str) -> Model:
    if name.startswith(_FAILURE_MODEL):
        failure = wanted_failure(vendor, name.removeprefix(_FAILURE_MODEL))
        if failure:
            raise failure
    model = find_model(vendor, name)
    if model is None:
        raise unknown_model(vendor, name)
    return model


async def _models(request: Request) -> Response:
    """Both vendors list models here; Anthropic's clients are known by their version header."""
    vendor: Vendor = "anthropic" if "anthropic-version" in request.headers else "openai"
    headers = _request_headers(vendor)
    try:
        _key(vendor, request)
    except ApiError as error:
        return _error(vendor, headers, error)
    names = model_names(vendor)
    if vendor == "openai":
        data = [{"id": n, "object": "model", "created": 0, "owned_by": "local"} for n in names]
        return JSONResponse({"object": "list", "data": data}, headers=headers)
    created = "1970-01-01T00:00:00Z"
    data = [{"type": "model", "id": n, "display_name": n, "created_at": created} for n in names]
    page = {"has_more": False, "first_id": names[0], "last_id": names[-1]}
    return JSONResponse({"data": data, **page}, headers=headers)


async def _no_such_path(request: Request, _exc: Exception) -> Response:
    message = f"Invalid URL ({request.method} {request.url.path})"
    return JSONResponse(ApiError(404, message).body("openai", ""), status_code=404)
