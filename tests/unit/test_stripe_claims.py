"""Refunds, disputes and warnings: what the webhook makes of Stripe's objects."""

from dataclasses import replace
from typing import Any

import pytest
from tollkeeper_core.domain.movements import Claim, Hold
from tollkeeper_core.domain.purchases import Purchase, PurchaseLookupError
from tollkeeper_core.services.stripe_events.event import Effect, UnusableEventError

from tests.support.upgrade import STAGE
from tests.support.webhook import (
    CREDIT_PLAN,
    DAY_S,
    NOW_S,
    PACK,
    Webhook,
    charge,
    dispute,
    event,
    refund,
    warning,
)


@pytest.fixture
def webhook() -> Webhook:
    made = Webhook()
    made.stripe.purchases["pi_1"] = Purchase("pi_1", PACK.metadata(STAGE))
    made.stripe.charges["ch_1"] = "pi_1"
    return made


def claimed(webhook: Webhook, purchase: str = "pi_1") -> list[Claim]:
    return webhook.ledger.claims.get(purchase, [])


@pytest.mark.parametrize(
    ("status", "rank", "taken"),
    [
        ("pending", 0, 200),
        ("requires_action", 1, 200),
        ("succeeded", 2, 200),
        ("failed", 3, 0),
        ("canceled", 3, 0),
    ],
)
@pytest.mark.parametrize("kind", ["refund.created", "refund.updated", "charge.refund.updated"])
def test_a_refund_takes_its_amount_unless_it_came_to_nothing(
    webhook: Webhook, kind: str, status: str, rank: int, taken: int
) -> None:
    applied = webhook(event(kind, refund(status=status)))
    assert applied.effect is Effect.CLAIMED
    (claim,) = claimed(webhook)
    assert (claim.user_id, claim.claim_id) == (PACK.user_id, "re_1")
    assert (claim.version, claim.taken_minor, claim.hold) == ((0, rank), taken, Hold.NONE)
    assert [p.kind for p in webhook.archive.postings.values()] == ["claim"]


@pytest.mark.parametrize(
    ("status", "rank", "taken", "hold"),
    [
        ("warning_needs_response", 1, 0, Hold.OPEN),
        ("needs_response", 1, 0, Hold.OPEN),
        ("under_review", 2, 0, Hold.OPEN),
        ("warning_under_review", 2, 0, Hold.OPEN),
        ("warning_closed", 3, 0, Hold.RELEASED),
        ("prevented", 3, 0, Hold.RELEASED),
        ("won", 3, 0, Hold.RELEASED),
        ("lost", 3, 500, Hold.RELEASED),
    ],
)
@pytest.mark.parametrize(
    "kind", ["created", "updated", "closed", "funds_withdrawn", "funds_reinstated"]
)
def test_a_dispute_freezes_until_it_is_closed_and_takes_when_lost(
    webhook: Webhook, kind: str, status: str, rank: int, taken: int, hold: Hold
) -> None:
    webhook(event(f"charge.dispute.{kind}", dispute(status=status), NOW_S + 5))
    (claim,) = claimed(webhook)
    assert (claim.claim_id, claim.version) == ("dp_1", (NOW_S + 5, rank))
    assert (claim.taken_minor, claim.hold) == (taken, hold)


def test_a_warning_says_the_same_whenever_it_is_told(webhook: Webhook) -> None:
    for at in (0, 9 * DAY_S):
        kind = f"radar.early_fraud_warning.{'updated' if at else 'created'}"
        webhook(event(kind, warning(actionable=not at), NOW_S + at))
    first, second = claimed(webhook)
    assert first == second
    assert (first.claim_id, first.hold, first.taken_minor) == ("issfr_1", Hold.WARNING, 0)


def test_a_charge_that_was_refunded_is_looked_up_refund_by_refund(webhook: Webhook) -> None:
    webhook.stripe.refunds["pi_1"] = [refund(), refund(id="re_2", amount=300, status="failed")]
    webhook(event("charge.refunded", charge()))
    assert [(c.claim_id, c.taken_minor) for c in claimed(webhook)] == [("re_1", 200), ("re_2", 0)]
    assert webhook.stripe.reads == 1, "the charge carries its payment's metadata"


def test_a_refund_without_a_payment_is_found_by_its_charge(webhook: Webhook) -> None:
    webhook(event("refund.created", refund(payment_intent=None)))
    assert len(claimed(webhook)) == 1


def test_a_claim_on_a_plans_invoice_is_the_invoices(webhook: Webhook) -> None:
    webhook.stripe.purchases["pi_1"] = Purchase("in_1", CREDIT_PLAN.metadata(STAGE))
    webhook(event("refund.created", refund(amount=600)))
    (claim,) = claimed(webhook, "in_1")
    assert claim.taken_minor == 600


@pytest.mark.parametrize(
    "purchase",
    [None, Purchase("pi_1", {}), Purchase("pi_1", PACK.metadata("another-stage"))],
    ids=["of nothing of ours", "without terms", "of another stage"],
)
def test_what_is_not_ours_is_acknowledged_and_left_alone(
    webhook: Webhook, purchase: Purchase | None
) -> None:
    webhook.stripe.purchases.clear()
    if purchase is not None:
        webhook.stripe.purchases["pi_1"] = purchase
    for one in (
        event("refund.created", refund()),
        event("charge.dispute.created", dispute()),
        event("radar.early_fraud_warning.created", warning()),
        event("charge.refunded", charge(metadata={})),
        event("charge.refunded", charge(payment_intent=None)),
    ):
        assert webhook(one).effect is Effect.NOT_OURS
    assert not webhook.ledger.claims
    assert not webhook.archive.postings


def test_in_another_currency_a_bank_takes_all(webhook: Webhook) -> None:
    webhook(event("charge.dispute.closed", dispute(status="lost", currency="eur", amount=460)))
    (claim,) = claimed(webhook)
    assert claim.taken_minor > 500


@pytest.mark.parametrize(
    "one",
    [
        event("refund.created", refund(status="lost")),
        event("charge.dispute.created", dispute(status="?")),
    ],
)
def test_a_status_that_nobody_knows_is_not_acknowledged(webhook: Webhook, one: Any) -> None:
    with pytest.raises(UnusableEventError, match="status is not known"):
        webhook(one)


def test_a_stripe_that_is_away_is_asked_again(webhook: Webhook) -> None:
    webhook.stripe.down = True
    with pytest.raises(PurchaseLookupError):
        webhook(event("refund.created", refund()))
    assert not webhook.ledger.claims


def test_the_owner_hears_of_a_dispute_and_of_its_end(webhook: Webhook) -> None:
    for _ in range(2):
        webhook(event("charge.dispute.created", dispute()))
        webhook(event("charge.dispute.updated", dispute(status="under_review"), NOW_S + 1))
        webhook(event("charge.dispute.closed", dispute(status="won"), NOW_S + 2))
    told = {a.id: a for a in webhook.bus.told}
    assert set(told) == {"dispute.opened:dp_1", "dispute.closed:dp_1"}
    opened = told["dispute.opened:dp_1"].detail
    assert (opened["amount_minor"], opened["reason"], opened["purchase_id"]) == (
        500,
        "fraudulent",
        "pi_1",
    )


def test_terms_are_of_the_click_not_of_today(webhook: Webhook) -> None:
    later = replace(PACK, user_id="somebody else")
    webhook.stripe.purchases["pi_1"] = Purchase("pi_1", later.metadata(STAGE))
    webhook(event("refund.created", refund()))
    assert claimed(webhook)[0].user_id == "somebody else"
