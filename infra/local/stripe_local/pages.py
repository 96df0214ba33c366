"""What people see: the hosted Checkout page, and a page that shows the whole account."""

from pathlib import Path
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from infra.local.stripe_local import events
from infra.local.stripe_local.account import Account, Cause, Json
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.flows import billing, checkout
from infra.local.stripe_local.flows.cards import DECLINED, GOOD_CARD, read_number
from infra.local.stripe_local.flows.payments import Payer
from infra.local.stripe_local.money import show_amount

# No form-action: browsers hold it against the redirect to the merchant's success_url, too.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_SHOWN_MAX = 50
_RESEND_MAX = 100
_DEFAULT_EMAIL = "payer@example.com"
_DEFAULT_NAME = "Jenny Rosen"


class Pages:
    """The handlers, over one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["amount"] = show_amount

    async def show_checkout(self, request: Request) -> Response:
        """GET /c/pay/{id}: where `session.url` leads."""
        session = self._session(request)
        if session is None:
            return self._render("over.html", 404, state="unknown", session=None)
        if session["status"] != "open":
            return self._render("over.html", 200, state=session["status"], session=session)
        return self._checkout(session, {}, alert=None, status=200)

    async def submit_checkout(self, request: Request) -> Response:
        """POST /c/pay/{id}: `action` is pay, decline, pay-delayed or cancel."""
        form = parse_qs((await request.body()).decode(errors="replace"), keep_blank_values=True)
        typed = {name: values[-1].strip() for name, values in form.items()}
        session = self._session(request)
        if session is None:
            return self._render("over.html", 404, state="unknown", session=None)
        action = typed.get("action", "")
        if action == "cancel" and session["cancel_url"]:
            return _see(session["cancel_url"])
        if session["status"] == "complete":
            # The second click of a double click: its answer is the one that the browser shows.
            return _see(_success_url(session))
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
        return _see(_success_url(session))

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

    async def show_account(self, _: Request) -> Response:
        """GET /_local: what is in the account, newest first."""
        latest = {
            kind: list(self._account.each(kind))[:_SHOWN_MAX]
            for kind in ("checkout.session", "subscription", "webhook_endpoint", "event")
        }
        return self._render(
            "account.html",
            200,
            sessions=latest["checkout.session"],
            subscriptions=latest["subscription"],
            endpoints=latest["webhook_endpoint"],
            events=[(event, self._deliveries(event)) for event in latest["event"]],
        )

    async def list_events(self, _: Request) -> Response:
        """GET /_local/events: JSON, newest first, each event with its deliveries."""
        data = [e | {"deliveries": self._deliveries(e)} for e in self._account.each("event")]
        return JSONResponse({"data": data})

    async def resend_event(self, request: Request) -> Response:
        """POST /_local/events/{id}/resend?times=n: the webhooks of an event, again."""
        try:
            event = self._account.get("event", request.path_params["id"])
        except StripeError as error:
            return JSONResponse({"error": error.error}, error.status)
        times = request.query_params.get("times", "1")
        if not times.isdecimal() or not 1 <= int(times) <= _RESEND_MAX:
            message = f"times must be 1 to {_RESEND_MAX}"
            return JSONResponse({"error": {"message": message}}, 400)
        queued = [d for _ in range(int(times)) for d in events.send(self._account, event)]
        return _done(request, {"event": event["id"], "deliveries": queued})

    async def cancel_subscription(self, request: Request) -> Response:
        """POST /_local/subscriptions/{id}/cancel: as a customer would, at once."""
        try:
            subscription = self._account.get("subscription", request.path_params["id"])
            billing.cancel_subscription(self._account, subscription, Cause())
        except StripeError as error:
            return JSONResponse({"error": error.error}, error.status)
        return _done(request, subscription)

    def _session(self, request: Request) -> Json | None:
        found = self._account.find(request.path_params["id"])
        return found if found and found["object"] == "checkout.session" else None

    def _deliveries(self, event: Json) -> list[Json]:
        deliveries = self._account.state.deliveries.values()
        return [delivery for delivery in deliveries if delivery["event"] == event["id"]]

    def _render(self, template: str, status: int, /, **names: object) -> HTMLResponse:
        text = self._templates.get_template(template).render(**names)
        return HTMLResponse(text, status, _HEADERS)


def _success_url(session: Json) -> str:
    url: str = session["success_url"]
    return url.replace("{CHECKOUT_SESSION_ID}", session["id"])


def _see(url: str) -> RedirectResponse:
    return RedirectResponse(url, 303, headers={"Cache-Control": "no-store"})


def _done(request: Request, answer: Json) -> Response:
    """Lead a browser back to the page; answer JSON to everyone else."""
    if "text/html" in request.headers.get("accept", ""):
        return _see("/_local")
    return JSONResponse(answer)
