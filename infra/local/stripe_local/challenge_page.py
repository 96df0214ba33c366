"""The page on which a bank asks its customer (3D Secure), for cards that want it."""

from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.checkout_form import done_url, is_embedded, page_path
from infra.local.stripe_local.flows import checkout, invoices, payments, subscriptions
from infra.local.stripe_local.html import Renderer, see


class ChallengePage:
    """The handlers, over one account."""

    def __init__(self, account: Account, render: Renderer) -> None:
        self._account = account
        self._render = render

    async def show(self, request: Request) -> Response:
        """GET /c/challenge/{id}: the id is a payment intent's."""
        intent = self._intent(request)
        if intent is None:
            return self._render("over.html", 404, state="unknown", session=None)
        session = self._account.find(self._account.private(intent["id"]).get("session"))
        framed = session is not None and is_embedded(session)
        return self._render("challenge.html", 200, framed=framed, intent=intent)

    async def submit(self, request: Request) -> Response:
        """POST /c/challenge/{id}: `action` is complete or fail."""
        intent = self._intent(request)
        if intent is None:
            return self._render("over.html", 404, state="unknown", session=None)
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        with self._account.on_clock_of(self._account.find(intent["customer"])):
            return see(self._answer(intent, passed=form.get("action") == "complete"))

    def _answer(self, intent: Json, *, passed: bool) -> str:
        """Go on with the payment, or stop it; return where the payer goes."""
        account, hidden = self._account, self._account.private(intent["id"])
        session = account.find(hidden.get("session"))
        method = account.get("payment_method", intent["payment_method"])
        if session is not None and session["status"] != "open":
            payments.fail_challenge(account, intent)
            return page_path(session)
        if not passed:
            payments.fail_challenge(account, intent)
            return page_path(session) if session else self._return_url(intent)
        if session is not None:
            paid = checkout.resume(account, session, method) == "complete"
            return done_url(session) if paid else page_path(session)
        paid = payments.charge_card(account, intent, method, f"{account.base_url}/_local")
        invoice = account.find(hidden.get("invoice"))
        if invoice is not None:
            (invoices.pay if paid else invoices.fail)(account, invoice)
            subscriptions.after_payment(account, invoice, "paid" if paid else "failed")
        return self._return_url(intent)

    def _return_url(self, intent: Json) -> str:
        return self._account.private(intent["id"]).get("return_url") or "/_local"

    def _intent(self, request: Request) -> Json | None:
        found = self._account.find(request.path_params["id"])
        asked = found and found["object"] == "payment_intent"
        return found if found and asked and found["status"] == "requires_action" else None
