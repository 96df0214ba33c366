"""What the tests of the local Stripe share: a receiver of webhooks, a payer, and waiting."""

import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, TypeVar

import httpx
import stripe

from infra.local.stripe_local import LocalStripe
from tests.support import loopback

T = TypeVar("T")

# A client of its own for each request would load the trusted certificates each time: 40 ms.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

SUCCESS_URL = "http://127.0.0.1/paid?session={CHECKOUT_SESSION_ID}"
CANCEL_URL = "http://127.0.0.1/canceled"
PAYER = {"email": "jo@example.com", "name": "Jo Payer"}
PACK: dict[str, Any] = {
    "price_data": {"currency": "usd", "unit_amount": 500, "product_data": {"name": "Starter"}},
    "quantity": 1,
}
PLAN: dict[str, Any] = {
    "price_data": {
        "currency": "usd",
        "unit_amount": 1200,
        "product_data": {"name": "Pro"},
        "recurring": {"interval": "month"},
    },
    "quantity": 1,
}


class Page(HTMLParser):
    """The ids, the buttons and the text of a page."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.elements: dict[str, tuple[str, dict[str, str | None]]] = {}
        self.scripts = 0
        self.form_action: str | None = None
        self.words: list[str] = []
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.elements[str(found["id"])] = (tag, found)
        self.scripts += tag == "script" or any(name.startswith("on") for name in found)
        if tag == "form":
            self.form_action = found.get("action")

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


def client_of(server: LocalStripe) -> stripe.StripeClient:
    """The real client, pointed at the local server."""
    return stripe.StripeClient(
        server.secret_key, base_addresses={"api": server.url}, max_network_retries=0
    )


def open_session(client: stripe.StripeClient, mode: str = "payment", **more: Any) -> Any:
    """Create a session for one pack or one plan."""
    params: Any = {
        "mode": mode,
        "success_url": SUCCESS_URL,
        "cancel_url": CANCEL_URL,
        "line_items": [PACK if mode == "payment" else PLAN],
        **more,
    }
    return client.v1.checkout.sessions.create(params)


def press(session: Any, action: str, **more: str) -> httpx.Response:
    """Press a button of the session's page."""
    return post(session.url, data={"action": action, **PAYER, **more})


def buy(client: stripe.StripeClient, mode: str = "payment", card: str = "", **more: Any) -> Any:
    """Buy one pack (or plan) by a card; return the session as it is then."""
    session = open_session(client, mode, **more)
    answer = press(session, "pay", **({"card": card} if card else {}))
    assert answer.status_code == 303, answer.text
    return client.v1.checkout.sessions.retrieve(session.id)


def types_about(server: LocalStripe, object_id: str) -> list[str]:
    """The types of the events about an object, oldest first."""
    events = list(server.account.each("event"))[::-1]
    return [e["type"] for e in events if e["data"]["object"]["id"] == object_id]


def events_since(server: LocalStripe, mark: int) -> list[str]:
    """The types of the events after the first `mark`, oldest first."""
    return [event["type"] for event in list(server.account.each("event"))[::-1]][mark:]


def count_events(server: LocalStripe) -> int:
    return sum(1 for _ in server.account.each("event"))


def reload(client: stripe.StripeClient, session: Any, *expand: str) -> Any:
    return client.v1.checkout.sessions.retrieve(session.id, {"expand": list(expand)})


def find_event(client: stripe.StripeClient, kind: str, session: Any) -> Any:
    events = client.v1.events.list({"type": kind}).data
    return next((event for event in events if event.data.object["id"] == session.id), None)


def get(url: str, **more: Any) -> httpx.Response:
    """GET over plain HTTP."""
    return httpx.get(url, verify=_NO_TLS, **more)


def post(url: str, **more: Any) -> httpx.Response:
    """POST over plain HTTP."""
    return httpx.post(url, verify=_NO_TLS, **more)


def until(read: Callable[[], T], what: str, deadline_s: float = 10.0) -> T:
    """Return the first true value that `read` gives; fails after the deadline."""
    end = time.monotonic() + deadline_s
    while not (value := read()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s} s for {what}")
        time.sleep(0.01)
    return value


@dataclass(frozen=True)
class Webhook:
    """One delivery, as it came over the wire."""

    body: bytes
    headers: dict[str, str]
    """Names in lower case."""

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event


@dataclass
class Sink:
    """A webhook endpoint that keeps what it gets. `answers` are the next statuses, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[Webhook] = field(default_factory=list)

    def types(self) -> list[str]:
        return [webhook.event["type"] for webhook in list(self.got)]

    def wait_for(self, kind: str, times: int = 1) -> list[Webhook]:
        """Return the deliveries of that type once there are `times` of them."""
        until(lambda: self.types().count(kind) >= times, f"{times} x {kind} in {self.types()}")
        return [webhook for webhook in self.got if webhook.event["type"] == kind]


@contextmanager
def open_sink(port: int = 0) -> Iterator[Sink]:
    """Run a webhook endpoint on a free port, or on `port`."""
    sink = Sink()

    def answer(request: loopback.Request) -> loopback.Answer:
        sink.got.append(Webhook(request.body, dict(request.headers)))
        return loopback.Answer(sink.answers.pop(0) if sink.answers else 200)

    with loopback.serve(answer, port) as address:
        sink.url = f"{address}/webhook"
        yield sink
