"""The local Stripe's refunds: in parts, over the rest, later, and failing."""

from typing import Any

import pytest
import stripe

from infra.local.stripe_local import LocalStripe
from tests.support.stripe_local import buy, open_session, press, types_about, until


def charge_of(client: stripe.StripeClient, intent: str) -> Any:
    found: Any = client.v1.payment_intents.retrieve(intent, {"expand": ["latest_charge"]})
    return found.latest_charge


def test_refunds_in_parts_add_up_and_stop_at_what_was_paid(client: stripe.StripeClient) -> None:
    intent = buy(client).payment_intent
    first = client.v1.refunds.create({"payment_intent": intent, "amount": 200})
    assert (first.status, first.amount, first.currency) == ("succeeded", 200, "usd")
    charge = charge_of(client, intent)
    assert (charge.amount_refunded, charge.refunded) == (200, False)
    with pytest.raises(stripe.InvalidRequestError, match=r"\(\$3.01\) is greater than .*\$3.00"):
        client.v1.refunds.create({"charge": charge.id, "amount": 301})
    rest = client.v1.refunds.create({"charge": charge.id, "reason": "requested_by_customer"})
    assert rest.amount == 300
    charge = charge_of(client, intent)
    assert (charge.amount_refunded, charge.refunded) == (500, True)
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.refunds.create({"payment_intent": intent})
    assert raised.value.code == "charge_already_refunded"
    listed = client.v1.refunds.list({"payment_intent": intent}).data
    assert [refund.id for refund in listed] == [rest.id, first.id]
    assert client.v1.refunds.retrieve(first.id, {"expand": ["charge"]}).charge == charge


def test_each_refund_tells_of_itself_and_of_its_charge(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    intent = buy(client).payment_intent
    charge = charge_of(client, intent)
    refund = client.v1.refunds.create({"charge": charge.id, "amount": 100})
    assert types_about(server, refund.id) == ["refund.created"]
    assert types_about(server, charge.id) == ["charge.succeeded", "charge.refunded"]
    event: Any = client.v1.events.list({"type": "charge.refunded", "limit": 1}).data[0]
    assert event.data.object.amount_refunded == 100
    assert event.data.previous_attributes["amount_refunded"] == 0
    client.v1.refunds.update(refund.id, {"metadata": {"why": "asked"}})
    assert types_about(server, refund.id)[1:] == ["refund.updated", "charge.refund.updated"]


def test_a_refund_leaves_the_balance_and_the_fee_stays(client: stripe.StripeClient) -> None:
    intent = buy(client).payment_intent
    charge: Any = client.v1.charges.retrieve(
        charge_of(client, intent).id, {"expand": ["balance_transaction"]}
    )
    paid = charge.balance_transaction
    assert (paid.amount, paid.fee, paid.net) == (500, 45, 455)
    refund: Any = client.v1.refunds.create({"charge": charge.id, "expand": ["balance_transaction"]})
    back = refund.balance_transaction
    assert (back.type, back.amount, back.fee, back.net) == ("refund", -500, 0, -500)
    listed = client.v1.balance_transactions.list({"source": refund.id}).data
    assert [transaction.id for transaction in listed] == [back.id]


def test_a_transaction_shows_the_refund_that_it_is_of(client: stripe.StripeClient) -> None:
    """And of a bank debit it has the name that Stripe gives it, in the same category."""
    session = open_session(client)
    assert press(session, "pay-delayed").status_code == 303
    intent: Any = client.v1.checkout.sessions.retrieve(session.id).payment_intent
    until(lambda: client.v1.payment_intents.retrieve(intent).status == "succeeded", "the bank")
    for paid, kind in ((intent, "payment_refund"), (buy(client).payment_intent, "refund")):
        refund = client.v1.refunds.create({"payment_intent": paid})
        (found,) = client.v1.balance_transactions.list(
            {"source": refund.id, "expand": ["data.source"]}
        ).data
        source: Any = found.source
        assert (found.type, found.reporting_category) == (kind, "refund")
        assert (source.object, source.payment_intent, source.charge) == (
            "refund",
            paid,
            refund.charge,
        )


def test_a_pending_refund_succeeds_later(server: LocalStripe, client: stripe.StripeClient) -> None:
    intent = buy(client, card="4000000000007726").payment_intent
    refund = client.v1.refunds.create({"payment_intent": intent})
    assert refund.status == "pending"
    until(lambda: client.v1.refunds.retrieve(refund.id).status == "succeeded", "the bank")
    assert types_about(server, refund.id) == [
        "refund.created",
        "refund.updated",
        "charge.refund.updated",
    ]


def test_a_refund_that_fails_gives_the_money_back(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    intent = buy(client, card="4000000000005126").payment_intent
    refund = client.v1.refunds.create({"payment_intent": intent, "amount": 300})
    assert refund.status == "succeeded"
    failed: Any = until(
        lambda: next(
            (r for r in client.v1.refunds.list({"limit": 1}).data if r.status == "failed"), None
        ),
        "the bank",
    )
    assert failed.failure_reason == "expired_or_canceled_card"
    assert "refund.failed" in types_about(server, refund.id)
    assert charge_of(client, intent).amount_refunded == 0
    again = client.v1.refunds.create({"payment_intent": intent})
    assert again.amount == 500


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({}, "payment_intent"),
        ({"payment_intent": "pi_none"}, "payment_intent"),
        ({"charge": "ch_none"}, "charge"),
        ({"amount": "five"}, "amount"),
        ({"reason": "because"}, "reason"),
        ({"amont": 5}, "amont"),
        ({"amount": 0}, "amount"),
    ],
)
def test_a_wrong_refund_is_refused(
    client: stripe.StripeClient, params: dict[str, Any], param: str
) -> None:
    intent = buy(client).payment_intent
    given: Any = (
        params
        if set(params) & {"charge", "payment_intent"} or not params
        else {
            "payment_intent": intent,
            **params,
        }
    )
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.refunds.create(given)
    assert (raised.value.http_status, raised.value.param) == (400, param)
    assert charge_of(client, intent).amount_refunded == 0


def test_what_was_not_paid_cannot_be_refunded(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        client.v1.refunds.create({"payment_intent": intent.id})
