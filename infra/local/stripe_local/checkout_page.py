"""The hosted Checkout page."""

from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.flows import checkout
from infra.local.stripe_local.flows.cards import DECLINED, GOOD_CARD, read_number
from infra.local.stripe_local.flows.payments import Payer
from infra.local.stripe_local.html import Renderer, see

_DEFAULT_EMAIL = "payer@example.com"
_DEFAULT_NAME = "Jenny Rosen"


class CheckoutPage:
    """The handlers, over one account."""

    def __init__(self, account: Account, render: Renderer) -> None:
        self._account = account
        self._render = render

    async def show(self, request: Request) -> Response:
        """GET /c/pay/{id}: where `session.url` leads."""
        session = self._session(request)
        if session is None:
            return self._render("over.html", 404, state="unknown", session=None)
        if session["status"] != "open":
            return self._render("over.html", 200, state=session["status"], session=session)
        return self._checkout(session, {}, alert=None, status=200)

    async def submit(self, request: Request) -> Response:
        """POST /c/pay/{id}: `action` is pay, decline, pay-delayed or cancel."""
        form = parse_qs((await request.body()).decode(errors="replace"), keep_blank_values=True)
        typed = {name: values[-1].strip() for name, values in form.items()}
        session = self._session(request)
        if session is None:
            return self._render("over.html", 404, state="unknown", session=None)
        action = typed.get("action", "")
        if action == "cancel" and session["cancel_url"]:
            return see(session["cancel_url"])
        if session["status"] == "complete":
            # The second click of a double click: its answer is the one that the browser shows.
            return see(_success_url(session))
        if session["status"] != "open":
            return self._render("over.html", 409, state=session["status"], session=session)
        return self._act(session, action, typed)

    def _act(self, session: Json, action: str, typed: dict[str, str]) -> Response:
        number = read_number(typed.get("card") or GOOD_CARD)
        if number is None:
            alert = "Your card number is incorrect."
            return self._checkout(session, typed, alert=alert, status=402)
        payer = Payer(email=typed.get("email", ""), name=typed.get("name", ""), card=number)
        if "@" not in payer.email or not payer.name:
            alert = "Please give an email address and a name."
            return self._checkout(session, typed, alert=alert, status=400)
        card = "card" in session["payment_method_types"]
        if action == "pay" and card:
            checkout.pay(self._account, session, payer)
        elif action == "pay-delayed" and checkout.delayed_method(session):
            succeeds = typed.get("delayed_outcome") != "failed"
            checkout.pay_delayed(self._account, session, payer, succeeds=succeeds)
        elif action == "decline" and card:
            checkout.decline(self._account, session, payer)
            alert = f"{DECLINED} Please try a different card."
            return self._checkout(session, typed, alert=alert, status=402)
        else:
            return self._checkout(session, typed, alert="There is no such button.", status=400)
        return see(_success_url(session))

    def _checkout(
        self, session: Json, typed: dict[str, str], *, alert: str | None, status: int
    ) -> Response:
        customer = self._account.find(session["customer"]) or {}
        known = session["customer_email"] or customer.get("email")
        items = self._account.private(session["id"])["items"]
        return self._render(
            "checkout.html",
            status,
            session=session,
            items=items,
            recurring=next(
                (i["price"]["recurring"] for i in items if i["price"]["recurring"]), None
            ),
            email=typed.get("email") or known or _DEFAULT_EMAIL,
            name=typed.get("name") or customer.get("name") or _DEFAULT_NAME,
            card_last4=GOOD_CARD[-4:] if "card" in session["payment_method_types"] else None,
            delayed=checkout.delayed_method(session),
            alert=alert,
        )

    def _session(self, request: Request) -> Json | None:
        found = self._account.find(request.path_params["id"])
        return found if found and found["object"] == "checkout.session" else None


def _success_url(session: Json) -> str:
    url: str = session["success_url"]
    return url.replace("{CHECKOUT_SESSION_ID}", session["id"])
