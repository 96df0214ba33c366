"""Every object that the local Stripe answers or signs has Stripe's own shape."""

import contextlib
import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from infra.local.stripe_local import LocalStripe
from tests.support.stripe_local import (
    PLAN,
    buy,
    client_of,
    open_session,
    open_sink,
    post,
    press,
    until,
)
from tests.support.stripe_shapes import RESOURCES, differences

EXAMPLES_FILE = Path(__file__).parents[3] / "shared" / "stripe" / "fixtures3.json"
_PATHS = {
    "balance_transaction": "balance_transactions",
    "charge": "charges",
    "checkout.session": "checkout/sessions",
    "customer": "customers",
    "coupon": "coupons",
    "dispute": "disputes",
    "event": "events",
    "invoice": "invoices",
    "invoice_payment": "invoice_payments",
    "invoiceitem": "invoiceitems",
    "payment_intent": "payment_intents",
    "payment_method": "payment_methods",
    "price": "prices",
    "product": "products",
    "promotion_code": "promotion_codes",
    "radar.early_fraud_warning": "radar/early_fraud_warnings",
    "refund": "refunds",
    "subscription": "subscriptions",
    "test_helpers.test_clock": "test_helpers/test_clocks",
    "webhook_endpoint": "webhook_endpoints",
}
# Stripe has no address for these: they come in events, or expanded.
_WITHOUT_PATH = {"billing_portal.session", "discount"}


@pytest.fixture(scope="module")
def objects() -> Iterator[list[dict[str, Any]]]:
    """All that a full life leaves: each object as the API answers it, each event as it was sent."""
    with LocalStripe(delayed_s=0.05) as server, open_sink() as sink:
        client = client_of(server)
        created = client.v1.webhook_endpoints.create({"url": sink.url, "enabled_events": ["*"]})
        _live(client)
        until(lambda: _is_idle(server), "the bank debits")
        wanted = [e["id"] for e in server.account.each("event")]
        until(lambda: {w.event["id"] for w in list(sink.got)} >= set(wanted), "all webhooks")
        answered = [json.loads(str(created))]
        with httpx.Client(base_url=f"{server.url}/v1/", auth=(server.secret_key, "")) as http:
            for obj in list(server.account.state.objects.values()):
                if obj["object"] not in _WITHOUT_PATH:
                    answered.append(http.get(f"{_PATHS[obj['object']]}/{obj['id']}").json())
            for session in server.account.each("checkout.session"):
                answered += http.get(f"checkout/sessions/{session['id']}/line_items").json()["data"]
                path = f"checkout/sessions/{session['id']}"
                answered.append(http.get(path, params={"expand[]": "line_items"}).json())
        yield answered + [webhook.event for webhook in sink.got]


def _live(client: Any) -> None:
    """Take every way that the local Stripe knows."""
    customer = client.v1.customers.create(
        {"email": "a@example.com", "address": {"country": "DE"}, "metadata": {"user": "1"}}
    )
    client.v1.customers.update(customer.id, {"name": "A"})
    product = client.v1.products.create({"name": "Pro", "description": "A plan"})
    price = client.v1.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 1200,
            "recurring": {"interval": "month"},
        }
    )
    paid = open_session(client, customer_creation="always", metadata={"k": "v"})
    assert press(paid, "decline").status_code == 402
    assert press(paid, "pay").status_code == 303
    for currency in ("usd", "eur", "gbp"):
        plan = copy.deepcopy(PLAN)
        plan["price_data"]["currency"] = currency
        delayed = open_session(client, "subscription", line_items=[plan])
        outcome = "failed" if currency == "usd" else "succeeded"
        assert press(delayed, "pay-delayed", delayed_outcome=outcome).status_code == 303
    assert press(open_session(client), "pay-delayed").status_code == 303
    assert press(open_session(client), "pay-delayed", delayed_outcome="failed").status_code == 303
    lines = [{"price": price.id, "quantity": 2}]
    subscribed = open_session(client, "subscription", customer=customer.id, line_items=lines)
    assert press(subscribed, "pay").status_code == 303
    (subscription,) = client.v1.subscriptions.list({"customer": customer.id}).data
    client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    client.v1.subscriptions.cancel(subscription.id)
    client.v1.checkout.sessions.expire(open_session(client, customer_email="b@example.com").id)
    open_session(client, client_reference_id="user-1")
    _give_back(client)
    _charge_saved_cards(client)
    _subscribe_over_time(client)
    _buy_with_options(client)


def _give_back(client: Any) -> None:
    for card in ("4000000000000259", "4000000000001976", "4000000000005423"):
        buy(client, card=card)
    for text in ("winning_evidence", "losing_evidence"):
        intent = buy(client, card="4000000000000259").payment_intent
        (dispute,) = until(
            lambda intent=intent: client.v1.disputes.list({"payment_intent": intent}).data, text
        )
        client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": text}})
    for card in ("4242424242424242", "4000000000007726", "4000000000005126"):
        intent = buy(client, card=card).payment_intent
        client.v1.refunds.create({"payment_intent": intent, "amount": 100, "metadata": {"a": "b"}})
        client.v1.refunds.create({"payment_intent": intent, "reason": "duplicate"})


def _charge_saved_cards(client: Any) -> None:
    customer = client.v1.customers.create({}).id
    for token in ("pm_card_visa", "pm_card_chargeCustomerFail", "pm_card_authenticationRequired"):
        method = client.v1.payment_methods.attach(token, {"customer": customer})
        params = {"amount": 900, "currency": "usd", "customer": customer, "confirm": True}
        params |= {"payment_method": method.id, "return_url": "http://127.0.0.1/"}
        with contextlib.suppress(stripe.CardError):
            client.v1.payment_intents.create(params | {"off_session": True})
        asked = client.v1.payment_intents.create(params)
        if asked.status == "requires_action":
            client.v1.payment_intents.cancel(asked.id)


def _subscribe_over_time(client: Any) -> None:
    day_s, start = 24 * 3600, 1_800_000_000
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": start, "name": "c"}).id
    price = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 900,
            "recurring": {"interval": "month"},
            "product_data": {"name": "Plan"},
        }
    ).id
    code = client.v1.coupons.create({"percent_off": 12.5, "duration": "forever"}).id
    for token in ("pm_card_visa", "pm_card_chargeCustomerFail"):
        customer = client.v1.customers.create({"test_clock": clock}).id
        method = client.v1.payment_methods.attach(token, {"customer": customer}).id
        settings = {"invoice_settings": {"default_payment_method": method}}
        client.v1.customers.update(customer, settings)
        params = {"customer": customer, "items": [{"price": price}], "trial_period_days": 2}
        begun = client.v1.subscriptions.create(params)
        client.v1.subscriptions.update(
            begun.id, {"pause_collection": {"behavior": "void", "resumes_at": start + day_s}}
        )
        buy(client, "subscription", customer=customer, discounts=[{"coupon": code}])
    client.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": start + 5 * day_s})
    for running in client.v1.subscriptions.list({"test_clock": clock}).data:
        item = {"id": running["items"].data[0].id, "quantity": 3}
        client.v1.subscriptions.update(running.id, {"items": [item]})
    client.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": start + 90 * day_s})


def _buy_with_options(client: Any) -> None:
    subscribed = buy(client, "subscription")
    flow = {
        "type": "subscription_cancel",
        "subscription_cancel": {"subscription": subscribed.subscription},
    }
    for more in ({}, {"flow_data": flow}):
        client.v1.billing_portal.sessions.create({"customer": subscribed.customer, **more})
    coupon = client.v1.coupons.create({"amount_off": 100, "currency": "usd"}).id
    params = {"promotion": {"type": "coupon", "coupon": coupon}, "code": "LESS"}
    client.v1.promotion_codes.create(params)
    asked = {
        "allow_promotion_codes": True,
        "automatic_tax": {"enabled": True},
        "tax_id_collection": {"enabled": True},
        "consent_collection": {"terms_of_service": "required", "promotions": "auto"},
        "invoice_creation": {"enabled": True, "invoice_data": {"metadata": {"a": "b"}}},
        "customer_creation": "always",
        "custom_text": {"submit": {"message": "now"}},
    }
    typed = {"terms": "yes", "country": "GB", "tax_id": "GB123", "promotion_code": "LESS"}
    assert press(open_session(client, **asked), "pay", **typed).status_code == 303
    asked_by_bank = press(open_session(client), "pay", card="4000002500003155")
    post(asked_by_bank.headers["location"], data={"action": "complete"})


def _is_idle(server: LocalStripe) -> bool:
    soon = server.account.clock() + 60
    return all(job["at"] > soon for job in list(server.account.state.jobs))


def test_the_scenario_leaves_every_kind_of_object(objects: list[dict[str, Any]]) -> None:
    nested = {"plan", "subscription_item", "line_item", "discount", "billing_portal.session"}
    assert {obj["object"] for obj in objects} | nested == set(RESOURCES)


def test_objects_have_the_fields_types_and_enums_of_the_package(
    objects: list[dict[str, Any]],
) -> None:
    found = {line for obj in objects for line in differences(obj)}
    assert sorted(found) == []


def test_objects_have_the_shape_of_stripes_published_examples(
    objects: list[dict[str, Any]],
) -> None:
    examples = _examples()
    found = {line for obj in objects for line in differences(obj, examples)}
    assert sorted(found) == []


def _examples() -> dict[str, Any]:
    if not EXAMPLES_FILE.exists():
        message = "Stripe's published examples (fixtures3.json) are not on this machine"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{message}, and CI must hold objects against them")
        pytest.skip(message)
    examples: dict[str, Any] = json.loads(EXAMPLES_FILE.read_text(encoding="utf-8"))["resources"]
    return examples


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)]
)
def test_without_the_examples_ci_fails_and_a_public_clone_skips(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setattr(f"{__name__}.EXAMPLES_FILE", tmp_path / "none.json")
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="are not on this machine"):
        _examples()


@pytest.mark.parametrize(
    ("kind", "spoil", "complaint"),
    [
        ("checkout.session", {"status": "finished"}, "is none of"),
        ("checkout.session", {"paid": True}, "no such field"),
        ("checkout.session", {"amount_total": "500"}, "of the wrong type"),
        ("payment_intent", {"amount": None}, "does not allow it"),
        ("charge", {"billing_details": {"mail": "x"}}, "no such field"),
        ("subscription", {"items": {"object": "list", "data": []}}, "not a list's fields"),
        ("customer", {"metadata": {"a": 1}}, "not all strings"),
    ],
)
def test_the_yardstick_sees_a_wrong_object(
    objects: list[dict[str, Any]], kind: str, spoil: dict[str, Any], complaint: str
) -> None:
    right = next(obj for obj in objects if obj["object"] == kind)
    assert complaint in " ".join(differences(right | spoil))


def test_the_yardstick_sees_a_missing_field(objects: list[dict[str, Any]]) -> None:
    session = next(obj for obj in objects if obj["object"] == "checkout.session")
    without = {name: value for name, value in session.items() if name != "created"}
    assert differences(without) == ["checkout.session.created: missing"]
    nullable = {name: value for name, value in session.items() if name != "submit_type"}
    assert "checkout.session.submit_type: missing" in differences(nullable, _examples())
