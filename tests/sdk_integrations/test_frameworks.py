"""Starlette, FastAPI, Flask and Django: a block becomes 402, and a request is its user's."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import django
import fastapi
import flask
import pytest
from openai import OpenAI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from tollkeeper import BlockedError, Tollkeeper
from tollkeeper.integrations.starlette import UserMiddleware, blocked_response

from infra.local.provider import LocalProvider
from tests.support.scripted_tollkeeper import RESETS_AT, ScriptedTollkeeper

Ask = Callable[[str], str]


@pytest.fixture
def ask(tk: Tollkeeper, provider: LocalProvider) -> Iterator[Ask]:
    """One metered call of whoever the request is from."""
    with OpenAI(base_url=f"{provider.url}/v1", api_key="sk-x", max_retries=0) as client:
        create = tk.wrap(client.chat.completions.create)

        def ask(text: str) -> str:
            reply = create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": text}], max_tokens=50
            )
            return reply.choices[0].message.content or ""

        yield ask


def expect_block(status: int, headers: Any, body: dict[str, Any], url: str) -> None:
    assert status == 402
    assert headers["cache-control"] == "no-store"
    assert body.pop("usage")["windows"]["daily"] == {"percent": 100, "resets_at": RESETS_AT}
    assert body == {
        "tollkeeper": "blocked",
        "code": "limit",
        "window": "daily",
        "resets_at": RESETS_AT,
        "upgrade_message": "You have reached today's limit.",
        "upgrade_url": f"{url}/upgrade",
    }


def starlette_app(tk: Tollkeeper, ask: Ask) -> Starlette:
    def plain(request: Request) -> JSONResponse:
        return JSONResponse({"said": ask("hi")})

    async def streamed(request: Request) -> StreamingResponse:
        async def body() -> Any:
            yield await asyncio.to_thread(ask, "from within the stream")

        return StreamingResponse(body())

    async def user(request: Any) -> str | None:
        return request.headers.get("x-user")

    return Starlette(
        routes=[Route("/plain", plain), Route("/streamed", streamed)],
        middleware=[
            Middleware(
                UserMiddleware, tk=tk, get_user=user, get_tier=lambda r: r.headers.get("x-tier")
            )
        ],
        exception_handlers={BlockedError: blocked_response},
    )


def test_starlette(tk: Tollkeeper, ask: Ask, scripted: ScriptedTollkeeper) -> None:
    with TestClient(starlette_app(tk, ask)) as client:
        headers = {"x-user": "ada", "x-tier": "pro"}
        assert client.get("/plain", headers=headers).json()["said"]
        assert client.get("/streamed", headers={"x-user": "bob"}).text
        assert [(c["user_id"], c.get("tier")) for c in scripted.checks] == [
            ("ada", "pro"),
            ("bob", None),
        ]
        scripted.limit = 0
        answer = client.get("/plain", headers=headers)
        expect_block(answer.status_code, answer.headers, answer.json(), scripted.url)


def test_fastapi(tk: Tollkeeper, ask: Ask, scripted: ScriptedTollkeeper) -> None:
    app = fastapi.FastAPI()
    app.add_exception_handler(BlockedError, blocked_response)

    def current_user(x_user: Annotated[str, fastapi.Header()]) -> str:
        return x_user

    async def metered(user: Annotated[str, fastapi.Depends(current_user)]) -> Any:
        with tk.user(user):
            yield

    @app.get("/", dependencies=[fastapi.Depends(metered)])
    def home() -> dict[str, str]:
        return {"said": ask("hi")}

    with TestClient(app) as client:
        assert client.get("/", headers={"x-user": "ada"}).json()["said"]
        assert scripted.checks[0]["user_id"] == "ada"
        scripted.limit = 0
        answer = client.get("/", headers={"x-user": "ada"})
        expect_block(answer.status_code, answer.headers, answer.json(), scripted.url)


def test_flask(tk: Tollkeeper, ask: Ask, scripted: ScriptedTollkeeper) -> None:
    from tollkeeper.integrations.flask import init_app

    app = flask.Flask(__name__)
    init_app(
        app,
        tk,
        get_user=lambda: flask.request.headers.get("x-user"),
        get_tier=lambda: flask.request.headers.get("x-tier"),
    )

    @app.get("/plain")
    def plain() -> Any:
        return {"said": ask("hi")}

    client = app.test_client()
    assert client.get("/plain", headers={"x-user": "ada", "x-tier": "pro"}).json["said"]
    (check,) = scripted.checks
    assert (check["user_id"], check["tier"]) == ("ada", "pro")
    scripted.limit = 0
    answer = client.get("/plain", headers={"x-user": "ada"})
    expect_block(answer.status_code, answer.headers, answer.json, scripted.url)


def test_after_a_request_nobody_is_named(
    tk: Tollkeeper, ask: Ask, scripted: ScriptedTollkeeper
) -> None:
    from tollkeeper.integrations.flask import init_app

    app = flask.Flask(__name__)
    app.testing = True
    init_app(app, tk, get_user=lambda: flask.request.headers.get("x-user"))
    app.add_url_rule("/", "home", lambda: ask("hi"))
    client = app.test_client()
    client.get("/", headers={"x-user": "ada"})
    with pytest.raises(Exception, match="user"):
        client.get("/")
    assert [c["user_id"] for c in scripted.checks] == ["ada"]


@pytest.fixture
def django_client(tk: Tollkeeper, ask: Ask) -> Iterator[Any]:
    from django.conf import settings
    from django.http import JsonResponse
    from django.urls import path

    def view(request: Any) -> Any:
        return JsonResponse({"said": ask("hi")})

    async def async_view(request: Any) -> Any:
        return JsonResponse({"said": await asyncio.to_thread(ask, "hi")})

    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"],
            SECRET_KEY="x" * 50,
            ROOT_URLCONF=__name__,
            MIDDLEWARE=["tollkeeper.integrations.django.TollkeeperMiddleware"],
            DEFAULT_CHARSET="utf-8",
        )
        django.setup()
    from django.test import override_settings

    class Urls:
        urlpatterns = (path("plain", view), path("async", async_view))

    with override_settings(
        ROOT_URLCONF=Urls,
        TOLLKEEPER_CLIENT=tk,
        TOLLKEEPER_GET_USER=lambda request: request.headers.get("x-user"),
        TOLLKEEPER_GET_TIER=lambda request: request.headers.get("x-tier"),
    ):
        yield django


def test_django(django_client: Any, scripted: ScriptedTollkeeper) -> None:
    from django.test import Client

    client = Client()
    assert client.get("/plain", headers={"x-user": "ada", "x-tier": "pro"}).json()["said"]
    (check,) = scripted.checks
    assert (check["user_id"], check["tier"]) == ("ada", "pro")
    scripted.limit = 0
    answer = client.get("/plain", headers={"x-user": "ada"})
    expect_block(answer.status_code, answer.headers, answer.json(), scripted.url)


def test_django_async(django_client: Any, scripted: ScriptedTollkeeper) -> None:
    from django.test import AsyncClient

    async def visit() -> Any:
        client = AsyncClient()
        first = await client.get("/async", headers={"x-user": "ada"})
        scripted.limit = 0
        return first, await client.get("/async", headers={"x-user": "ada"})

    first, answer = asyncio.run(visit())
    assert first.json()["said"]
    assert scripted.checks[0]["user_id"] == "ada"
    expect_block(answer.status_code, answer.headers, answer.json(), scripted.url)


def test_django_names_the_signed_in_user(django_client: Any, tk: Tollkeeper) -> None:
    from django.core.exceptions import ImproperlyConfigured
    from django.test import RequestFactory, override_settings
    from tollkeeper.integrations.django import TollkeeperMiddleware

    class SignedIn:
        is_authenticated = True
        pk = 7

    class Nobody:
        is_authenticated = False

    seen: list[str | None] = []

    class Spy:
        def user(self, user: str, *, tier: str | None = None) -> Any:
            seen.append(user)
            return tk.user(user, tier=tier)

    with override_settings(TOLLKEEPER_CLIENT=Spy(), TOLLKEEPER_GET_USER=None):
        middleware = TollkeeperMiddleware(lambda request: request)
        for who in (SignedIn(), Nobody()):
            request = RequestFactory().get("/")
            request.user = who  # type: ignore[assignment]  # as AuthenticationMiddleware sets it
            assert middleware(request) is request
    assert seen == ["7"]
    with override_settings():
        from django.conf import settings

        del settings.TOLLKEEPER_CLIENT
        with pytest.raises(ImproperlyConfigured, match="TOLLKEEPER_CLIENT is not set"):
            TollkeeperMiddleware(lambda request: request)
