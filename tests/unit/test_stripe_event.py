"""Stripe's events, applied: once, in any order, only when paid, and only ours."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from tollkeeper_core.domain.billing import ForgedEventError
from tollkeeper_core.domain.ledger import LedgerUnavailableError
from tollkeeper_core.domain.offers import PackTerms, PlanTerms
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.stripe_events.apply import Applied, ApplyStripeEvent
from tollkeeper_core.services.stripe_events.books import Books
from tollkeeper_core.services.stripe_events.event import Effect, UnusableEventError

from tests.support.memory_ledger import (
    MemoryAnnouncements,
    MemoryArchive,
    MemoryConfig,
    MemoryLedger,
)
from tests.support.upgrade import NOW_MS, STAGE, Clock, example_config

NOW_S = NOW_MS // 1000
DAY_S = 86_400
ENDS_S = NOW_S + 30 * DAY_S
PACK = PackTerms("jo.77", "prm_1", "starter", 4_000_000_000, 500, "usd", 365)
PLAN = PlanTerms("jo.77", "prm_1", "pro_monthly", "pro", 1200, "usd")


class Signed:
    """Takes "good" for a signature."""

    def open(self, body: bytes, signature: str | None) -> dict[str, Any]:
        if signature != "good":
            raise ForgedEventError("forged")
        event = json.loads(body)
        if not isinstance(event, dict):
            raise ValueError("no object")
        return event


@dataclass
class Webhook:
    ledger: MemoryLedger = field(
        default_factory=lambda: MemoryLedger(MemoryConfig(example_config()))
    )
    archive: MemoryArchive = field(default_factory=MemoryArchive)
    bus: MemoryAnnouncements = field(default_factory=MemoryAnnouncements)
    clock: Clock = field(default_factory=Clock)

    def __call__(self, event: Any, signature: str | None = "good") -> Applied:
        configs = ConfigCache(self.ledger.configs, lambda: self.ledger.configs.config, self.clock)
        books = Books(self.ledger, self.archive, self.bus, STAGE, self.clock)
        apply = ApplyStripeEvent(books, Signed(), configs)
        return apply(json.dumps(event).encode(), signature)


def event(kind: str, subject: dict[str, Any], created: int = NOW_S, **more: Any) -> dict[str, Any]:
    return {
        "id": f"evt_{kind}_{created}",
        "object": "event",
        "type": kind,
        "created": created,
        "data": {"object": subject},
        **more,
    }


def session(**more: Any) -> dict[str, Any]:
    return {
        "id": "cs_1",
        "object": "checkout.session",
        "mode": "payment",
        "payment_status": "paid",
        "payment_intent": "pi_1",
        "amount_total": 500,
        "currency": "usd",
        "metadata": PACK.metadata(STAGE),
        **more,
    }


def subscription(**more: Any) -> dict[str, Any]:
    return {
        "id": "sub_1",
        "object": "subscription",
        "status": "active",
        "cancel_at": None,
        "cancel_at_period_end": False,
        "items": {"data": [{"current_period_start": NOW_S, "current_period_end": ENDS_S}]},
        "metadata": PLAN.metadata(STAGE),
        **more,
    }


COMPLETED = event("checkout.session.completed", session())


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
            {
                "items": {
                    "data": [
                        {"current_period_start": NOW_S - 9, "current_period_end": NOW_S},
                        {"current_period_start": NOW_S, "current_period_end": ENDS_S},
                    ]
                }
            },
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


def test_a_refund_that_came_before_its_purchase_is_revoked_with_it():
    webhook = Webhook()
    webhook.ledger.early_refunds["pi_1"] = 250
    webhook(COMPLETED)
    lots = [p.amount for p in webhook.archive.postings.values() if ":lot:" in p.account]
    assert sorted(lots) == [-2 * 10**9, 4 * 10**9]


def test_a_subscription_is_on_record_once():
    webhook = Webhook()
    for _ in range(3):
        webhook(event("customer.subscription.updated", subscription()))
    [posting] = webhook.archive.postings.values()
    assert posting.amount == 0
    assert posting.terms["tier"] == "pro"
    assert posting.terms["until_ms"] == until_s(webhook) * 1000
