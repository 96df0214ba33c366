"""The local Stripe's webhooks: signed, retried, kept over a restart, and sent again on demand."""

import json
import socket
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import stripe

from infra.local.stripe_local import LocalStripe, Retry
from tests.support.stripe_local import (
    Sink,
    client_of,
    get,
    open_session,
    open_sink,
    post,
    press,
    until,
)

QUICK = Retry(delays_s=(0.02, 0.02, 0.02), timeout_s=5)


@pytest.fixture
def server() -> Iterator[LocalStripe]:
    with LocalStripe(retry=QUICK, delayed_s=0.02) as running:
        yield running


@pytest.fixture
def client(server: LocalStripe) -> stripe.StripeClient:
    return client_of(server)


@pytest.fixture
def sink() -> Iterator[Sink]:
    with open_sink() as running:
        yield running


def register(client: stripe.StripeClient, url: str, *kinds: str) -> str:
    """Register an endpoint; return its secret."""
    params: Any = {"url": url, "enabled_events": list(kinds) or ["*"]}
    secret = client.v1.webhook_endpoints.create(params).secret
    assert secret is not None
    return secret


def deliveries(server: LocalStripe, kind: str) -> list[dict[str, Any]]:
    """The deliveries of the newest event of that type, as the JSON view tells them."""
    events = get(f"{server.url}/_local/events").json()["data"]
    return next((event["deliveries"] for event in events if event["type"] == kind), [])


def settled(server: LocalStripe, kind: str) -> list[dict[str, Any]]:
    """The same, once none of them is pending."""
    return until(
        lambda: (
            found
            if (found := deliveries(server, kind)) and all(d["status"] != "pending" for d in found)
            else []
        ),
        f"the deliveries of {kind}",
    )


def test_the_real_package_accepts_the_signature(client: stripe.StripeClient, sink: Sink) -> None:
    secret = register(client, sink.url)
    press(open_session(client), "pay")
    (webhook,) = sink.wait_for("checkout.session.completed")
    header = webhook.headers["stripe-signature"]
    event = stripe.Webhook.construct_event(webhook.body, header, secret)
    assert event.type == "checkout.session.completed"
    assert event.api_version == stripe.api_version
    assert event.pending_webhooks == 1
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(webhook.body + b" ", header, secret)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(webhook.body, header, "whsec_other")


def test_a_webhook_looks_like_stripes(client: stripe.StripeClient, sink: Sink) -> None:
    register(client, sink.url)
    client.v1.customers.create({"name": "Jürgen"})
    (webhook,) = sink.wait_for("customer.created")
    assert webhook.headers["user-agent"].startswith("Stripe/1.0")
    assert webhook.headers["content-type"] == "application/json; charset=utf-8"
    assert webhook.body.startswith(b'{\n  "id": "evt_')
    assert "Jürgen".encode() in webhook.body
    assert list(webhook.event) == [
        "id",
        "object",
        "api_version",
        "created",
        "data",
        "livemode",
        "pending_webhooks",
        "request",
        "type",
    ]


def test_an_endpoint_gets_what_it_enabled_and_no_more(
    server: LocalStripe, client: stripe.StripeClient, sink: Sink
) -> None:
    register(client, sink.url, "checkout.session.completed", "customer.created")
    client.v1.products.create({"name": "unheard"})
    press(open_session(client), "pay")
    client.v1.customers.create({"name": "last"})
    sink.wait_for("customer.created")
    sink.wait_for("checkout.session.completed")
    assert sorted(sink.types()) == ["checkout.session.completed", "customer.created"]
    assert deliveries(server, "charge.succeeded") == []


def test_two_endpoints_each_have_their_own_secret(client: stripe.StripeClient, sink: Sink) -> None:
    with open_sink() as other:
        secrets = [register(client, one.url, "customer.created") for one in (sink, other)]
        client.v1.customers.create({"name": "both"})
        for one, secret in zip((sink, other), secrets, strict=True):
            (webhook,) = one.wait_for("customer.created")
            header = webhook.headers["stripe-signature"]
            assert stripe.Webhook.construct_event(webhook.body, header, secret)
            assert webhook.event["pending_webhooks"] >= 1
    assert secrets[0] != secrets[1]


def test_a_failing_endpoint_is_tried_again_until_it_answers(
    server: LocalStripe, client: stripe.StripeClient, sink: Sink
) -> None:
    secret = register(client, sink.url, "customer.created")
    sink.answers += [500, 302]
    made = client.v1.customers.create({"name": "again"})
    webhooks = sink.wait_for("customer.created", times=3)
    assert {webhook.event["id"] for webhook in webhooks} == {webhooks[0].event["id"]}
    assert webhooks[0].event["data"]["object"]["id"] == made.id
    for webhook in webhooks:
        header = webhook.headers["stripe-signature"]
        assert stripe.Webhook.construct_event(webhook.body, header, secret)
    (delivery,) = settled(server, "customer.created")
    assert delivery["status"] == "succeeded"
    assert [attempt["error"] for attempt in delivery["attempts"]] == ["HTTP 500", "HTTP 302", None]
    event = client.v1.events.list({"type": "customer.created", "delivery_success": True}).data[0]
    assert event.pending_webhooks == 0


def test_attempts_are_bounded(server: LocalStripe, client: stripe.StripeClient, sink: Sink) -> None:
    register(client, sink.url, "customer.created")
    sink.answers += [503] * 10
    client.v1.customers.create({"name": "hopeless"})
    (delivery,) = settled(server, "customer.created")
    assert delivery["status"] == "failed"
    assert len(delivery["attempts"]) == 1 + len(QUICK.delays_s)
    assert len(sink.got) == 1 + len(QUICK.delays_s)
    assert client.v1.events.list({"delivery_success": False}).data[0].type == "customer.created"


def test_an_endpoint_that_does_not_answer_in_time_has_failed(client: stripe.StripeClient) -> None:
    with (
        LocalStripe(retry=Retry(delays_s=(), timeout_s=0.05)) as server,
        socket.create_server(("127.0.0.1", 0)) as mute,
    ):
        hasty = client_of(server)
        register(hasty, f"http://127.0.0.1:{mute.getsockname()[1]}/", "customer.created")
        hasty.v1.customers.create({"name": "mute"})
        (delivery,) = settled(server, "customer.created")
    assert delivery["status"] == "failed"
    assert delivery["attempts"][0]["error"].endswith("Timeout")


def test_a_webhook_survives_its_endpoint_being_down(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    with LocalStripe(retry=Retry(delays_s=(0.02,) * 500)) as patient:
        client = client_of(patient)
        with open_sink() as early:
            port = int(early.url.rsplit(":", 1)[1].split("/")[0])
        register(client, f"http://127.0.0.1:{port}/webhook", "customer.created")
        client.v1.customers.create({"name": "patience"})
        until(
            lambda: len(deliveries(patient, "customer.created")[0]["attempts"]) >= 2,
            "two refused attempts",
        )
        with open_sink(port) as late:
            late.wait_for("customer.created")
            (delivery,) = settled(patient, "customer.created")
    assert delivery["status"] == "succeeded"
    assert delivery["attempts"][0]["error"] == "ConnectError"


def test_a_restart_finds_everything_again(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "stripe.json"
    slow = Retry(delays_s=(3600,))
    with open_sink() as sink:
        port = int(sink.url.rsplit(":", 1)[1].split("/")[0])
    with LocalStripe(data=data, retry=slow, delayed_s=3600) as first:
        client = client_of(first)
        secret = register(client, sink.url, "checkout.session.completed")
        session = open_session(client, line_items=[_pack()])
        press(session, "pay-delayed")
        kept = client.v1.customers.create({"name": "kept"}, {"idempotency_key": "k"})
        until(
            lambda: deliveries(first, "checkout.session.completed")[0]["attempts"],
            "a refused attempt",
        )
        assert [job["job"] for job in first.account.state.jobs] == [
            "checkout.expire",
            "checkout.settle",
        ]
    json.loads(data.read_text())
    with open_sink(port) as sink, LocalStripe(data=data, retry=slow) as second:
        client = client_of(second)
        (webhook,) = sink.wait_for("checkout.session.completed")
        header = webhook.headers["stripe-signature"]
        assert stripe.Webhook.construct_event(webhook.body, header, secret)
        assert client.v1.checkout.sessions.retrieve(session.id).status == "complete"
        again = client.v1.customers.create({"name": "kept"}, {"idempotency_key": "k"})
        assert again.id == kept.id
        assert [job["job"] for job in second.account.state.jobs] == [
            "checkout.expire",
            "checkout.settle",
        ]


def test_what_was_answered_is_in_the_file_already(tmp_path: Path) -> None:
    data = tmp_path / "stripe.json"
    with LocalStripe(data=data) as server:
        client = client_of(server)

        def kept() -> dict[str, Any]:
            objects: dict[str, Any] = json.loads(data.read_text())["objects"]
            return objects

        session = open_session(client)
        assert kept()[session.id]["status"] == "open"
        press(session, "pay")
        assert kept()[session.id]["status"] == "complete"


def _pack() -> dict[str, Any]:
    return {
        "price_data": {"currency": "usd", "unit_amount": 500, "product_data": {"name": "Kept"}},
        "quantity": 1,
    }


def test_a_deleted_or_disabled_endpoint_is_left_alone(
    server: LocalStripe, client: stripe.StripeClient, sink: Sink
) -> None:
    with open_sink() as gone:
        for one in (sink, gone):
            register(client, one.url, "customer.created")
        first, second = client.v1.webhook_endpoints.list().data
        client.v1.webhook_endpoints.delete(first.id)
        client.v1.webhook_endpoints.update(second.id, {"disabled": True})
        client.v1.customers.create({"name": "silence"})
        assert deliveries(server, "customer.created") == []
        assert sink.got == gone.got == []


# --- The page of the local cloud -----------------------------------------------------------------


class Forms(HTMLParser):
    """The addresses that the page's buttons post to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.actions: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "form":
            self.actions.append(str(dict(attrs)["action"]))


def test_an_event_is_sent_again_as_often_as_asked(
    server: LocalStripe, client: stripe.StripeClient, sink: Sink
) -> None:
    register(client, sink.url, "checkout.session.completed")
    press(open_session(client), "pay")
    (first,) = sink.wait_for("checkout.session.completed")
    event_id = first.event["id"]
    resend = f"{server.url}/_local/events/{event_id}/resend"
    answer = post(resend, params={"times": 3})
    assert answer.status_code == 200
    assert len(answer.json()["deliveries"]) == 3
    webhooks = sink.wait_for("checkout.session.completed", times=4)
    assert {webhook.event["id"] for webhook in webhooks} == {event_id}
    settled(server, "checkout.session.completed")
    assert client.v1.events.retrieve(event_id).pending_webhooks == 0


@pytest.mark.parametrize("times", ["0", "101", "many", "-1"])
def test_an_event_is_not_sent_again_a_wrong_number_of_times(
    server: LocalStripe, client: stripe.StripeClient, times: str
) -> None:
    client.v1.customers.create({"name": "x"})
    event = client.v1.events.list().data[0]
    answer = post(f"{server.url}/_local/events/{event.id}/resend", params={"times": times})
    assert answer.status_code == 400


def test_an_unknown_event_or_subscription_is_404(server: LocalStripe) -> None:
    for path in ("events/evt_none/resend", "subscriptions/sub_none/cancel"):
        assert post(f"{server.url}/_local/{path}").status_code == 404


def test_the_page_lists_the_account_and_its_buttons_work(
    server: LocalStripe, client: stripe.StripeClient, sink: Sink
) -> None:
    register(client, sink.url, "customer.subscription.deleted", "customer.created")
    session = open_session(client, "subscription")
    press(session, "pay")
    (webhook,) = sink.wait_for("customer.created")
    page = get(f"{server.url}/_local")
    assert page.status_code == 200
    assert session.id[:24] in page.text
    assert sink.url in page.text
    (subscription,) = client.v1.subscriptions.list().data
    cancel = f"/_local/subscriptions/{subscription.id}/cancel"
    resend = f"/_local/events/{webhook.event['id']}/resend"
    assert {cancel, resend} <= set(Forms(page.text).actions)
    for action in (cancel, resend):
        pressed = post(server.url + action, headers={"Accept": "text/html"})
        assert (pressed.status_code, pressed.headers["location"]) == (303, "/_local")
    sink.wait_for("customer.subscription.deleted")
    sink.wait_for("customer.created", times=2)
    assert client.v1.subscriptions.retrieve(subscription.id).status == "canceled"
    assert cancel not in Forms(get(f"{server.url}/_local").text).actions
