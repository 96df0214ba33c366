"""The local Stripe's disputes and early fraud warnings, by Stripe's own test cards and texts."""

from typing import Any

import pytest
import stripe

from infra.local.stripe_local import LocalStripe
from tests.support.stripe_local import buy, post, types_about, until

FRAUDULENT = "4000000000000259"
INQUIRY = "4000000000001976"
WARNING = "4000000000005423"


def dispute_of(client: stripe.StripeClient, card: str) -> Any:
    """Buy with that card and wait for the dispute."""
    intent = buy(client, card=card).payment_intent
    listed: Any = until(
        lambda: client.v1.disputes.list({"payment_intent": intent}).data, "the dispute"
    )
    return listed[0]


def test_a_test_card_is_disputed_and_the_money_taken(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    dispute = dispute_of(client, FRAUDULENT)
    assert (dispute.status, dispute.reason, dispute.amount) == ("needs_response", "fraudulent", 500)
    (taken,) = dispute.balance_transactions
    assert (taken.type, taken.amount, taken.fee, taken.net) == ("adjustment", -500, 1500, -2000)
    charge: Any = client.v1.charges.retrieve(dispute.charge)
    assert (charge.disputed, charge.paid, charge.amount_refunded) == (True, True, 0)
    assert types_about(server, dispute.id) == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
    ]
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.refunds.create({"charge": dispute.charge})
    assert raised.value.code == "charge_disputed"


@pytest.mark.parametrize(
    ("text", "status", "told", "booked"),
    [
        ("winning_evidence", "won", ["closed", "funds_reinstated"], [-500, 500]),
        ("losing_evidence", "lost", ["closed"], [-500]),
    ],
)
def test_evidence_decides(
    server: LocalStripe,
    client: stripe.StripeClient,
    text: str,
    status: str,
    told: list[str],
    booked: list[int],
) -> None:
    dispute = dispute_of(client, FRAUDULENT)
    params: Any = {"evidence": {"uncategorized_text": text}}
    kept: Any = client.v1.disputes.update(dispute.id, {**params, "submit": False})
    assert (kept.status, kept.evidence_details.has_evidence) == ("needs_response", True)
    decided: Any = client.v1.disputes.update(dispute.id, params)
    assert (decided.status, decided.evidence_details.submission_count) == (status, 1)
    assert [each.amount for each in decided.balance_transactions] == booked
    assert types_about(server, dispute.id)[2:] == [
        "charge.dispute.updated",
        "charge.dispute.updated",
        *(f"charge.dispute.{kind}" for kind in told),
    ]
    for act in (client.v1.disputes.update, client.v1.disputes.close):
        with pytest.raises(stripe.InvalidRequestError, match="already closed"):
            act(dispute.id)


def test_other_evidence_goes_under_review_and_closing_loses(client: stripe.StripeClient) -> None:
    dispute = dispute_of(client, FRAUDULENT)
    params: Any = {"evidence": {"product_description": "Credits"}, "metadata": {"a": "b"}}
    reviewed = client.v1.disputes.update(dispute.id, params)
    assert (reviewed.status, reviewed.metadata["a"]) == ("under_review", "b")
    assert client.v1.disputes.close(dispute.id).status == "lost"


def test_an_inquiry_takes_nothing_until_it_becomes_a_dispute(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    inquiry = dispute_of(client, INQUIRY)
    assert (inquiry.status, inquiry.balance_transactions) == ("warning_needs_response", [])
    assert inquiry.is_charge_refundable
    assert types_about(server, inquiry.id) == ["charge.dispute.created"]
    post(f"{server.url}/_local/disputes/{inquiry.id}/lose").raise_for_status()
    assert client.v1.disputes.retrieve(inquiry.id).status == "needs_response"
    assert "charge.dispute.funds_withdrawn" in types_about(server, inquiry.id)
    closed = dispute_of(client, INQUIRY)
    post(f"{server.url}/_local/disputes/{closed.id}/win").raise_for_status()
    assert client.v1.disputes.retrieve(closed.id).status == "warning_closed"


def test_what_is_refunded_during_an_inquiry_is_not_taken_again(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    partly, fully = dispute_of(client, INQUIRY), dispute_of(client, INQUIRY)
    client.v1.refunds.create({"charge": partly.charge, "amount": 200})
    post(f"{server.url}/_local/disputes/{partly.id}/lose").raise_for_status()
    taken = client.v1.disputes.retrieve(partly.id)
    assert (taken.amount, taken.balance_transactions[0].amount) == (300, -300)
    client.v1.refunds.create({"charge": fully.charge})
    assert client.v1.disputes.retrieve(fully.id).status == "warning_closed"


def test_a_warning_comes_before_any_dispute_and_ends_with_a_refund(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    intent = buy(client, card=WARNING).payment_intent
    warnings = client.v1.radar.early_fraud_warnings
    (warning,) = until(lambda: warnings.list({"payment_intent": intent}).data, "the warning")
    assert warning.actionable
    assert client.v1.disputes.list({"payment_intent": intent}).data == []
    client.v1.refunds.create({"payment_intent": intent, "amount": 100})
    assert warnings.retrieve(warning.id).actionable
    client.v1.refunds.create({"payment_intent": intent, "reason": "fraudulent"})
    assert not warnings.retrieve(warning.id).actionable
    assert types_about(server, warning.id) == [
        "radar.early_fraud_warning.created",
        "radar.early_fraud_warning.updated",
    ]


def test_the_account_page_disputes_warns_refunds_and_decides(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    intent: Any = client.v1.payment_intents.retrieve(buy(client).payment_intent)
    charge = intent.latest_charge
    post(f"{server.url}/_local/charges/{charge}/warn").raise_for_status()
    post(f"{server.url}/_local/charges/{charge}/refund", data={"amount": "200"}).raise_for_status()
    post(f"{server.url}/_local/charges/{charge}/dispute").raise_for_status()
    (dispute,) = client.v1.disputes.list({"charge": charge}).data
    assert dispute.amount == 300
    post(f"{server.url}/_local/disputes/{dispute.id}/win").raise_for_status()
    assert client.v1.disputes.retrieve(dispute.id).status == "won"
    assert post(f"{server.url}/_local/disputes/{dispute.id}/lose").status_code == 400
    assert post(f"{server.url}/_local/charges/{charge}/dispute").status_code == 400
    assert post(f"{server.url}/_local/charges/ch_none/refund").status_code == 404
    assert post(f"{server.url}/_local/charges/{charge}/burn").status_code == 404


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"evidence": {"story": "x"}}, "evidence[story]"),
        ({"submit": "maybe"}, "submit"),
        ({"evidence": "x"}, "evidence"),
    ],
)
def test_wrong_evidence_is_refused(client: stripe.StripeClient, params: Any, param: str) -> None:
    dispute = dispute_of(client, FRAUDULENT)
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.disputes.update(dispute.id, params)
    assert raised.value.param == param
    assert client.v1.disputes.retrieve(dispute.id).status == "needs_response"
