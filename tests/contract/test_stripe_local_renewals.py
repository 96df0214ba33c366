"""The local Stripe's subscriptions over time, by test clocks: renewals, trials, retries, ends."""

from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from infra.local.stripe_local import LocalStripe
from tests.support.stripe_local import buy, open_session, post, press, types_about

DAY_S = 24 * 3600
START = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp())


def moment(month: int, day: int, hour: int = 12) -> int:
    return int(datetime(2026, month, day, hour, tzinfo=UTC).timestamp())


@pytest.fixture
def clock(client: stripe.StripeClient) -> str:
    return client.v1.test_helpers.test_clocks.create({"frozen_time": START}).id


def advance(client: stripe.StripeClient, clock: str, to: int) -> None:
    advanced = client.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": to})
    assert (advanced.status, advanced.frozen_time) == ("ready", to)


def subscribe(
    client: stripe.StripeClient, clock: str, token: str = "pm_card_visa", **more: Any
) -> Any:
    """A customer on the clock, subscribed to 12.00 USD a month by a saved card."""
    customer = client.v1.customers.create({"test_clock": clock}).id
    method = client.v1.payment_methods.attach(token, {"customer": customer}).id
    params: Any = {
        "customer": customer,
        "default_payment_method": method,
        "items": [{"price": price(client, 1200)}],
        "metadata": {"user": "u1"},
        **more,
    }
    return client.v1.subscriptions.create(params)


def price(client: stripe.StripeClient, amount: int, interval: str = "month") -> str:
    params: Any = {
        "currency": "usd",
        "unit_amount": amount,
        "recurring": {"interval": interval},
        "product_data": {"name": "Plan"},
    }
    return client.v1.prices.create(params).id


def invoices(client: stripe.StripeClient, subscription: Any) -> list[Any]:
    """The subscription's invoices, oldest first."""
    listed: list[Any] = client.v1.invoices.list({"subscription": subscription.id}).data
    return listed[::-1]


def fresh(client: stripe.StripeClient, subscription: Any) -> Any:
    return client.v1.subscriptions.retrieve(subscription.id)


def fail_card(server: LocalStripe, subscription: Any, **form: str) -> None:
    path = f"payment_methods/{subscription.default_payment_method}/fail"
    post(f"{server.url}/_local/{path}", data=form).raise_for_status()


def test_a_renewal_is_drafted_finalized_and_paid(
    server: LocalStripe, client: stripe.StripeClient, clock: str
) -> None:
    subscription = subscribe(client, clock)
    assert (subscription.status, subscription.created) == ("active", START)
    advance(client, clock, moment(2, 28))
    _, draft = invoices(client, subscription)
    assert (draft.status, draft.billing_reason, draft.created) == (
        "draft",
        "subscription_cycle",
        moment(2, 28),
    )
    advance(client, clock, moment(2, 28, 13))
    first, second = invoices(client, subscription)
    for invoice in (first, second):
        assert (invoice.status, invoice.amount_paid, invoice.total) == ("paid", 1200, 1200)
        details = invoice.parent.subscription_details
        assert (details.subscription, details.metadata["user"]) == (subscription.id, "u1")
        (payment,) = client.v1.invoice_payments.list({"invoice": invoice.id}).data
        assert (payment.status, payment.amount_paid) == ("paid", 1200)
    assert types_about(server, second.id) == [
        "invoice.created",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]
    # Anchored to the 31st: February has its last day, and March the 31st again.
    (item,) = fresh(client, subscription)["items"].data
    assert (item.current_period_start, item.current_period_end) == (moment(2, 28), moment(3, 31))
    advance(client, clock, moment(8, 1))
    assert [i.created for i in invoices(client, subscription)][2:] == [
        moment(month, day) for month, day in ((3, 31), (4, 30), (5, 31), (6, 30), (7, 31))
    ]


def test_a_failed_renewal_is_retried_recovers_and_is_active(
    server: LocalStripe, client: stripe.StripeClient, clock: str
) -> None:
    subscription = subscribe(client, clock)
    fail_card(server, subscription, decline="insufficient_funds")
    advance(client, clock, moment(2, 28, 13))
    assert fresh(client, subscription).status == "past_due"
    failed = invoices(client, subscription)[1]
    assert (failed.status, failed.attempt_count) == ("open", 1)
    assert failed.next_payment_attempt == moment(2, 28, 13) + 3 * DAY_S
    fail_card(server, subscription, decline="")
    advance(client, clock, failed.next_payment_attempt)
    assert fresh(client, subscription).status == "active"
    paid = invoices(client, subscription)[1]
    assert (paid.status, paid.attempt_count, paid.next_payment_attempt) == ("paid", 2, None)
    told = types_about(server, failed.id)
    assert told[2:] == ["invoice.payment_failed", "invoice.paid", "invoice.payment_succeeded"]
    statuses = [
        event["data"]["object"]["status"]
        for event in list(server.account.each("event"))[::-1]
        if event["data"]["object"]["id"] == subscription.id and "updated" in event["type"]
    ]
    assert statuses == ["active", "active", "past_due", "active"]


@pytest.mark.parametrize("after", ["canceled", "unpaid", "past_due"])
def test_after_the_last_retry_the_account_decides(
    server: LocalStripe, client: stripe.StripeClient, clock: str, after: str
) -> None:
    post(f"{server.url}/_local/settings", data={"after_retries": after}).raise_for_status()
    subscription = subscribe(client, clock, "pm_card_chargeCustomerFail", trial_end=START + DAY_S)
    assert subscription.status == "trialing"
    advance(client, clock, START + 20 * DAY_S)
    ended = fresh(client, subscription)
    assert ended.status == after
    invoice = invoices(client, subscription)[1]
    assert (invoice.status, invoice.attempt_count, invoice.next_payment_attempt) == (
        "open",
        4,
        None,
    )
    assert ended.cancellation_details.reason == ("payment_failed" if after == "canceled" else None)
    if after == "unpaid":
        advance(client, clock, START + 40 * DAY_S)
        assert invoices(client, subscription)[-1].status == "draft"
        method = client.v1.payment_methods.attach("pm_card_visa", {"customer": ended.customer}).id
        client.v1.subscriptions.update(ended.id, {"default_payment_method": method})
        latest = invoices(client, subscription)[-1]
        assert fresh(client, subscription).latest_invoice == latest.id
        client.v1.invoices.pay(invoice.id)
        assert fresh(client, subscription).status == "unpaid"


def test_an_invoice_is_paid_by_hand_with_another_card(
    server: LocalStripe, client: stripe.StripeClient, clock: str
) -> None:
    subscription = subscribe(client, clock)
    fail_card(server, subscription)
    advance(client, clock, moment(2, 28, 13))
    invoice = invoices(client, subscription)[1]
    with pytest.raises(stripe.CardError) as raised:
        client.v1.invoices.pay(invoice.id)
    assert raised.value.code == "card_declined"
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": subscription.customer})
    assert client.v1.invoices.pay(invoice.id, {"payment_method": method.id}).status == "paid"
    assert fresh(client, subscription).status == "active"
    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        client.v1.invoices.pay(invoice.id)


def test_a_cancel_at_the_period_end_keeps_it_till_then_and_can_be_undone(
    server: LocalStripe, client: stripe.StripeClient, clock: str
) -> None:
    kept, ended = subscribe(client, clock), subscribe(client, clock)
    for each in (kept, ended):
        asked = client.v1.subscriptions.update(each.id, {"cancel_at_period_end": True})
        assert (asked.status, asked.cancel_at) == ("active", moment(2, 28))
    client.v1.subscriptions.update(kept.id, {"cancel_at_period_end": False})
    advance(client, clock, moment(2, 28, 13))
    assert fresh(client, kept).status == "active"
    gone = fresh(client, ended)
    assert (gone.status, gone.ended_at) == ("canceled", moment(2, 28))
    assert len(invoices(client, ended)) == 1
    assert types_about(server, ended.id)[-1] == "customer.subscription.deleted"


def test_a_trial_costs_nothing_and_then_begins_to_pay(
    server: LocalStripe, client: stripe.StripeClient, clock: str
) -> None:
    customer = client.v1.customers.create({"test_clock": clock, "email": "a@example.com"}).id
    session = buy(
        client, "subscription", customer=customer, subscription_data={"trial_period_days": 7}
    )
    assert (session.amount_total, session.payment_status) == (0, "no_payment_required")
    subscription: Any = client.v1.subscriptions.retrieve(session.subscription)
    assert (subscription.status, subscription.trial_end) == ("trialing", START + 7 * DAY_S)
    first: Any = client.v1.invoices.retrieve(session.invoice)
    assert (first.status, first.amount_due, first.amount_paid) == ("paid", 0, 0)
    advance(client, clock, START + 5 * DAY_S)
    assert types_about(server, subscription.id)[-1] == "customer.subscription.trial_will_end"
    advance(client, clock, START + 8 * DAY_S)
    assert fresh(client, subscription).status == "active"
    assert [i.amount_paid for i in invoices(client, subscription)] == [0, 1200]


def test_a_trial_without_a_card_pauses_and_resumes(
    server: LocalStripe, client: stripe.StripeClient, clock: str
) -> None:
    customer = client.v1.customers.create({"test_clock": clock}).id
    session = buy(
        client,
        "subscription",
        customer=customer,
        payment_method_collection="if_required",
        subscription_data={
            "trial_period_days": 3,
            "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
        },
    )
    subscription: Any = client.v1.subscriptions.retrieve(session.subscription)
    assert subscription.default_payment_method is None
    advance(client, clock, START + 4 * DAY_S)
    assert fresh(client, subscription).status == "paused"
    assert "customer.subscription.paused" in types_about(server, subscription.id)
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method}})
    client.v1.subscriptions.resume(subscription.id, {"billing_cycle_anchor": {"type": "now"}})
    resumed = fresh(client, subscription)
    assert resumed.status == "active"
    assert "customer.subscription.resumed" in types_about(server, subscription.id)
    assert invoices(client, subscription)[-1].amount_paid == 1200


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("void", "void"), ("keep_as_draft", "draft"), ("mark_uncollectible", "uncollectible")],
)
def test_while_collection_is_paused_no_renewal_is_charged(
    client: stripe.StripeClient, clock: str, behavior: str, status: str
) -> None:
    subscription = subscribe(client, clock)
    pause: Any = {"pause_collection": {"behavior": behavior, "resumes_at": moment(3, 15)}}
    assert client.v1.subscriptions.update(subscription.id, pause).status == "active"
    advance(client, clock, moment(4, 1))
    _, paused, after = invoices(client, subscription)
    assert (paused.status, paused.amount_paid) == (status, 0)
    assert (after.status, after.amount_paid) == ("paid", 1200)
    assert fresh(client, subscription).pause_collection is None


def test_a_first_payment_that_never_comes_ends_the_subscription(
    client: stripe.StripeClient, clock: str
) -> None:
    subscription = subscribe(client, clock, "pm_card_chargeDeclined")
    assert subscription.status == "incomplete"
    advance(client, clock, START + DAY_S)
    assert fresh(client, subscription).status == "incomplete_expired"
    assert invoices(client, subscription)[0].status == "void"


def test_a_coupon_counts_as_long_as_it_says(client: stripe.StripeClient, clock: str) -> None:
    coupon: Any = client.v1.coupons.create(
        {"percent_off": 25, "duration": "repeating", "duration_in_months": 2}
    )
    customer = client.v1.customers.create({"test_clock": clock}).id
    session = buy(client, "subscription", customer=customer, discounts=[{"coupon": coupon.id}])
    assert session.amount_total == 900
    subscription: Any = client.v1.subscriptions.retrieve(session.subscription)
    advance(client, clock, moment(5, 1))
    assert [i.total for i in invoices(client, subscription)] == [900, 900, 1200, 1200]
    first = invoices(client, subscription)[0]
    assert first.total_discount_amounts[0].amount == 300


def test_the_account_page_moves_time_to_the_next_renewal(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    session = buy(client, "subscription")
    subscription: Any = client.v1.subscriptions.retrieve(session.subscription)
    end = subscription["items"].data[0].current_period_end
    post(f"{server.url}/_local/subscriptions/{subscription.id}/renew").raise_for_status()
    renewed = invoices(client, subscription)[1]
    assert (renewed.status, renewed.created) == ("paid", end)
    assert server.account.now() >= end + 3600
    # What calls this server knows the time on the wall: its sessions expire by that.
    soon = int(server.account.real_clock()) + 3600
    assert press(open_session(client, expires_at=soon), "pay").status_code == 303
    post(f"{server.url}/_local/time", data={"days": "1"}).raise_for_status()
    assert server.account.now() >= end + 3600 + DAY_S
    assert post(f"{server.url}/_local/time", data={"days": "-1"}).status_code == 400


@pytest.mark.parametrize("to", [START, START - 1, START + 800 * DAY_S])
def test_a_clock_moves_ahead_only_and_not_too_far(
    client: stripe.StripeClient, clock: str, to: int
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": to})
    assert raised.value.param == "frozen_time"


def test_a_deleted_clock_ends_what_ran_on_it(client: stripe.StripeClient, clock: str) -> None:
    subscription = subscribe(client, clock)
    assert client.v1.test_helpers.test_clocks.delete(clock).deleted
    assert fresh(client, subscription).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.customers.create({"test_clock": clock})


def test_a_deleted_customer_has_no_subscription_and_buys_nothing(
    server: LocalStripe, client: stripe.StripeClient, clock: str
) -> None:
    subscription = subscribe(client, clock)
    assert client.v1.customers.delete(subscription.customer).deleted
    assert fresh(client, subscription).status == "canceled"
    assert client.v1.customers.retrieve(subscription.customer).deleted
    assert types_about(server, subscription.customer)[-1] == "customer.deleted"
    with pytest.raises(stripe.InvalidRequestError) as raised:
        open_session(client, customer=subscription.customer)
    assert raised.value.code == "resource_missing"


def test_what_was_drafted_before_the_end_is_not_charged_after_it(
    client: stripe.StripeClient, clock: str
) -> None:
    gone, canceled, kept = (subscribe(client, clock) for _ in range(3))
    advance(client, clock, moment(2, 28))
    client.v1.customers.delete(gone.customer)
    client.v1.subscriptions.cancel(canceled.id)
    advance(client, clock, moment(2, 28, 13))
    for each in (gone, canceled):
        assert [i.status for i in invoices(client, each)] == ["paid", "draft"]
    assert [i.status for i in invoices(client, kept)] == ["paid", "paid"]
