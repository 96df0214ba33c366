"""The chat's server: check, answer, report; the page asks nothing else of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send
from tollkeeper import (
    AsyncTollkeeper,
    BlockedError,
    TollkeeperError,
    UnavailableError,
    Usage,
)

from examples.chat.llm import (
    DEFAULT_MODEL,
    MODELS,
    Answer,
    ChatModel,
    Message,
    ModelError,
    Models,
    find_model,
)

Json = dict[str, Any]

_STATIC = Path(__file__).parent / "static"
_USERS = ("ada", "bob", "grace", "linus")
_TIERS = ("free", "pro")
_USER_ID_CHARACTERS_MAX = 128
_EVENTS = "text/event-stream"
_UNBUFFERED = {"cache-control": "no-store", "x-accel-buffering": "no"}
_MESSAGES_MAX = 100
_CHARACTERS_MAX = 100_000


@dataclass(frozen=True)
class ChatConfig:
    """Where the parts are. `embed_url` is the upgrade page's address, or that of its embed.js."""

    provider_url: str
    tollkeeper_url: str
    api_key: str
    embed_url: str
    provider_key: str = "sk-local"
    outage: Literal["allow", "block"] = "allow"
    timeout_s: float = 2.0

    @property
    def embed_script(self) -> str:
        """The address of embed.js itself."""
        url = self.embed_url
        return url if url.endswith(".js") else f"{url.rstrip('/')}/embed.js"


@dataclass(frozen=True)
class Turn:
    """One message of a user, with the conversation that it continues."""

    user: str
    tier: str
    model: ChatModel
    messages: list[Message]


def create_app(config: ChatConfig) -> Starlette:
    """The chat as an ASGI app; its lifespan flushes usage when it ends."""
    chat = _Chat(config)
    return Starlette(
        routes=[
            Route("/", chat.page),
            Route("/api/config", chat.config),
            Route("/api/usage", chat.usage),
            Route("/api/upgrade-link", chat.upgrade_link, methods=["POST"]),
            Route("/api/chat", chat.message, methods=["POST"]),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        lifespan=chat.lifespan,
        exception_handlers={
            HTTPException: _problem,
            TollkeeperError: _tollkeeper_problem,
        },
    )


#: What Tollkeeper warns of while one request is answered.
_warnings: ContextVar[list[Any]] = ContextVar("warnings")


def _keep_warnings(_user: str, warnings: Sequence[Any]) -> None:
    _warnings.get().extend(warnings)


class _Chat:
    def __init__(self, config: ChatConfig) -> None:
        self._config = config
        self._tollkeeper = AsyncTollkeeper(
            config.tollkeeper_url,
            config.api_key,
            timeout_s=config.timeout_s,
            outage=config.outage,
            on_warning=_keep_warnings,
        )
        self._models = Models(self._tollkeeper, config.provider_url, config.provider_key)
        self._answers: set[Answer] = set()

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(asyncio.to_thread(self._models.warm))
        yield
        await warming
        for answer in list(
            self._answers
        ):  # which the server broke off, and may not have closed yet
            await answer.close()
        await self._models.close()
        await self._tollkeeper.close()

    async def page(self, _request: Request) -> Response:
        address = urlsplit(self._config.embed_script)
        upgrade_page = f"{address.scheme}://{address.netloc}"
        policy = (
            f"default-src 'self'; script-src 'self' {upgrade_page}; frame-src {upgrade_page}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        headers = {"content-security-policy": policy}
        return FileResponse(_STATIC / "index.html", headers=headers)

    async def config(self, _request: Request) -> Response:
        models = [{"name": model.name, "label": model.label} for model in MODELS]
        return JSONResponse(
            {
                "users": _USERS,
                "tiers": _TIERS,
                "models": models,
                "default_model": DEFAULT_MODEL,
                "embed_script": self._config.embed_script,
            }
        )

    async def usage(self, request: Request) -> Response:
        user = _user(request.query_params.get("user"))
        return JSONResponse(_usage_json(await self._tollkeeper.get_usage(user)))

    async def upgrade_link(self, request: Request) -> Response:
        body = await _json_object(request)
        user, tier = _user(body.get("user")), _tier(body.get("tier"))
        url = await self._tollkeeper.upgrade_link(user, tier=tier, reason="buy_credits")
        return JSONResponse({"upgrade_url": url})

    async def message(self, request: Request) -> Response:
        """Answer one message: 200 with a stream of events, or 402 when the user is at a limit."""
        turn = _read_turn(await _json_object(request))
        warnings: list[Any] = []
        _warnings.set(warnings)
        try:
            with self._tollkeeper.user(turn.user, tier=turn.tier):
                answer = await self._models.ask(turn.model, turn.messages)
        except BlockedError as blocked:
            return JSONResponse(_blocked_json(blocked), status_code=402)
        except ModelError:
            return _events(_said(_event("failed", {"charged": False})))
        return _Answered(answer, self._answers, warnings)


class _Answered(StreamingResponse):
    """An answer as server-sent events, closed however they end."""

    def __init__(self, answer: Answer, under_way: set[Answer], warnings: list[Any]) -> None:
        super().__init__(_told(answer, warnings), media_type=_EVENTS, headers=_UNBUFFERED)
        self._answer = answer
        self._under_way = under_way
        under_way.add(answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Around the whole response, not inside the generator: of a browser that left during the
        # check that never starts, and the connection to the model would stay open.
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._answer.close()
            self._under_way.discard(self._answer)


async def _told(answer: Answer, warnings: list[Any]) -> AsyncIterator[bytes]:
    said = False
    if warnings:
        yield _event("warnings", warnings)
    try:
        async with aclosing(answer.texts()) as texts:
            async for text in texts:
                said = True
                yield _event("text", text)
        yield _event("done", {})
    except ModelError:
        yield _event("failed", {"charged": said})


async def _said(*events: bytes) -> AsyncIterator[bytes]:
    for event in events:
        yield event


def _events(events: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(events, media_type=_EVENTS, headers=_UNBUFFERED)


def _event(kind: str, data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def _read_turn(body: Json) -> Turn:
    model = find_model(str(body.get("model")))
    if model is None:
        raise HTTPException(400, "no such model")
    messages = body.get("messages")
    if not isinstance(messages, list) or not 0 < len(messages) <= _MESSAGES_MAX:
        raise HTTPException(400, f"expected 1 to {_MESSAGES_MAX} messages")
    read = [_message(message) for message in messages]
    if read[-1].role != "user":
        raise HTTPException(400, "the last message is not the user's")
    if sum(len(message.content) for message in read) > _CHARACTERS_MAX:
        raise HTTPException(413, "this conversation is too long")
    return Turn(_user(body.get("user")), _tier(body.get("tier")), model, read)


def _message(message: Any) -> Message:
    role, content = (
        (message.get("role"), message.get("content")) if isinstance(message, dict) else ("", "")
    )
    if role not in ("user", "assistant") or not isinstance(content, str) or not content.strip():
        raise HTTPException(400, "a message has a role and some text")
    return Message("user" if role == "user" else "assistant", content)


def _user(value: Any) -> str:
    user = value.strip() if isinstance(value, str) else ""
    if not 0 < len(user) <= _USER_ID_CHARACTERS_MAX:
        raise HTTPException(400, f"a user has 1 to {_USER_ID_CHARACTERS_MAX} characters")
    return user


def _tier(value: Any) -> str:
    if value not in _TIERS:
        raise HTTPException(400, "no such tier")
    return str(value)


async def _json_object(request: Request) -> Json:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise HTTPException(400, "expected a JSON object")
    return body


def _usage_json(usage: Usage) -> Json:
    """What an end user may see, as Tollkeeper's API has it."""
    return {name: usage.raw[name] for name in ("tier", "windows", "credits")}


def _blocked_json(blocked: BlockedError) -> Json:
    return {
        "code": blocked.reason,
        "upgrade_message": blocked.upgrade_message,
        "upgrade_url": blocked.upgrade_url,
        "resets_at": blocked.resets_at.isoformat() if blocked.resets_at else None,
        "usage": _usage_json(blocked.usage),
    }


def _problem(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else "unexpected error"
    return JSONResponse({"detail": detail}, status_code=status)


def _tollkeeper_problem(_request: Request, error: Exception) -> Response:
    if isinstance(error, UnavailableError):
        return JSONResponse({"detail": "Tollkeeper did not answer"}, status_code=503)
    return JSONResponse({"detail": str(error)}, status_code=502)
