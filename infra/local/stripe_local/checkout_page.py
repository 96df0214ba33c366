"""The hosted Checkout page."""

from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.checkout_form import (
    apply_form,
    check_payer,
    country_of,
    done_url,
    is_embedded,
    page_path,
    typed_code,
)
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.flows import checkout
from infra.local.stripe_local.flows.cards import GOOD_CARD, TEST_CARDS, read_number
from infra.local.stripe_local.flows.payments import Payer
from infra.local.stripe_local.flows.totals import TAX_PERCENT
from infra.local.stripe_local.html import Renderer, see

_DEFAULT_EMAIL = "payer@example.com"
_DEFAULT_NAME = "Jenny Rosen"


class CheckoutPage:
    """The handlers, over one account."""

    def __init__(self, account: Account, render: Renderer) -> None:
        self._account = account
        self._render = render

    async def show(self, request: Request) -> Response:
        """GET /c/pay/{id}: where `session.url` leads; /c/embed/{id}: by the client secret."""
        session = self._session(request)
        if session is None:
            return self._render("over.html", 404, state="unknown", session=None)
        if session["status"] != "open":
            return self._over(session, 200)
        return self._checkout(session, {}, alert=None, status=200)

    async def submit(self, request: Request) -> Response:
        """POST /c/pay/{id}: `action` is pay, decline, pay-delayed, apply or cancel."""
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
            return see(done_url(session))
        if session["status"] != "open":
            return self._over(session, 409)
        with self._account.on_clock_of(self._account.find(session["customer"])):
            return self._act(session, action, typed)

    def _over(self, session: Json, status: int) -> Response:
        stays = session.get("redirect_on_completion") in ("never", "if_required")
        back = None if stays else session.get("return_url")
        return self._render(
            "over.html",
            status,
            framed=is_embedded(session),
            state=session["status"],
            session=session,
            return_url=(back or "").replace("{CHECKOUT_SESSION_ID}", session["id"]),
        )

    def _act(self, session: Json, action: str, typed: dict[str, str]) -> Response:
        try:
            apply_form(self._account, session, typed)
        except StripeError as error:
            return self._checkout(session, typed, alert=str(error), status=400)
        if action == "apply":
            return self._checkout(session, typed, alert=None, status=200)
        number = read_number(typed.get("card") or GOOD_CARD)
        if number is None:
            alert = "Your card number is incorrect."
            return self._checkout(session, typed, alert=alert, status=402)
        payer = Payer(
            email=typed.get("email", ""),
            name=typed.get("name", ""),
            country=typed.get("country") or "US",
            card=number,
        )
        missing = check_payer(session, payer, typed)
        if missing is not None:
            return self._checkout(session, typed, alert=missing, status=400)
        return self._pay(session, action, payer, typed)

    def _pay(self, session: Json, action: str, payer: Payer, typed: dict[str, str]) -> Response:
        card = "card" in session["payment_method_types"]
        if action == "pay" and (card or not checkout.needs_method(session)):
            outcome = checkout.pay(self._account, session, payer)
            if outcome == "declined":
                return self._declined(session, typed)
            if outcome != "complete":
                return see(outcome)
        elif action == "pay-delayed" and checkout.delayed_method(session):
            succeeds = typed.get("delayed_outcome") != "failed"
            checkout.pay_delayed(self._account, session, payer, succeeds=succeeds)
        elif action == "decline" and card and session["amount_total"] > 0:
            checkout.decline(self._account, session, payer)
            return self._declined(session, typed)
        else:
            return self._checkout(session, typed, alert="There is no such button.", status=400)
        return see(done_url(session))

    def _declined(self, session: Json, typed: dict[str, str]) -> Response:
        intent = self._account.get(
            "payment_intent", self._account.private(session["id"])["payment_intent"]
        )
        alert = f"{intent['last_payment_error']['message']} Please try a different card."
        return self._checkout(session, typed, alert=alert, status=402)

    def _checkout(
        self, session: Json, typed: dict[str, str], *, alert: str | None, status: int
    ) -> Response:
        customer = self._account.find(session["customer"]) or {}
        known = session["customer_email"] or customer.get("email")
        items = self._account.private(session["id"])["items"]
        return self._render(
            "checkout.html",
            status,
            framed=is_embedded(session),
            session=session,
            action=page_path(session),
            items=items,
            recurring=next(
                (i["price"]["recurring"] for i in items if i["price"]["recurring"]), None
            ),
            email=typed.get("email") or known or _DEFAULT_EMAIL,
            name=typed.get("name") or customer.get("name") or _DEFAULT_NAME,
            takes_cards="card" in session["payment_method_types"],
            delayed=checkout.delayed_method(session) if session["amount_total"] else None,
            needs_method=checkout.needs_method(session),
            trial=self._account.private(session["id"])["subscription_data"].get(
                "trial_period_days"
            ),
            cards=TEST_CARDS,
            card=typed.get("card") or GOOD_CARD,
            code=typed_code(self._account, session),
            countries=sorted({"US", *TAX_PERCENT}),
            country=country_of(session),
            tax_id=self._account.private(session["id"]).get("tax_id") or "",
            alert=alert,
        )

    def _session(self, request: Request) -> Json | None:
        given = request.path_params["id"]
        found = self._account.find(given.partition("_secret_")[0])
        if not found or found["object"] != "checkout.session":
            return None
        return found if request.url.path == page_path(found) else None
