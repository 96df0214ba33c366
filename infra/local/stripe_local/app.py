"""The ASGI application: the API below /v1, the payer's pages, the local cloud's own page."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from infra.local.stripe_local.account import Account
from infra.local.stripe_local.account_page import AccountPage
from infra.local.stripe_local.api import dispatch
from infra.local.stripe_local.challenge_page import ChallengePage
from infra.local.stripe_local.checkout_page import CheckoutPage
from infra.local.stripe_local.clockwork import keep_time
from infra.local.stripe_local.deliveries import Dispatcher, Retry
from infra.local.stripe_local.flows.jobs import JOBS
from infra.local.stripe_local.html import Renderer
from infra.local.stripe_local.portal_page import PortalPage

_STATIC = Path(__file__).with_name("static")
_Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(account: Account, retry: Retry) -> Starlette:
    """Return the application over `account`; its lifespan delivers webhooks and keeps time."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        background = [
            asyncio.create_task(Dispatcher(account, retry).run()),
            asyncio.create_task(keep_time(account, JOBS)),
        ]
        try:
            yield
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            account.save()

    render = Renderer()
    challenge, portal = ChallengePage(account, render), PortalPage(account, render)
    desk, checkout = AccountPage(account, render), CheckoutPage(account, render)
    static = StaticFiles(directory=_STATIC)
    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/v1/{path:path}", _api(account), methods=["GET", "POST", "DELETE"]),
            Route("/c/pay/{id}", checkout.show, methods=["GET"]),
            Route("/c/pay/{id}", _saving(account, checkout.submit), methods=["POST"]),
            Route("/c/embed/{id}", checkout.show, methods=["GET"]),
            Route("/c/embed/{id}", _saving(account, checkout.submit), methods=["POST"]),
            Route("/stripe.js", _script, methods=["GET"]),
            Route("/c/challenge/{id}", challenge.show, methods=["GET"]),
            Route("/c/challenge/{id}", _saving(account, challenge.submit), methods=["POST"]),
            Route("/p/session/{secret}", portal.show, methods=["GET"]),
            Route("/p/session/{secret}", _saving(account, portal.submit), methods=["POST"]),
            Route("/_local", desk.show, methods=["GET"]),
            Route("/_local/events", desk.list_events, methods=["GET"]),
            Route("/_local/{kind}/{id}/{action}", _saving(account, desk.act), methods=["POST"]),
            Route("/_local/{name}", _saving(account, desk.act_on_account), methods=["POST"]),
            Mount("/_local/static", static, name="static"),
        ],
    )


async def _script(_: Request) -> Response:
    """GET /stripe.js: what stands for Stripe.js; see there."""
    return FileResponse(_STATIC / "stripe.js", headers={"Cache-Control": "no-cache"})


def _api(account: Account) -> _Endpoint:
    async def api(request: Request) -> Response:
        body = await request.body()
        # From here to the answer nothing waits: each request sees and leaves a whole state.
        answer = dispatch.answer(
            account,
            dispatch.Request(
                method=request.method,
                path=request.url.path,
                query=request.url.query,
                body=body,
                headers=request.headers,
                base_url=str(request.base_url).rstrip("/"),
            ),
        )
        if request.method != "GET":
            account.save()
        return Response(
            answer.encode(), answer.status, answer.headers, media_type="application/json"
        )

    return api


def _saving(account: Account, endpoint: _Endpoint) -> _Endpoint:
    async def saving(request: Request) -> Response:
        response = await endpoint(request)
        account.save()
        return response

    return saving
