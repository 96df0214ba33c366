"""The customer portal: a subscriber cancels, resumes, changes the card and pays what is open."""

from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from infra.local.stripe_local.account import Account, Cause, Json
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.events import changed, emit
from infra.local.stripe_local.flows import changes, payments, renewals
from infra.local.stripe_local.flows.cards import GOOD_CARD, TEST_CARDS, card_of, read_number
from infra.local.stripe_local.flows.subscriptions import ENDED, end_of
from infra.local.stripe_local.html import Renderer, see

_LIVES_S = 3600


class PortalPage:
    """The handlers, over one account."""

    def __init__(self, account: Account, render: Renderer) -> None:
        self._account = account
        self._render = render

    async def show(self, request: Request) -> Response:
        """GET /p/session/{secret}: where a portal session's `url` leads, for an hour."""
        session = self._session(request)
        if session is None:
            return self._render("over.html", 404, state="unknown", session=None)
        return self._show(session, None, 200)

    def _show(self, session: Json, alert: str | None, status: int) -> Response:
        account, customer = self._account, session["customer"]
        subscriptions = [s for s in account.each("subscription") if s["customer"] == customer]
        default = account.get("customer", customer)["invoice_settings"]["default_payment_method"]
        return self._render(
            "portal.html",
            status,
            session=session,
            secret=account.private(session["id"])["secret"],
            alert=alert,
            subscriptions=[(s, end_of(s), s["status"] in ENDED) for s in subscriptions],
            invoices=[i for i in account.each("invoice") if i["customer"] == customer],
            methods=[m for m in account.each("payment_method") if m["customer"] == customer],
            default=default,
            cards=TEST_CARDS,
            card=GOOD_CARD,
        )

    async def submit(self, request: Request) -> Response:
        """POST /p/session/{secret}: `action` is cancel, resume, card or pay."""
        session = self._session(request)
        if session is None:
            return self._render("over.html", 404, state="unknown", session=None)
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        customer = self._account.get("customer", session["customer"])
        try:
            with self._account.on_clock_of(customer):
                self._act(customer, form)
        except StripeError as error:
            return self._show(session, str(error), error.status)
        flow = session["flow"] or {}
        redirect = flow.get("after_completion", {}).get("redirect")
        return see(redirect["return_url"] if redirect else request.url.path)

    def _act(self, customer: Json, form: dict[str, str]) -> None:
        action = form.get("action", "")
        if action in ("cancel", "resume"):
            subscription = self._own("subscription", customer, form)
            fields = {"cancel_at_period_end": action == "cancel"}
            changes.update(self._account, subscription, fields, Cause())
        elif action == "card":
            self._change_card(customer, form.get("card", ""))
        elif action == "pay":
            invoice = self._own("invoice", customer, form)
            if invoice["status"] != "open":
                raise StripeError("This invoice is not open.")
            if renewals.collect(self._account, invoice) != "paid":
                raise StripeError("Your card was declined.", status=402)
        else:
            raise StripeError("There is no such button.")

    def _own(self, kind: str, customer: Json, form: dict[str, str]) -> Json:
        found = self._account.get(kind, form.get("id", ""))
        if found["customer"] != customer["id"]:
            raise StripeError("This is not yours.", status=404)
        return found

    def _change_card(self, customer: Json, typed: str) -> None:
        """Save a new card, and have it pay all that is paid for regularly."""
        account, number = self._account, read_number(typed)
        if number is None:
            raise StripeError("Your card number is incorrect.", status=402)
        if card_of(number).decline is not None:
            raise StripeError("Your card was declined.", status=402)
        payer = payments.Payer(
            email=customer["email"] or "", name=customer["name"] or "", card=number
        )
        method = payments.create_method(account, "card", payer, customer["id"])
        account.private(method["id"])["set_up"] = True
        before = account.snapshot(customer)
        customer["invoice_settings"]["default_payment_method"] = method["id"]
        emit(account, "customer.updated", customer, previous=changed(before, customer))
        for subscription in account.each("subscription"):
            if subscription["customer"] == customer["id"] and subscription["status"] not in ENDED:
                fields = {"default_payment_method": method["id"]}
                changes.update(account, subscription, fields, Cause())

    def _session(self, request: Request) -> Json | None:
        wanted = request.path_params["secret"]
        for session in self._account.each("billing_portal.session"):
            if self._account.private(session["id"])["secret"] == wanted:
                young = self._account.now() - session["created"] < _LIVES_S
                return session if young else None
        return None
