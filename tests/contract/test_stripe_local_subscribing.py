"""Subscribing on the local Stripe's Checkout page, and ending a subscription by the API."""

from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from infra.local.stripe_local import LocalStripe
from tests.support.stripe_local import (
    PACK,
    PLAN,
    count_events,
    events_since,
    find_event,
    open_session,
    press,
    reload,
    until,
)

# --- Subscribing ---------------------------------------------------------------------------------


def test_subscribing_leaves_a_paid_invoice_and_an_active_subscription(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    session = open_session(
        client,
        "subscription",
        metadata={"user": "u1"},
        subscription_data={"metadata": {"user": "u1"}},
    )
    mark = count_events(server)
    press(session, "pay")
    done = reload(client, session, "subscription.latest_invoice", "invoice.payments", "customer")
    assert (done.status, done.payment_status) == ("complete", "paid")
    assert done.payment_intent is None
    assert done.metadata["user"] == "u1"
    subscription = done.subscription
    assert subscription.status == "active"
    assert subscription.metadata["user"] == "u1"
    assert subscription.customer == done.customer.id
    (item,) = subscription["items"].data
    assert item.current_period_end == _a_month_after(item.current_period_start)
    assert (item.price.unit_amount, item.quantity) == (1200, 1)
    invoice = done.invoice
    assert subscription.latest_invoice.id == invoice.id
    assert (invoice.status, invoice.billing_reason) == ("paid", "subscription_create")
    assert (invoice.amount_due, invoice.amount_paid, invoice.amount_remaining) == (1200, 1200, 0)
    parent = invoice.parent.subscription_details
    assert (parent.subscription, parent.metadata["user"]) == (subscription.id, "u1")
    assert invoice.lines.data[0].period.end == item.current_period_end
    (payment,) = invoice.payments.data
    intent = client.v1.payment_intents.retrieve(payment.payment.payment_intent)
    assert (intent.status, intent.customer) == ("succeeded", done.customer.id)
    by_intent: Any = {"payment": {"type": "payment_intent", "payment_intent": intent.id}}
    assert client.v1.invoice_payments.list(by_intent).data[0].invoice == invoice.id
    assert events_since(server, mark) == [
        "customer.created",
        "payment_intent.created",
        "payment_method.attached",
        "invoice.created",
        "customer.subscription.created",
        "invoice.finalized",
        "charge.succeeded",
        "payment_intent.succeeded",
        "customer.subscription.updated",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
        "checkout.session.completed",
    ]
    listed = client.v1.invoices.list({"subscription": subscription.id}).data
    assert [i.id for i in listed] == [invoice.id]


def _a_month_after(start: int) -> int:
    begin = datetime.fromtimestamp(start, UTC)
    for day in (begin.day, 30, 29, 28):
        try:
            year, month = begin.year + begin.month // 12, begin.month % 12 + 1
            return int(begin.replace(year=year, month=month, day=day).timestamp())
        except ValueError:
            continue
    raise AssertionError(begin)


def test_a_first_invoice_has_the_one_time_lines_too(client: stripe.StripeClient) -> None:
    session = open_session(client, "subscription", line_items=[PLAN, PACK])
    assert session.amount_total == 1700
    press(session, "pay")
    done = reload(client, session, "invoice", "subscription")
    assert [line.amount for line in done.invoice.lines.data] == [1200, 500]
    assert len(done.subscription["items"].data) == 1


def test_a_declined_card_starts_no_subscription(client: stripe.StripeClient) -> None:
    session = open_session(client, "subscription")
    assert press(session, "decline").status_code == 402
    declined = reload(client, session)
    assert (declined.status, declined.subscription, declined.invoice) == ("open", None, None)
    assert press(session, "pay").status_code == 303
    assert reload(client, session, "subscription").subscription.status == "active"


@pytest.mark.parametrize(
    ("outcome", "subscription_status", "invoice_status"),
    [("succeeded", "active", "paid"), ("failed", "past_due", "open")],
)
def test_a_subscription_paid_by_bank_debit(
    client: stripe.StripeClient, outcome: str, subscription_status: str, invoice_status: str
) -> None:
    session = open_session(client, "subscription")
    press(session, "pay-delayed", delayed_outcome=outcome)
    assert reload(client, session, "subscription").subscription.status == "active"

    kind = f"checkout.session.async_payment_{outcome}"
    until(lambda: find_event(client, kind, session), kind)
    done = reload(client, session, "subscription", "invoice")
    assert done.subscription.status == subscription_status
    assert done.invoice.status == invoice_status
    assert done.payment_status == ("paid" if outcome == "succeeded" else "unpaid")


# --- Ending a subscription -----------------------------------------------------------------------


@pytest.fixture
def subscription(client: stripe.StripeClient) -> Any:
    session = open_session(client, "subscription")
    press(session, "pay")
    return reload(client, session, "subscription").subscription


def test_cancel_at_period_end_and_back(
    server: LocalStripe, client: stripe.StripeClient, subscription: Any
) -> None:
    end = subscription["items"].data[0].current_period_end
    mark = count_events(server)
    going = client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert (going.status, going.cancel_at_period_end, going.cancel_at) == ("active", True, end)
    assert going.canceled_at is not None
    client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    staying = client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    assert (staying.cancel_at, staying.canceled_at) == (None, None)
    # The second of the three changed nothing, and nothing is told of it.
    assert events_since(server, mark) == ["customer.subscription.updated"] * 2
    event = client.v1.events.list({"type": "customer.subscription.updated", "limit": 1}).data[0]
    assert event.data.previous_attributes is not None
    assert event.data.previous_attributes["cancel_at_period_end"] is True


def test_a_canceled_subscription_is_over(client: stripe.StripeClient, subscription: Any) -> None:
    subscriptions = client.v1.subscriptions
    over = subscriptions.cancel(
        subscription.id, {"cancellation_details": {"feedback": "too_expensive"}}
    )
    assert over.status == "canceled"
    assert over.ended_at is not None
    assert over.cancellation_details is not None
    assert over.cancellation_details.feedback == "too_expensive"
    event = client.v1.events.list({"type": "customer.subscription.deleted", "limit": 1}).data[0]
    assert (event.data.object["id"], event.data.object["status"]) == (over.id, "canceled")
    with pytest.raises(stripe.InvalidRequestError) as again:
        subscriptions.cancel(subscription.id)
    assert again.value.http_status == 404
    with pytest.raises(stripe.InvalidRequestError, match="can only update its cancellation_deta"):
        subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    by_customer = {"customer": subscription.customer}

    def listed(**more: str) -> list[Any]:
        params: Any = by_customer | more
        return subscriptions.list(params).data

    assert listed() == []
    assert len(listed(status="canceled")) == len(listed(status="all")) == 1


def test_what_an_update_cannot_do_here_is_refused(
    client: stripe.StripeClient, subscription: Any
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="does not simulate `days_until_due`"):
        client.v1.subscriptions.update(subscription.id, {"days_until_due": 3})
