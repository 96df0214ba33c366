"""The page that shows the whole account, and takes a developer's clicks."""

from collections.abc import Callable
from dataclasses import asdict
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.local.stripe_local import actions
from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.actions import AFTER_RETRIES
from infra.local.stripe_local.chaos import chaos_of
from infra.local.stripe_local.deliveries import secrets_of
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.flows.disputes import is_open
from infra.local.stripe_local.html import Renderer, done

_SHOWN_MAX = 50


class AccountPage:
    """The handlers, over one account."""

    def __init__(self, account: Account, render: Renderer) -> None:
        self._account = account
        self._render = render

    async def show(self, _: Request) -> Response:
        """GET /_local: what is in the account, newest first."""
        return self._show(None, 200)

    def _show(self, alert: str | None, status: int) -> Response:
        return self._render(
            "account.html",
            status,
            alert=alert,
            now=self._account.clock(),
            sessions=self._latest("checkout.session"),
            charges=self._latest("charge"),
            charged_back={
                d["charge"] for d in self._account.each("dispute") if not d["is_charge_refundable"]
            },
            refunds=self._latest("refund"),
            disputes=[(d, is_open(d)) for d in self._latest("dispute")],
            subscriptions=self._latest("subscription"),
            invoices=self._latest("invoice"),
            endpoints=[(e, secrets_of(self._account, e)) for e in self._latest("webhook_endpoint")],
            methods={m["id"]: self._card(m) for m in self._account.each("payment_method")},
            then=self._account.state.settings.get("after_retries", AFTER_RETRIES[0]),
            after_retries=AFTER_RETRIES,
            chaos=asdict(chaos_of(self._account)),
            ahead_s=self._account.state.ahead_s,
            events=[(event, self._deliveries(event)) for event in self._latest("event")],
        )

    def _card(self, method: Json) -> Json:
        """Say of a saved method what the page shows beside its subscription."""
        hidden = self._account.private(method["id"])
        return {"last4": method[method["type"]]["last4"], "fails": hidden.get("fails")}

    def _latest(self, kind: str) -> list[Json]:
        return list(self._account.each(kind))[:_SHOWN_MAX]

    async def list_events(self, _: Request) -> Response:
        """GET /_local/events: JSON, newest first, each event with its deliveries."""
        data = [e | {"deliveries": self._deliveries(e)} for e in self._account.each("event")]
        return JSONResponse({"data": data})

    async def act(self, request: Request) -> Response:
        """POST /_local/{kind}/{id}/{action}: what `actions.py` lists."""
        path = request.path_params
        name = f"{path['kind']}/{path['action']}"
        return await self._do(
            request, lambda form: actions.run(self._account, name, path["id"], form)
        )

    async def act_on_account(self, request: Request) -> Response:
        """POST /_local/time, /_local/settings: what concerns the whole account."""
        name = request.path_params["name"]
        return await self._do(request, lambda form: actions.set_account(self._account, name, form))

    async def _do(self, request: Request, act: Callable[[dict[str, str]], Json]) -> Response:
        body = (await request.body()).decode(errors="replace")
        form = dict(request.query_params) | dict(parse_qsl(body, keep_blank_values=True))
        try:
            answer = act(form)
        except StripeError as error:
            if "text/html" in request.headers.get("accept", ""):
                return self._show(str(error), error.status)
            return JSONResponse({"error": error.error}, error.status)
        return done(request, answer)

    def _deliveries(self, event: Json) -> list[Json]:
        deliveries = self._account.state.deliveries.values()
        return [delivery for delivery in deliveries if delivery["event"] == event["id"]]
