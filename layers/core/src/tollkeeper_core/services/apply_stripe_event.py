"""One event of Stripe's, applied to the ledger and recorded, once.

What counts is the purchase, not the event: credits are keyed by the Checkout Session, a tier by the
subscription and the event's time. So any order and any number of deliveries give the same ledger,
and an error is safe to answer with "again".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tollkeeper_core.domain.billing import SignedEvents
from tollkeeper_core.domain.ledger import Grant, Granted, Revoke, SubscriptionState
from tollkeeper_core.domain.offers import MARK, PackTerms, PlanTerms, TermsError
from tollkeeper_core.domain.ports import Archive, Clock, Ledger
from tollkeeper_core.domain.postings import (
    grant_postings,
    revocation_postings,
    subscription_postings,
)

_DAY_MS = 86_400_000

#: A renewal's event may be late (Stripe draws up the invoice about an hour after the period's end,
#: and retries a lost event for days): the tier outlives the period by this.
_RENEWAL_GRACE_MS = _DAY_MS

#: The order of events that carry the same second.
_SUBSCRIPTION_KINDS = {
    "customer.subscription.created": 0,
    "customer.subscription.updated": 1,
    "customer.subscription.paused": 1,
    "customer.subscription.resumed": 1,
    "customer.subscription.deleted": 2,
}
_RUNNING = frozenset(("active", "trialing"))
_OVER = frozenset(("canceled", "unpaid", "incomplete", "incomplete_expired", "paused"))


class Effect(StrEnum):
    """What an event did."""

    GRANTED = "granted"
    ALREADY_GRANTED = "already_granted"
    SUBSCRIPTION = "subscription"
    NOT_PAID = "not_paid"
    NOT_OURS = "not_ours"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Applied:
    """The event's id and type, and what it did."""

    event_id: str
    event_type: str
    effect: Effect


class UnusableEventError(Exception):
    """An event that is Stripe's and ours, and that this code cannot apply: somebody may have paid.

    Its text names the event and the field, and nobody's data.
    """


@dataclass(frozen=True, slots=True)
class ApplyStripeEvent:
    """Verifies, applies, records. ``stage``: only purchases that were begun in it are ours."""

    ledger: Ledger
    archive: Archive
    events: SignedEvents
    stage: str
    clock: Clock

    def __call__(self, body: bytes, signature: str | None) -> Applied:
        """Apply the event in these exact bytes; when this returns, its effect is on record.

        Raises ForgedEventError (nothing was read), UnusableEventError, LedgerUnavailableError, and
        what the archive raises.
        """
        try:
            event = self.events.open(body, signature)
        except ValueError:
            raise UnusableEventError("a signed body is no JSON object") from None
        event_id, event_type = _text(event, "id"), _text(event, "type")
        apply = self._action(event_type)
        if apply is None:
            return Applied(event_id, event_type, Effect.NOTHING)
        try:
            subject = _mapping(_mapping(event, "data"), "object")
            metadata = subject.get("metadata")
            if not isinstance(metadata, Mapping) or metadata.get(MARK) != self.stage:
                return Applied(event_id, event_type, Effect.NOT_OURS)
            return Applied(event_id, event_type, apply(event, subject, metadata))
        except (TermsError, UnusableEventError) as error:
            raise UnusableEventError(f"{event_type} {event_id}: {error}") from None

    def _action(self, event_type: str) -> "_Action | None":
        if event_type in _SUBSCRIPTION_KINDS:
            return self._subscription
        actions: dict[str, _Action] = {
            "checkout.session.completed": self._session,
            "checkout.session.async_payment_succeeded": self._session,
            "checkout.session.async_payment_failed": self._unpaid,
        }
        return actions.get(event_type)

    def _session(
        self, event: Mapping[str, Any], session: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> Effect:
        """Credits for a paid session. A plan's comes as a subscription, with its own events."""
        if _text(session, "mode") != "payment":
            return Effect.NOTHING
        if _text(session, "payment_status") not in {"paid", "no_payment_required"}:
            return Effect.NOT_PAID
        terms = PackTerms.read(metadata)
        # From the event's time, not the clock's: a delivery that comes days late gives no more.
        paid_ms = _seconds(event, "created") * 1000
        granted = self.ledger.grant(
            Grant(
                user_id=terms.user_id,
                purchase_id=_text(session, "id"),
                pack=terms.pack,
                granted_nano=terms.credit_nano,
                paid_minor=terms.price_minor,
                currency=terms.currency,
                expires_ms=paid_ms + terms.expires_days * _DAY_MS if terms.expires_days else None,
                prompt_id=terms.prompt_id,
                now_ms=self.clock(),
            )
        )
        # Also when it was granted before: that delivery may have died between the two.
        self.archive.write(grant_postings(granted))
        if granted.refunded_minor:
            self._revoke_early_refund(granted)
        return Effect.ALREADY_GRANTED if granted.replayed else Effect.GRANTED

    def _revoke_early_refund(self, granted: Granted) -> None:
        """The refund came before the purchase that it refunds: it takes effect now."""
        revoked = self.ledger.revoke(
            Revoke(granted.user_id, granted.purchase_id, granted.refunded_minor, self.clock())
        )
        if revoked is not None:
            self.archive.write(revocation_postings(revoked))

    def _unpaid(self, *_: Mapping[str, Any]) -> Effect:
        return Effect.NOT_PAID

    def _subscription(
        self, event: Mapping[str, Any], subscription: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> Effect:
        """The tier, for as long as the subscription is paid or about to be."""
        terms = PlanTerms.read(metadata)
        kind = _SUBSCRIPTION_KINDS[_text(event, "type")]
        state = SubscriptionState(
            user_id=terms.user_id,
            subscription_id=_text(subscription, "id"),
            plan=terms.plan,
            tier=terms.tier,
            until_ms=0 if kind == 2 else _until_ms(subscription),
            version=(_seconds(event, "created"), kind),
            prompt_id=terms.prompt_id,
            now_ms=self.clock(),
        )
        self.ledger.apply_subscription(state)
        self.archive.write(subscription_postings(state))
        return Effect.SUBSCRIPTION


_Action = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], Effect]


def _until_ms(subscription: Mapping[str, Any]) -> int:
    """When the tier ends if nothing more is heard; 0 when it has ended.

    ``past_due``: Stripe is still trying to collect (docs.stripe.com/billing/subscriptions/overview,
    Subscription statuses): to the period's end, and not past it. One that is set to end ends then.
    """
    status = _text(subscription, "status")
    if status in _OVER:
        return 0
    ends_ms = _period_end(subscription) * 1000
    if status in _RUNNING:
        grace_ms = 0 if subscription.get("cancel_at_period_end") else _RENEWAL_GRACE_MS
        until_ms = ends_ms + grace_ms
    elif status == "past_due":
        until_ms = ends_ms
    else:
        raise UnusableEventError("subscription.status is not known")
    if subscription.get("cancel_at") is not None:
        until_ms = min(until_ms, _seconds(subscription, "cancel_at") * 1000)
    return until_ms


def _period_end(subscription: Mapping[str, Any]) -> int:
    """Of its items since API version 2025-03-31.basil, of the subscription itself before.

    The version of an event is the endpoint's, not this client's.
    """
    if subscription.get("current_period_end") is not None:
        return _seconds(subscription, "current_period_end")
    items = _mapping(subscription, "items").get("data")
    if not isinstance(items, list) or not items:
        raise UnusableEventError("subscription.items is empty")
    return max(_seconds(item, "current_period_end") for item in items)


def _text(source: Mapping[str, Any], key: str) -> str:
    value = source.get(key)
    if not isinstance(value, str) or not value:
        raise UnusableEventError(f"{key} is missing or no text")
    return value


def _seconds(source: Mapping[str, Any], key: str) -> int:
    value = source.get(key)
    if type(value) is not int or value < 0:
        raise UnusableEventError(f"{key} is missing or no time")
    return value


def _mapping(source: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = source.get(key)
    if not isinstance(value, Mapping):
        raise UnusableEventError(f"{key} is missing or no object")
    return value
