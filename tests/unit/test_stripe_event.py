"""Stripe's events, applied: once, in any order, only when paid, and only ours."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tollkeeper_core.domain.announcements import AnnouncementError
from tollkeeper_core.domain.billing import ForgedEventError
from tollkeeper_core.domain.ledger import LedgerUnavailableError
from tollkeeper_core.domain.offers import KeptPlan
from tollkeeper_core.services.stripe_events.event import Effect, UnusableEventError

from tests.support.upgrade import NOW_MS, STAGE, Clock, example_config
from tests.support.webhook import (
    COMPLETED,
    CREDIT_PLAN,
    DAY_S,
    ENDS_S,
    NOW_S,
    PACK,
    PLAN,
    Webhook,
    event,
    invoice,
    line,
    period,
    session,
    subscription,
)


def until_s(webhook: Webhook) -> float:
    return webhook.ledger.subscriptions["sub_1"].until_ms / 1000


def test_a_paid_session_grants_what_was_bought():
    webhook = Webhook()
    assert webhook(COMPLETED).effect is Effect.GRANTED
    granted = webhook.ledger.granted["pi_1"]
    assert (granted.user_id, granted.pack) == ("jo.77", "starter")
    assert (granted.granted_nano, granted.paid_minor, granted.currency) == (4 * 10**9, 500, "usd")
    assert granted.expires_ms == NOW_MS + 365 * DAY_S * 1000
    assert ("jo.77", "prm_1") in webhook.ledger.paid_prompts


def test_the_archive_has_it_and_it_sums_to_zero():
    webhook = Webhook()
    webhook(COMPLETED)
    lines = webhook.archive.postings.values()
    assert {line.user_id for line in lines} == {"jo.77"}
    for asset, total in (("usd_nano", 4 * 10**9), ("usd_minor", 500)):
        amounts = [line.amount for line in lines if line.asset == asset]
        assert sorted(amounts) == [-total, total]


def test_what_was_configured_since_does_not_count():
    webhook = Webhook()
    webhook.ledger.configs.config = example_config().model_copy(update={"packs": {}, "plans": {}})
    assert webhook(COMPLETED).effect is Effect.GRANTED


def test_a_pack_without_an_expiry_never_expires():
    webhook = Webhook()
    metadata = PACK.metadata(STAGE)
    del metadata["expires_days"]
    webhook(event("checkout.session.completed", session(metadata=metadata)))
    assert webhook.ledger.granted["pi_1"].expires_ms is None


def test_a_delivery_that_is_days_late_gives_no_later_expiry():
    webhook = Webhook(clock=Clock(NOW_MS + 2 * DAY_S * 1000))
    webhook(COMPLETED)
    assert webhook.ledger.granted["pi_1"].expires_ms == NOW_MS + 365 * DAY_S * 1000


def test_free_of_charge_is_paid():
    webhook = Webhook()
    free = event("checkout.session.completed", session(payment_status="no_payment_required"))
    assert webhook(free).effect is Effect.GRANTED


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("checkout.session.completed", "unpaid"),
        ("checkout.session.async_payment_failed", "unpaid"),
        ("checkout.session.async_payment_failed", "paid"),
    ],
)
def test_unpaid_grants_nothing(kind: str, status: str):
    webhook = Webhook()
    assert webhook(event(kind, session(payment_status=status))).effect is Effect.NOT_PAID
    assert not webhook.ledger.granted
    assert not webhook.archive.postings
    assert not webhook.ledger.paid_prompts


def orders(events: list[dict[str, Any]]) -> list[tuple[dict[str, Any], ...]]:
    """Every order of the events, each delivered three times."""
    places = [place for place in range(len(events)) for _ in range(3)]
    return [
        tuple(events[place] for place in order) for order in set(itertools.permutations(places))
    ]


def test_a_bank_debit_in_any_order_three_deliveries_each_is_one_grant():
    unpaid = event("checkout.session.completed", session(payment_status="unpaid"))
    paid = event("checkout.session.async_payment_succeeded", session(), created=NOW_S + DAY_S)
    for order in orders([unpaid, paid]):
        webhook = Webhook()
        effects = [webhook(one).effect for one in order]
        assert effects.count(Effect.GRANTED) == 1
        assert effects.count(Effect.ALREADY_GRANTED) == 2
        (granted,) = webhook.ledger.granted.values()
        assert granted.expires_ms == NOW_MS + 366 * DAY_S * 1000
        assert len(webhook.archive.postings) == 4


def test_what_was_really_paid_is_what_a_refund_is_a_part_of():
    """After a promotion code, tax included."""
    webhook = Webhook()
    webhook(event("checkout.session.completed", session(amount_total=297)))
    assert webhook.ledger.granted["pi_1"].paid_minor == 297


def test_a_free_purchase_has_no_payment_and_is_known_by_its_session():
    webhook = Webhook()
    free = session(payment_status="no_payment_required", payment_intent=None, amount_total=0)
    for _ in range(2):
        webhook(event("checkout.session.completed", free))
    (granted,) = webhook.ledger.granted.values()
    assert (granted.purchase_id, granted.paid_minor) == ("cs_1", 0)


@pytest.mark.parametrize("kind", ["succeeded", "payment_failed"])
def test_the_payment_of_a_checkout_grants_nothing_itself_and_is_told_to_nobody(kind: str):
    webhook = Webhook()
    assert webhook(event(f"payment_intent.{kind}", intent())).effect is Effect.NOTHING
    other = intent(metadata={})
    assert webhook(event(f"payment_intent.{kind}", other)).effect is Effect.NOT_OURS
    assert not webhook.ledger.granted
    assert not webhook.bus.told


def test_a_top_up_without_a_checkout_is_its_own_purchase():
    webhook = Webhook()
    metadata = {**PACK.metadata(STAGE), "auto_top_up": "1"}
    paid = event("payment_intent.succeeded", intent(metadata=metadata))
    assert [webhook(paid).effect for _ in range(2)] == [Effect.GRANTED, Effect.ALREADY_GRANTED]
    (granted,) = webhook.ledger.granted.values()
    assert (granted.purchase_id, granted.paid_minor) == ("pi_1", 500)
    failed = event("payment_intent.payment_failed", intent(metadata=metadata))
    assert webhook(failed).effect is Effect.NOT_PAID
    assert [a.kind for a in webhook.bus.told][-1] == "payment.failed"


def intent(**more: Any) -> dict[str, Any]:
    return {
        "id": "pi_1",
        "amount": 500,
        "amount_received": 500,
        "currency": "usd",
        "metadata": PACK.metadata(STAGE),
        **more,
    }


# -- Invoices --------------------------------------------------------------------------------------


def test_a_paid_period_brings_its_credits_once_and_they_end_with_it():
    webhook = Webhook()
    first = event("invoice.paid", invoice())
    next_s = ENDS_S + 30 * DAY_S
    second = event(
        "invoice.paid",
        invoice(
            id="in_2", billing_reason="subscription_cycle", lines={"data": [line(1200, next_s)]}
        ),
        ENDS_S,
    )
    for one in (second, first, first, second):
        webhook(one)
    granted = webhook.ledger.granted
    assert set(granted) == {"in_1", "in_2"}
    assert [granted[i].expires_ms for i in ("in_1", "in_2")] == [ENDS_S * 1000, next_s * 1000]
    assert granted["in_1"].pack == "pro_monthly"
    assert (granted["in_1"].granted_nano, granted["in_1"].paid_minor) == (9 * 10**9, 1200)


def test_credits_that_roll_over_never_end():
    webhook = Webhook()
    webhook(event("invoice.paid", invoice(replace(CREDIT_PLAN, rollover=True))))
    assert webhook.ledger.granted["in_1"].expires_ms is None


@pytest.mark.parametrize(
    ("changes", "granted"),
    [
        ({}, True),
        ({"billing_reason": "subscription_cycle"}, True),
        ({"amount_paid": 0}, True),  # by a promotion code, or from the customer's balance
        ({"lines": {"data": [line(-400, proration=True), line(2000)]}}, True),
        ({"billing_reason": "subscription_update"}, False),
        ({"billing_reason": "manual"}, False),
        ({"lines": {"data": [line(0)]}}, False),  # a trial
        ({"lines": {"data": [line(900, proration=True), line(-400, proration=True)]}}, False),
        ({"lines": {"data": [{**line(), "parent": {"type": "invoice_item_details"}}]}}, False),
    ],
)
def test_only_a_period_that_begins_and_costs_brings_credits(changes: Any, granted: bool):
    webhook = Webhook()
    expected = Effect.GRANTED if granted else Effect.NOTHING
    assert webhook(event("invoice.paid", invoice(**changes))).effect is expected
    assert bool(webhook.ledger.granted) is granted


def test_a_plan_without_credits_brings_none():
    assert Webhook()(event("invoice.paid", invoice(PLAN))).effect is Effect.NOTHING


def test_an_invoice_of_before_basil_is_read_as_well():
    webhook = Webhook()
    old = invoice(parent=None, subscription_details={"metadata": CREDIT_PLAN.metadata(STAGE)})
    old["lines"]["data"] = [
        {"amount": 1200, "type": "subscription", "proration": False, "period": {"end": ENDS_S}},
        {"amount": 100, "type": "invoiceitem", "proration": True, "period": {"end": 1}},
    ]
    webhook(event("invoice.paid", old))
    assert webhook.ledger.granted["in_1"].expires_ms == ENDS_S * 1000


def test_an_invoice_that_was_not_paid_is_told():
    webhook = Webhook()
    for attempt in (1, 2):
        unpaid = event("invoice.payment_failed", invoice(PLAN, attempt_count=attempt))
        assert webhook(unpaid).effect is Effect.NOT_PAID
    assert {a.id for a in webhook.bus.told} == {"payment.failed:in_1:1", "payment.failed:in_1:2"}


# -- The books -------------------------------------------------------------------------------------


def test_nothing_is_told_before_it_is_on_record_and_everything_is_told_again():
    webhook = Webhook()
    webhook.archive.down = True
    with pytest.raises(OSError, match="down"):
        webhook(COMPLETED)
    assert not webhook.bus.told
    webhook.archive.down, webhook.bus.down = False, True
    with pytest.raises(AnnouncementError):
        webhook(COMPLETED)
    webhook.bus.down = False
    webhook(COMPLETED)
    webhook(COMPLETED)
    assert [a.id for a in webhook.bus.told] == ["credits.granted:pi_1"] * 2


@pytest.mark.parametrize(("days", "expected_s"), [(0, NOW_S), (3, NOW_S + 3 * DAY_S), (60, ENDS_S)])
def test_a_plan_that_is_behind_keeps_its_tier_as_long_as_the_owner_says(days: int, expected_s: int):
    webhook = Webhook(config=example_config(past_due_grace_days=days))
    webhook(event("customer.subscription.updated", subscription(status="past_due")))
    assert until_s(webhook) == expected_s


def test_another_plan_is_another_tier_whichever_is_told_first():
    events = [
        event("customer.subscription.updated", subscription()),
        event(
            "customer.subscription.updated",
            subscription(metadata=replace(PLAN, plan="max", tier="free").metadata(STAGE)),
            NOW_S + 1,
        ),
    ]
    for order in itertools.permutations(events * 2):
        webhook = Webhook()
        for one in order:
            webhook(one)
        state = webhook.ledger.subscriptions["sub_1"]
        assert (state.plan, state.tier) == ("max", "free")


def test_two_purchases_are_two_grants():
    webhook = Webhook()
    webhook(COMPLETED)
    webhook(event("checkout.session.completed", session(payment_intent="pi_2")))
    assert set(webhook.ledger.granted) == {"pi_1", "pi_2"}
    assert len(webhook.archive.postings) == 8


def test_a_subscription_in_any_order_three_deliveries_each_ends_the_same():
    begun = event("customer.subscription.created", subscription(status="incomplete"))
    active = event("customer.subscription.updated", subscription())
    ended = event("customer.subscription.deleted", subscription(status="canceled"), NOW_S + DAY_S)
    for events, expected_s in (([begun, active], ENDS_S + DAY_S), ([active, ended], 0)):
        for order in orders(events):
            webhook = Webhook()
            assert {webhook(one).effect for one in order} == {Effect.SUBSCRIPTION}
            assert until_s(webhook) == expected_s


@pytest.mark.parametrize(
    ("changes", "expected_s"),
    [
        ({}, ENDS_S + DAY_S),
        ({"status": "trialing"}, ENDS_S + DAY_S),
        ({"status": "past_due"}, NOW_S + 7 * DAY_S),
        ({"status": "past_due", "cancel_at_period_end": True}, NOW_S + 7 * DAY_S),
        ({"pause_collection": {"behavior": "void", "resumes_at": None}}, 0),
        ({"pause_collection": {"behavior": "keep_as_draft"}}, ENDS_S + DAY_S),
        ({"cancel_at_period_end": True, "cancel_at": ENDS_S}, ENDS_S),
        ({"cancel_at_period_end": True}, ENDS_S),
        ({"cancel_at": ENDS_S - DAY_S}, ENDS_S - DAY_S),
        ({"cancel_at": ENDS_S + 90 * DAY_S}, ENDS_S + DAY_S),
        ({"status": "past_due", "cancel_at": NOW_S}, NOW_S),
        ({"status": "canceled"}, 0),
        ({"status": "unpaid"}, 0),
        ({"status": "incomplete"}, 0),
        ({"status": "incomplete_expired"}, 0),
        ({"status": "paused"}, 0),
        (
            {
                "items": {"data": []},
                "current_period_start": NOW_S,
                "current_period_end": ENDS_S - 7,
            },
            ENDS_S - 7 + DAY_S,
        ),
        (
            {"items": {"data": [*period(NOW_S - 9, NOW_S)["data"], *period()["data"]]}},
            ENDS_S + DAY_S,
        ),
    ],
)
def test_a_tier_lasts_as_long_as_its_subscription(changes: dict[str, Any], expected_s: int):
    webhook = Webhook()
    webhook(event("customer.subscription.updated", subscription(**changes)))
    assert until_s(webhook) == expected_s
    state = webhook.ledger.subscriptions["sub_1"]
    assert (state.user_id, state.tier, state.plan) == ("jo.77", "pro", "pro_monthly")
    assert state.prompt_id == "prm_1"


@pytest.mark.parametrize(
    ("kind", "rank"),
    [("created", 0), ("updated", 1), ("paused", 1), ("resumed", 1), ("deleted", 2)],
)
def test_events_of_one_second_have_an_order(kind: str, rank: int):
    webhook = Webhook()
    webhook(event(f"customer.subscription.{kind}", subscription()))
    assert webhook.ledger.subscriptions["sub_1"].version == (NOW_S, rank)
    assert (until_s(webhook) == 0) is (kind == "deleted")


@pytest.mark.parametrize(
    "metadata", [None, {}, {"user_id": "jo.77"}, PACK.metadata("production"), {"tollkeeper": 7}]
)
@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("checkout.session.completed", session),
        ("checkout.session.async_payment_failed", session),
        ("customer.subscription.updated", subscription),
    ],
)
def test_what_is_not_ours_is_left_alone(
    kind: str, subject: Callable[..., dict[str, Any]], metadata: Any
):
    webhook = Webhook()
    assert webhook(event(kind, subject(metadata=metadata))).effect is Effect.NOT_OURS
    assert not webhook.ledger.granted
    assert not webhook.ledger.subscriptions


@pytest.mark.parametrize("kind", ["price.updated", "customer.created", "v2.core.thing"])
def test_other_events_do_nothing(kind: str):
    assert Webhook()({"id": "evt_1", "type": kind}).effect is Effect.UNKNOWN


@pytest.mark.parametrize("mode", ["subscription", "setup"])
def test_a_session_that_is_no_payment_grants_nothing(mode: str):
    webhook = Webhook()
    done = event("checkout.session.completed", session(mode=mode, metadata=PLAN.metadata(STAGE)))
    assert webhook(done).effect is Effect.NOTHING
    assert not webhook.ledger.granted


@pytest.mark.parametrize(
    ("field_name", "value"),
    [
        ("credit_nano", "-4000000000"),
        ("credit_nano", "0"),
        ("credit_nano", "4e9"),
        ("credit_nano", "1" * 16),
        ("credit_nano", "٤"),
        ("credit_nano", None),
        ("price_minor", ""),
        ("price_minor", "0"),
        ("currency", "USD"),
        ("currency", "usdollar"),
        ("expires_days", "0"),
        ("expires_days", "soon"),
        ("user_id", ""),
        ("user_id", "x" * 129),
        ("pack", "no such name!"),
        ("prompt_id", None),
    ],
)
def test_terms_that_make_no_sense_are_an_error_that_names_the_field(field_name: str, value: Any):
    webhook = Webhook()
    metadata: dict[str, Any] = PACK.metadata(STAGE)
    metadata[field_name] = value
    if value is None:
        del metadata[field_name]
    with pytest.raises(UnusableEventError, match=f"evt_.*{field_name}") as raised:
        webhook(event("checkout.session.completed", session(metadata=metadata)))
    assert "jo.77" not in str(raised.value)
    assert not webhook.ledger.granted


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"id": "evt_1"},
        {**COMPLETED, "data": None},
        {**COMPLETED, "data": {}},
        {**COMPLETED, "created": None},
        {**COMPLETED, "created": "1"},
        event("checkout.session.completed", session(id=None, payment_intent=None)),
        event("checkout.session.completed", session(amount_total=None)),
        event("checkout.session.completed", session(mode=None)),
        event("checkout.session.completed", session(payment_status=None)),
        event("customer.subscription.updated", subscription(status="quantum")),
        event("customer.subscription.updated", subscription(items={"data": []})),
        event("customer.subscription.updated", subscription(items=None)),
        event("customer.subscription.updated", subscription(items={"data": [{}]})),
        event("customer.subscription.updated", subscription(cancel_at="soon")),
        [],
    ],
)
def test_a_signed_event_that_cannot_be_used_is_an_error(broken: Any):
    webhook = Webhook()
    with pytest.raises(UnusableEventError):
        webhook(broken)
    assert not webhook.ledger.granted
    assert not webhook.ledger.subscriptions


@pytest.mark.parametrize("signature", [None, "", "bad"])
def test_a_forged_event_changes_nothing(signature: str | None):
    webhook = Webhook()
    with pytest.raises(ForgedEventError):
        webhook(COMPLETED, signature)
    assert not webhook.ledger.granted
    assert not webhook.archive.postings


def test_a_crash_between_ledger_and_archive_is_healed_by_the_next_delivery():
    webhook = Webhook()
    webhook.archive.down = True
    with pytest.raises(OSError, match="down"):
        webhook(COMPLETED)
    webhook.archive.down = False
    webhook.clock.now_ms += 5_000
    assert webhook(COMPLETED).effect is Effect.ALREADY_GRANTED
    assert len(webhook.archive.postings) == 4
    assert {line.at_ms for line in webhook.archive.postings.values()} == {NOW_MS}


def test_a_ledger_that_is_away_is_not_acknowledged():
    webhook = Webhook()
    webhook.ledger.down = True
    with pytest.raises(LedgerUnavailableError):
        webhook(COMPLETED)
    assert not webhook.archive.postings


def test_a_claim_that_came_before_its_purchase_takes_effect_with_it():
    webhook = Webhook()
    webhook.ledger.claims["pi_1"] = []
    for _ in range(2):
        webhook(COMPLETED)
    assert webhook.ledger.claimed_again == ["pi_1", "pi_1"]


def test_a_subscription_is_on_record_once():
    webhook = Webhook()
    for _ in range(3):
        webhook(event("customer.subscription.updated", subscription()))
    [posting] = webhook.archive.postings.values()
    assert posting.amount == 0
    assert posting.terms["tier"] == "pro"
    assert posting.terms["until_ms"] == until_s(webhook) * 1000


def test_the_customer_comes_on_record_with_what_they_bought():
    for bought in (
        event("checkout.session.completed", session(customer="cus_1", created=NOW_S - 60)),
        event("customer.subscription.created", subscription(customer="cus_1", created=NOW_S - 60)),
    ):
        webhook = Webhook()
        for _ in range(2):
            webhook(bought)
        assert webhook.ledger.customers == {"jo.77": "cus_1"}
        lines = [p for p in webhook.archive.postings.values() if p.kind == "customer"]
        assert [(p.terms["customer_id"], p.at_ms) for p in lines] == [("cus_1", NOW_MS - 60_000)]


def test_a_late_word_of_an_old_customer_replaces_no_new_one():
    webhook = Webhook()
    webhook.ledger.customers["jo.77"] = "cus_2"
    webhook(event("checkout.session.completed", session(customer="cus_1", created=NOW_S)))
    assert webhook.ledger.customers == {"jo.77": "cus_2"}


def test_a_kept_plan_holds_until_the_period_that_it_is_paid_for_ends():
    credit = replace(CREDIT_PLAN, plan="max", tier="max")
    metadata = PLAN.in_place_of(STAGE, KeptPlan(credit, ENDS_S))
    for begins_s, tier, next_plan in ((NOW_S, "max", "pro_monthly"), (ENDS_S, "pro", "")):
        webhook = Webhook()
        told = subscription(metadata=metadata, items=period(begins_s, begins_s + 30 * DAY_S))
        webhook(event("customer.subscription.updated", told))
        state = webhook.ledger.subscriptions["sub_1"]
        assert (state.tier, state.next_plan, state.prompt_id) == (tier, next_plan, "prm_1")


def test_a_purchase_that_is_told_late_counts_when_it_was_paid():
    webhook = Webhook(clock=Clock(NOW_MS + 2 * DAY_S * 1000))
    webhook(COMPLETED)
    granted = webhook.ledger.granted["pi_1"]
    assert (granted.paid_ms, granted.granted_ms) == (NOW_MS, webhook.clock())
