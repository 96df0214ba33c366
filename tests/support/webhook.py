"""The webhook over any ledger, and Stripe's events as it gets them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tollkeeper_core.domain.billing import ForgedEventError
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.funnel import Step
from tollkeeper_core.domain.offers import PackTerms, PlanTerms
from tollkeeper_core.domain.purchases import Purchase, PurchaseLookupError
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.stripe_events.apply import Applied, ApplyStripeEvent
from tollkeeper_core.services.stripe_events.books import Books

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
CREDIT_PLAN = PlanTerms("jo.77", "prm_1", "pro_monthly", "pro", 1200, "usd", 9_000_000_000)

Event = dict[str, Any]


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
class MemoryPurchases:
    """Purchases at a Stripe of a few facts. ``down``: it does not answer."""

    purchases: dict[str, Purchase] = field(default_factory=dict)
    charges: dict[str, str] = field(default_factory=dict)
    refunds: dict[str, list[Event]] = field(default_factory=dict)
    down: bool = False
    reads: int = 0

    def paid_by(self, payment_intent_id: str) -> Purchase | None:
        self._read()
        return self.purchases.get(payment_intent_id)

    def payment_of(self, charge_id: str) -> str | None:
        self._read()
        return self.charges.get(charge_id)

    def refunds_of(self, payment_intent_id: str) -> Sequence[Mapping[str, Any]]:
        self._read()
        return self.refunds.get(payment_intent_id, [])

    def _read(self) -> None:
        self.reads += 1
        if self.down:
            raise PurchaseLookupError("Stripe: APIConnectionError")


@dataclass
class Webhook:
    """Deliver an event by calling it."""

    ledger: Any = field(default_factory=lambda: MemoryLedger(MemoryConfig(example_config())))
    archive: MemoryArchive = field(default_factory=MemoryArchive)
    bus: MemoryAnnouncements = field(default_factory=MemoryAnnouncements)
    stripe: MemoryPurchases = field(default_factory=MemoryPurchases)
    clock: Clock = field(default_factory=Clock)
    config: Config = field(default_factory=example_config)
    steps: list[Step] = field(default_factory=list)

    @property
    def service(self) -> ApplyStripeEvent:
        configs = ConfigCache(MemoryConfig(self.config).load, lambda: self.config, self.clock)
        books = Books(self.ledger, self.archive, self.bus, STAGE, self.clock, self.steps.extend)
        return ApplyStripeEvent(books, Signed(), configs, self.stripe)

    def __call__(self, event: Any, signature: str | None = "good") -> Applied:
        return self.service(json.dumps(event).encode(), signature)


def event(kind: str, subject: Event, created: int = NOW_S, **more: Any) -> Event:
    """As Stripe sends it."""
    return {
        "id": f"evt_{kind}_{created}",
        "object": "event",
        "type": kind,
        "created": created,
        "data": {"object": subject},
        **more,
    }


def session(**more: Any) -> Event:
    """A Checkout Session of the starter pack, paid."""
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


def period(begins_s: int = NOW_S, ends_s: int = ENDS_S) -> Event:
    """The items of a subscription in this period."""
    return {"data": [{"current_period_start": begins_s, "current_period_end": ends_s}]}


def subscription(**more: Any) -> Event:
    """A subscription to the monthly plan, active."""
    return {
        "id": "sub_1",
        "object": "subscription",
        "status": "active",
        "cancel_at": None,
        "cancel_at_period_end": False,
        "items": period(),
        "metadata": PLAN.metadata(STAGE),
        **more,
    }


def line(amount: int = 1200, ends_s: int = ENDS_S, *, proration: bool = False) -> Event:
    """A line of an invoice: the plan for a period."""
    details = {"subscription": "sub_1", "subscription_item": "si_1", "proration": proration}
    return {
        "object": "line_item",
        "amount": amount,
        "period": {"start": ends_s - 30 * DAY_S, "end": ends_s},
        "parent": {"type": "subscription_item_details", "subscription_item_details": details},
    }


def invoice(terms: PlanTerms = CREDIT_PLAN, **more: Any) -> Event:
    """The first invoice of the monthly plan, paid."""
    details = {"subscription": "sub_1", "metadata": terms.metadata(STAGE)}
    return {
        "id": "in_1",
        "object": "invoice",
        "billing_reason": "subscription_create",
        "amount_paid": 1200,
        "amount_due": 1200,
        "attempt_count": 1,
        "currency": "usd",
        "lines": {"object": "list", "data": [line()]},
        "parent": {"type": "subscription_details", "subscription_details": details},
        **more,
    }


def refund(**more: Any) -> Event:
    """Two of the five dollars, given back."""
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 200,
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "currency": "usd",
        "created": NOW_S + DAY_S,
        "status": "succeeded",
        **more,
    }


def charge(**more: Any) -> Event:
    """The charge of the starter pack: it carries its payment intent's metadata."""
    return {
        "id": "ch_1",
        "object": "charge",
        "amount": 500,
        "amount_refunded": 200,
        "currency": "usd",
        "payment_intent": "pi_1",
        "metadata": PACK.metadata(STAGE),
        **more,
    }


def dispute(**more: Any) -> Event:
    """A chargeback of the whole pack."""
    return {
        "id": "dp_1",
        "object": "dispute",
        "amount": 500,
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "currency": "usd",
        "reason": "fraudulent",
        "status": "needs_response",
        **more,
    }


def warning(**more: Any) -> Event:
    """An early fraud warning."""
    return {
        "id": "issfr_1",
        "object": "radar.early_fraud_warning",
        "actionable": True,
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "created": NOW_S + DAY_S,
        "fraud_type": "unauthorized_use_of_card",
        **more,
    }


COMPLETED = event("checkout.session.completed", session())
