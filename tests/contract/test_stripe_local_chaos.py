"""The local Stripe's webhooks on a bad day, secrets that roll, and lists to reconcile by."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import stripe

from infra.local.stripe_local import Chaos, LocalStripe, Retry
from infra.local.stripe_local.chaos import parse
from tests.support.stripe_local import Sink, buy, client_of, get, open_sink, post, until

KINDS = ["customer.created"]


def _customers(chaos: Chaos, count: int = 40) -> tuple[list[str], Sink, list[dict[str, Any]]]:
    """Create customers under chaos: their names, what came, and the deliveries at the end."""
    with LocalStripe(chaos=chaos, retry=Retry(delays_s=(0.02,))) as server, open_sink() as sink:
        client = client_of(server)
        client.v1.webhook_endpoints.create({"url": sink.url, "enabled_events": KINDS})  # type: ignore[typeddict-item] - names that are listed
        names = [str(n) for n in range(count)]
        for name in names:
            client.v1.customers.create({"name": name})
        until(lambda: all(d["status"] != "pending" for d in _deliveries(server)), "all webhooks")
        return names, sink, _deliveries(server)


def _deliveries(server: LocalStripe) -> list[dict[str, Any]]:
    return list(server.account.state.deliveries.values())


def _came(sink: Sink) -> list[str]:
    return [webhook.event["data"]["object"]["name"] for webhook in sink.got]


def test_without_chaos_each_comes_once() -> None:
    names, sink, deliveries = _customers(Chaos())
    assert sorted(_came(sink), key=int) == names
    assert {d["status"] for d in deliveries} == {"succeeded"}


def test_some_are_dropped_and_can_be_sent_after_all() -> None:
    chaos = Chaos(seed=3, drop=50)
    with LocalStripe(chaos=chaos) as server, open_sink() as sink:
        client = client_of(server)
        client.v1.webhook_endpoints.create({"url": sink.url, "enabled_events": ["*"]})
        for n in range(20):
            client.v1.customers.create({"name": str(n)})
        dropped = [d for d in _deliveries(server) if d["status"] == "dropped"]
        assert 3 < len(dropped) < 17
        until(lambda: len(sink.got) == 20 - len(dropped), "the others")
        lost = client.v1.events.list({"delivery_success": False, "limit": 100}).data
        assert {event.id for event in lost} == {d["event"] for d in dropped}
        for event in lost:
            post(f"{server.url}/_local/events/{event.id}/resend").raise_for_status()
        until(lambda: len(sink.got) == 20, "the dropped ones")
        assert sorted(map(int, _came(sink))) == list(range(20))


def test_all_can_be_dropped_and_nothing_comes() -> None:
    _, sink, deliveries = _customers(Chaos(drop=100), 10)
    assert sink.got == []
    assert [d["status"] for d in deliveries] == ["dropped"] * 10


def test_some_come_more_than_once() -> None:
    names, sink, _ = _customers(Chaos(seed=1, double=50))
    counts = Counter(_came(sink))
    assert set(counts) == set(names)
    assert 1 < max(counts.values()) <= 5
    assert min(counts.values()) == 1


def test_they_overtake_each_other() -> None:
    names, sink, _ = _customers(Chaos(seed=1, shuffle_s=0.5))
    came = _came(sink)
    assert sorted(came, key=int) == names
    assert came != names


def test_the_same_seed_is_the_same_day() -> None:
    chaos = Chaos(seed=5, drop=30, double=30, shuffle_s=2, late=10, late_s=9)
    days = [
        [each.waits(n) for n in range(1, 200)] for each in (chaos, chaos, replace(chaos, seed=6))
    ]
    assert days[0] == days[1] != days[2]
    assert [] in days[0]
    assert any(wait > 9 for waits in days[0] for wait in waits)


@pytest.mark.parametrize("text", ["drop=101", "drop=-1", "drops=1", "late_s=x", "shuffle_s=-1"])
def test_a_wrong_chaos_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)
    with LocalStripe() as server:
        name, _, value = text.partition("=")
        assert post(f"{server.url}/_local/chaos", data={name: value}).status_code == 400
        assert "chaos" not in server.account.state.settings


def test_chaos_is_set_from_the_page_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "stripe.json"
    with LocalStripe(data=file) as server:
        form = {"seed": "7", "drop": "100", "double": "", "late": "0"}
        post(f"{server.url}/_local/chaos", data=form).raise_for_status()
    assert json.loads(file.read_text(encoding="utf-8"))["settings"]["chaos"]["drop"] == 100
    assert parse("seed=7, drop=100") == Chaos(seed=7, drop=100)
    with LocalStripe(data=file) as again:
        assert 'value="100"' in get(f"{again.url}/_local").text


def test_while_a_secret_rolls_both_sign() -> None:
    with LocalStripe() as server, open_sink() as sink:
        client = client_of(server)
        endpoint = client.v1.webhook_endpoints.create({"url": sink.url, "enabled_events": ["*"]})
        old = endpoint.secret or ""
        url = f"{server.url}/_local/webhook_endpoints/{endpoint.id}/roll"
        new = post(url, data={"overlap_s": "600"}).json()["secret"]
        assert new != old
        client.v1.customers.create({"name": "both"})
        (webhook,) = sink.wait_for("customer.created")
        header = webhook.headers["stripe-signature"]
        assert header.count("v1=") == 2
        for secret in (old, new):
            stripe.Webhook.construct_event(webhook.body, header, secret)
        newest = post(url, data={"overlap_s": "0"}).json()["secret"]
        client.v1.products.create({"name": "newest only"})
        (webhook,) = sink.wait_for("product.created")
        header = webhook.headers["stripe-signature"]
        stripe.Webhook.construct_event(webhook.body, header, newest)
        for secret in (old, new):
            with pytest.raises(stripe.SignatureVerificationError):
                stripe.Webhook.construct_event(webhook.body, header, secret)
        assert post(url, data={"overlap_s": "90000"}).status_code == 400


def test_what_webhooks_missed_is_found_in_lists() -> None:
    with LocalStripe(chaos=Chaos(drop=100), delayed_s=0.02) as server:
        client = client_of(server)
        sessions = [buy(client) for _ in range(12)]
        plan = buy(client, "subscription")
        refund = client.v1.refunds.create({"payment_intent": sessions[0].payment_intent})
        disputed = buy(client, card="4000000000000259")
        until(lambda: client.v1.disputes.list().data, "the dispute")
        since: Any = {"created": {"gte": sessions[0].created}, "limit": 3}
        never: Any = {"created": {"gte": server.account.now() + 60}, "limit": 3}

        def found(service: Any) -> list[str]:
            assert service.list(never).data == []
            return [each.id for each in service.list(since).auto_paging_iter()]

        bought = {session.id for session in (*sessions, plan, disputed)}
        assert set(found(client.v1.checkout.sessions)) == bought
        assert found(client.v1.invoices) == [plan.invoice]
        assert found(client.v1.refunds) == [refund.id]
        assert len(found(client.v1.disputes)) == 1
        assert found(client.v1.subscriptions) == [plan.subscription]
        events = found(client.v1.events)
        assert len(events) == len(set(events)) == sum(1 for _ in server.account.each("event"))
        paid: Any = {"type": "checkout.session.completed", "limit": 5}
        assert len(list(client.v1.events.list(paid).auto_paging_iter())) == len(bought)
