"""Subscriptions: a tier, for as long as the plan is paid or about to be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypedDict

from tollkeeper_core.domain.config import Settings
from tollkeeper_core.domain.movements import SubscriptionState
from tollkeeper_core.domain.offers import KeptPlan, PlanTerms
from tollkeeper_core.domain.periods import day_of_month, periods_at
from tollkeeper_core.services.stripe_events.books import Books
from tollkeeper_core.services.stripe_events.checkout import DAY_MS
from tollkeeper_core.services.stripe_events.event import (
    Action,
    Effect,
    Event,
    Fields,
    UnusableEventError,
    listed,
    mapping,
    number,
    ours,
    text,
)

#: A renewal's event may be late (Stripe draws up the invoice about an hour after the period's end,
#: and retries a lost event for days): the tier outlives the period by this.
_RENEWAL_GRACE_MS = DAY_MS

#: The order of events that carry the same second.
_RANKS = {
    "customer.subscription.created": 0,
    "customer.subscription.updated": 1,
    "customer.subscription.paused": 1,
    "customer.subscription.resumed": 1,
    "customer.subscription.deleted": 2,
}
_NOT_BEGUN = frozenset(("incomplete", "incomplete_expired"))
_RUNNING = frozenset(("active", "trialing"))
_OVER = _NOT_BEGUN | {"canceled", "unpaid", "paused"}


class _Month(TypedDict):
    """Of SubscriptionState."""

    anchor_day: int
    month_until_ms: int


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """``settings``: how long an unpaid plan keeps its tier, and where days begin."""

    books: Books
    settings: Callable[[], Settings]

    def actions(self) -> Mapping[str, Action]:
        """By type of event."""
        return dict.fromkeys(_RANKS, self.changed)

    def changed(self, event: Event) -> Effect:
        """The tier, by the terms that the subscription has now: a change of plan replaces them."""
        metadata = ours(event.subject.get("metadata"), self.books.stage)
        if metadata is None:
            return Effect.NOT_OURS
        terms, next_plan = PlanTerms.read(metadata), ""
        kept = KeptPlan.read(metadata)
        if kept is not None and _period(event.subject)[0] < kept.until_s:
            terms, next_plan = kept.terms, terms.plan
        rank = _RANKS[event.type]
        state = SubscriptionState(
            user_id=terms.user_id,
            subscription_id=text(event.subject, "id"),
            plan=terms.plan,
            tier=terms.tier,
            until_ms=0 if rank == 2 else self._until_ms(event.subject),
            version=(event.created_s, rank),
            prompt_id=terms.prompt_id,
            now_ms=self.books.clock(),
            next_plan=next_plan,
            **self._month(event),
        )
        effect = self.books.subscribe(state, text(event.subject, "status"))
        self.books.keep_customer(terms.user_id, event.subject)
        return effect

    def _month(self, event: Event) -> _Month:
        """The billing day, and until when it counts if another one comes in its place.

        That is to the end of the month in which this was said, where the plan was paid to beyond:
        whoever ends one early, or changes its interval, has had the allowance of that month.
        """
        subscription, at_ms = event.subject, event.created_s * 1000
        anchor_s = subscription.get("billing_cycle_anchor")
        if type(anchor_s) is not int:
            return {"anchor_day": 0, "month_until_ms": 0}
        calendar = self.settings().calendar
        day = day_of_month(calendar, anchor_s * 1000)
        begun = text(subscription, "status") not in _NOT_BEGUN
        if not begun or at_ms >= _period(subscription)[1] * 1000:
            return {"anchor_day": day, "month_until_ms": 0}
        month = periods_at(calendar, at_ms, day).monthly
        return {"anchor_day": day, "month_until_ms": month.resets_ms}

    def _until_ms(self, subscription: Fields) -> int:
        """When the tier ends if nothing more is heard; 0 when it has ended.

        Statuses: docs.stripe.com/billing/subscriptions/overview. ``past_due``: Stripe is still
        trying to collect for the period that has begun, so the grace counts from its beginning.
        """
        status = text(subscription, "status")
        if status in _OVER or _collects_nothing(subscription):
            return 0
        begins_ms, ends_ms = (seconds * 1000 for seconds in _period(subscription))
        if status in _RUNNING:
            until_ms = ends_ms
            if not subscription.get("cancel_at_period_end"):
                until_ms += _RENEWAL_GRACE_MS
        elif status == "past_due":
            until_ms = min(begins_ms + self.settings().past_due_grace_days * DAY_MS, ends_ms)
        else:
            raise UnusableEventError("subscription.status is not known")
        if subscription.get("cancel_at") is not None:
            until_ms = min(until_ms, number(subscription, "cancel_at") * 1000)
        return until_ms


def _collects_nothing(subscription: Fields) -> bool:
    """Paused by the owner as "unable to provide services": invoices are void, and so is the tier.

    The two other ways to pause collection go on providing (docs.stripe.com/billing/subscriptions/
    pause-payment).
    """
    pause = subscription.get("pause_collection")
    return isinstance(pause, Mapping) and pause.get("behavior") == "void"


def _period(subscription: Fields) -> tuple[int, int]:
    """Of its items since API version 2025-03-31.basil, of the subscription itself before.

    The version of an event is the endpoint's, not this client's.
    """
    items = [subscription]
    if subscription.get("current_period_end") is None:
        items = list(listed({"items": mapping(subscription, "items")}, "items"))
        if not items:
            raise UnusableEventError("subscription.items is empty")
    return (
        max(number(item, "current_period_start") for item in items),
        max(number(item, "current_period_end") for item in items),
    )
