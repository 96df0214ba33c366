"""The chat's server: check, answer, report; the page asks nothing else of it."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractContextManager,
    aclosing,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from examples.chat.llm import (
    DEFAULT_MODEL,
    MODELS,
    ChatModel,
    Message,
    ModelError,
    Models,
    Spent,
    estimate_prompt_tokens,
    find_model,
)
from examples.chat.metering import (
    Allowed,
    BlockedError,
    Tollkeeper,
    TollkeeperError,
    UnavailableError,
    Usage,
)

Json = dict[str, Any]

_STATIC = Path(__file__).parent / "static"
_USERS = ("ada", "bob", "grace", "linus")
_TIERS = ("free", "pro")
_USER_ID_CHARACTERS_MAX = 128
_MESSAGES_MAX = 100
_CHARACTERS_MAX = 100_000
_SETTLING_SECONDS_MAX = 5.0


@dataclass(frozen=True)
class ChatConfig:
    """Where the parts are. `embed_url` is the upgrade page's address, or that of its embed.js."""

    provider_url: str
    tollkeeper_url: str
    api_key: str
    embed_url: str
    provider_key: str = "sk-local"
    outage: Literal["allow", "block"] = "allow"
    timeout_seconds: float = 2.0

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


class _Chat:
    def __init__(self, config: ChatConfig) -> None:
        self._config = config
        self._tollkeeper = Tollkeeper(
            config.tollkeeper_url,
            config.api_key,
            timeout_seconds=config.timeout_seconds,
            outage=config.outage,
        )
        self._models = Models(config.provider_url, config.provider_key)
        self._answering = 0
        self._idle = asyncio.Event()

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(asyncio.to_thread(self._models.warm))
        yield
        await warming
        # The server has cancelled what was still answering; each settles on its way out.
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLING_SECONDS_MAX):
                while self._answering:
                    self._idle.clear()
                    await self._idle.wait()
        await self._models.close()
        await run_in_threadpool(self._tollkeeper.close)

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
        return JSONResponse(_usage_json(await run_in_threadpool(self._tollkeeper.get_usage, user)))

    async def upgrade_link(self, request: Request) -> Response:
        body = await _json_object(request)
        user, tier = _user(body.get("user")), _tier(body.get("tier"))
        url = await run_in_threadpool(
            self._tollkeeper.upgrade_link, user, tier=tier, reason="buy_credits"
        )
        return JSONResponse({"upgrade_url": url})

    async def message(self, request: Request) -> Response:
        """Answer one message: 200 with a stream of events, or 402 when the user is at a limit."""
        turn = _read_turn(await _json_object(request))
        call_id = str(uuid.uuid4())
        spent = Spent(turn.model, estimate_prompt_tokens(turn.messages))
        try:
            allowed = await run_in_threadpool(
                self._tollkeeper.check,
                user_id=turn.user,
                tier=turn.tier,
                provider=turn.model.provider,
                model=turn.model.name,
                input_tokens=spent.input_tokens,
                max_output_tokens=turn.model.max_output_tokens,
                request_id=call_id,
            )
        except BlockedError as blocked:
            return JSONResponse(_blocked_json(blocked), status_code=402)
        return _MeteredStream(
            self._answer(turn, allowed, spent),
            self._until_settled(turn, call_id, allowed, spent),
        )

    @contextmanager
    def _until_settled(
        self, turn: Turn, call_id: str, allowed: Allowed, spent: Spent
    ) -> Iterator[None]:
        self._answering += 1
        try:
            yield
        finally:
            self._settle(turn, call_id, allowed, spent)
            self._answering -= 1
            self._idle.set()

    async def _answer(self, turn: Turn, allowed: Allowed, spent: Spent) -> AsyncIterator[bytes]:
        if allowed.usage:
            yield _event("usage", _usage_json(allowed.usage))
        try:
            async with aclosing(self._models.answer(turn.messages, spent)) as texts:
                async for text in texts:
                    yield _event("text", text)
            yield _event("done", {})
        except ModelError:
            yield _event("failed", {"charged": not spent.free})

    def _settle(self, turn: Turn, call_id: str, allowed: Allowed, spent: Spent) -> None:
        self._tollkeeper.report(
            event_id=call_id,
            user_id=turn.user,
            provider=turn.model.provider,
            model=turn.model.name,
            reservation_id=allowed.reservation_id,
            usage=None if spent.free else spent.usage,
            cost_usd=Decimal(0) if spent.free else None,
            status="error" if spent.failed else "ok",
            estimated=not spent.free and not spent.complete,
        )


class _MeteredStream(StreamingResponse):
    """Server-sent events, settled however they end."""

    def __init__(
        self, events: AsyncIterator[bytes], until_settled: AbstractContextManager[None]
    ) -> None:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._until_settled = until_settled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Around the whole answer, not inside the generator: a browser that left during the check
        # never starts that, and the reservation would be held until it expires.
        with self._until_settled:
            await super().__call__(scope, receive, send)


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
    windows = {
        name: {"percent": window.percent, "resets_at": window.resets_at.isoformat()}
        for name, window in usage.windows.items()
    }
    credits_ = [
        {"currency": c.currency, "balance_minor": c.balance_minor, "display": c.display}
        for c in usage.credits
    ]
    return {"tier": usage.tier, "windows": windows, "credits": credits_}


def _blocked_json(blocked: BlockedError) -> Json:
    return {
        "code": blocked.code,
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
    status = 503 if isinstance(error, UnavailableError) else 502
    return JSONResponse({"detail": str(error)}, status_code=status)
