"""Changes of a subscription at the local Stripe, and their prorations, exact by the second."""

from fractions import Fraction
from typing import Any

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local.stripe_local import LocalStripe
from infra.local.stripe_local.flows.totals import half_up, spread
from tests.contract.test_stripe_local_renewals import (
    DAY_S,
    START,
    advance,
    fresh,
    invoices,
    moment,
    price,
    subscribe,
)
from tests.support.stripe_local import types_about

PERIOD_S = moment(2, 28) - START


@pytest.fixture
def clock(client: stripe.StripeClient) -> str:
    return client.v1.test_helpers.test_clocks.create({"frozen_time": START}).id


def change(client: stripe.StripeClient, subscription: Any, **params: Any) -> Any:
    """Change the only item; `to` is a price."""
    item: Any = {"id": subscription["items"].data[0].id}
    for name in ("price", "quantity"):
        if name in params:
            item[name] = params.pop(name)
    return client.v1.subscriptions.update(subscription.id, {"items": [item], **params})


def share(amount: int, left_s: int) -> int:
    return half_up(Fraction(amount * left_s, PERIOD_S))


def test_an_upgrade_is_prorated_on_the_next_invoice(
    server: LocalStripe, client: stripe.StripeClient, clock: str
) -> None:
    subscription = subscribe(client, clock)
    advance(client, clock, START + 10 * DAY_S + 7)
    changed = change(client, subscription, price=price(client, 3000))
    assert changed["items"].data[0].price.unit_amount == 3000
    assert changed["items"].data[0].current_period_end == moment(2, 28)
    left_s = PERIOD_S - 10 * DAY_S - 7
    pending = client.v1.invoice_items.list({"customer": changed.customer, "pending": True}).data
    assert sorted(item.amount for item in pending) == [-share(1200, left_s), share(3000, left_s)]
    assert all(item.proration for item in pending)
    assert len(invoices(client, subscription)) == 1
    advance(client, clock, moment(2, 28, 13))
    renewal = invoices(client, subscription)[1]
    assert renewal.amount_paid == 3000 - share(1200, left_s) + share(3000, left_s)
    assert client.v1.invoice_items.list({"customer": changed.customer, "pending": True}).data == []


def test_an_upgrade_may_be_charged_at_once(
    server: LocalStripe, client: stripe.StripeClient, clock: str
) -> None:
    subscription = subscribe(client, clock)
    advance(client, clock, START + 14 * DAY_S)
    change(client, subscription, price=price(client, 3000), proration_behavior="always_invoice")
    left_s = PERIOD_S - 14 * DAY_S
    invoice = invoices(client, subscription)[1]
    assert (invoice.billing_reason, invoice.status) == ("subscription_update", "paid")
    assert invoice.amount_paid == share(3000, left_s) - share(1200, left_s)
    event: Any = next(
        e
        for e in client.v1.events.list({"type": "customer.subscription.updated"}).data
        if e.data.object.id == subscription.id
    )
    old = event.data.previous_attributes["items"]["data"][0]
    assert old["price"]["unit_amount"] == 1200


def test_a_downgrade_leaves_a_credit_that_later_invoices_use(
    client: stripe.StripeClient, clock: str
) -> None:
    subscription = subscribe(client, clock)
    advance(client, clock, START + 14 * DAY_S)
    change(client, subscription, price=price(client, 200), proration_behavior="always_invoice")
    credit = share(1200, PERIOD_S - 14 * DAY_S) - share(200, PERIOD_S - 14 * DAY_S)
    negative = invoices(client, subscription)[1]
    assert (negative.status, negative.total, negative.amount_due) == ("paid", -credit, 0)
    assert client.v1.customers.retrieve(subscription.customer).balance == -credit
    advance(client, clock, moment(4, 1))
    later = invoices(client, subscription)[2:]
    assert [i.total for i in later] == [200, 200]
    assert [i.amount_due for i in later] == [0, 0]
    assert client.v1.customers.retrieve(subscription.customer).balance == 400 - credit


def test_a_preview_is_what_comes_and_changes_nothing(
    server: LocalStripe, client: stripe.StripeClient, clock: str
) -> None:
    subscription = subscribe(client, clock)
    advance(client, clock, START + 10 * DAY_S)
    dear = price(client, 3000)
    count = len(server.account.state.objects)
    item: Any = {"id": subscription["items"].data[0].id, "price": dear}

    def preview(**details: Any) -> Any:
        params: Any = {"subscription": subscription.id}
        if details:
            params["subscription_details"] = {"items": [item], **details}
        return client.v1.invoices.create_preview(params)

    assert preview().total == 1200
    later = preview(proration_behavior="create_prorations")
    at_once = preview(proration_behavior="always_invoice")
    assert preview(proration_behavior="none").total == 3000
    assert later.total == 3000 + at_once.total
    assert (later.status, later.id.startswith("upcoming_in_")) == ("draft", True)
    assert fresh(client, subscription) == subscription
    assert len(server.account.state.objects) == count
    change(client, subscription, price=dear, proration_behavior="always_invoice")
    assert invoices(client, subscription)[1].amount_paid == at_once.total


def test_another_quantity_is_prorated_and_none_is_where_asked(
    client: stripe.StripeClient, clock: str
) -> None:
    subscription = subscribe(client, clock)
    advance(client, clock, START + DAY_S)
    change(client, subscription, quantity=2, proration_behavior="none")
    pending: Any = {"customer": subscription.customer, "pending": True}
    assert client.v1.invoice_items.list(pending).data == []
    change(client, subscription, quantity=3)
    left_s = PERIOD_S - DAY_S
    amounts = sorted(item.amount for item in client.v1.invoice_items.list(pending).data)
    assert amounts == [-share(2400, left_s), share(3600, left_s)]


def test_another_interval_begins_a_new_period_at_once(
    client: stripe.StripeClient, clock: str
) -> None:
    subscription = subscribe(client, clock)
    advance(client, clock, START + 7 * DAY_S)
    changed = change(client, subscription, price=price(client, 12000, "year"))
    (item,) = changed["items"].data
    assert item.current_period_start == START + 7 * DAY_S
    assert item.current_period_end == item.current_period_start + 365 * DAY_S
    invoice = invoices(client, subscription)[1]
    assert invoice.amount_paid == 12000 - share(1200, PERIOD_S - 7 * DAY_S)
    advance(client, clock, moment(4, 1))
    assert len(invoices(client, subscription)) == 2


def test_a_new_anchor_credits_what_is_left_and_charges_the_period_whole(
    client: stripe.StripeClient, clock: str
) -> None:
    for params, due in (({}, 1200), ({"quantity": 2}, 2400)):
        on = client.v1.test_helpers.test_clocks.create({"frozen_time": START}).id
        subscription = subscribe(client, on)
        advance(client, on, START + 9 * DAY_S)
        changed = change(client, subscription, billing_cycle_anchor={"type": "now"}, **params)
        assert changed["items"].data[0].current_period_start == START + 9 * DAY_S
        invoice = invoices(client, subscription)[1]
        assert invoice.amount_paid == due - share(1200, PERIOD_S - 9 * DAY_S)


def test_a_change_that_cannot_be_paid_is_undone_where_asked(
    server: LocalStripe, client: stripe.StripeClient, clock: str
) -> None:
    subscription = subscribe(client, clock, "pm_card_chargeCustomerFail", trial_end=START + DAY_S)
    dear = price(client, 3000)
    with pytest.raises(stripe.CardError):
        change(
            client,
            subscription,
            price=dear,
            trial_end="now",
            payment_behavior="error_if_incomplete",
        )
    kept = fresh(client, subscription)
    assert kept.status == "trialing"
    assert kept["items"].data[0].price.unit_amount == 1200
    failing = change(client, subscription, price=dear, trial_end="now")
    assert fresh(client, failing).status == "past_due"
    assert "invoice.payment_failed" in types_about(server, fresh(client, failing).latest_invoice)


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"items": [{"id": "si_none", "price": "x"}]}, "items[0][price]"),
        ({"items": [{"quantity": 2}]}, "items[0][price]"),
        ({"proration_behavior": "some"}, "proration_behavior"),
        ({"pause_collection": {"behavior": "stop"}}, "pause_collection[behavior]"),
        ({"cancel_at": 5}, "cancel_at"),
        ({"payment_behavior": "default_incomplete"}, "payment_behavior=default_incomplete"),
        ({"trial_end": 5}, "trial_end"),
    ],
)
def test_a_wrong_change_changes_nothing(
    client: stripe.StripeClient, clock: str, params: Any, param: str
) -> None:
    subscription = subscribe(client, clock)
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.subscriptions.update(subscription.id, params)
    assert raised.value.param == param
    assert fresh(client, subscription) == subscription


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=9))
@settings(max_examples=200, deadline=None)
def test_what_is_spread_adds_up(total: int, weights: list[int]) -> None:
    shares = spread(total, weights)
    assert sum(shares) == (total if sum(weights) else 0)
    whole = sum(weights) or 1
    assert all(
        abs(Fraction(total * w, whole) - s) < 1 for w, s in zip(weights, shares, strict=True)
    )
