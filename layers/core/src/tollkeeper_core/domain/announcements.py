"""What the owner is told of, for uses of their own (docs/events.md).

An announcement comes at least once: whoever acts on one deduplicates by its ``id``, which is the
same for the same fact however often it is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tollkeeper_core.domain.funnel import Step
from tollkeeper_core.domain.money import format_usd
from tollkeeper_core.domain.movements import Granted, Settlement, SubscriptionState


@dataclass(frozen=True, slots=True)
class Announcement:
    """``kind`` such as ``credits.granted``; ``at_ms``: when it came about; ``detail``: JSON."""

    id: str
    kind: str
    user_id: str
    at_ms: int
    detail: Mapping[str, object]


class AnnouncementError(Exception):
    """It was not announced: it has to be tried again."""


def granted(answer: Granted) -> Announcement:
    """Credits were bought, or came with a plan."""
    return Announcement(
        id=f"credits.granted:{answer.purchase_id}",
        kind="credits.granted",
        user_id=answer.user_id,
        at_ms=answer.granted_ms,
        detail={
            "purchase_id": answer.purchase_id,
            "pack": answer.pack,
            "credit_usd": format_usd(answer.granted_nano),
            "repaid_usd": format_usd(answer.repaid_nano),
            "paid_minor": answer.paid_minor,
            "currency": answer.currency,
            "expires_at": None if answer.expires_ms is None else iso(answer.expires_ms),
        },
    )


def limit_reached(step: Step) -> Announcement:
    """A user was stopped at a limit, for the first time in its period."""
    return Announcement(
        id=f"limit.reached:{step.prompt_id}",
        kind="limit.reached",
        user_id=step.user_id,
        at_ms=step.at_ms,
        detail={
            "prompt_id": step.prompt_id,
            "window": step.trigger,
            "tier": step.tier,
            "resets_at": iso(step.resets_ms),
        },
    )


def threshold_crossed(settled: Settlement, window: str, percent: int) -> Announcement:
    """What a user has used came to so many percent of a limit."""
    return Announcement(
        id=f"threshold.crossed:{settled.user_id}:{settled.event_id}:{window}",
        kind="threshold.crossed",
        user_id=settled.user_id,
        at_ms=settled.settled_ms,
        detail={"window": window, "percent": percent, "tier": settled.tier},
    )


def subscription_changed(state: SubscriptionState, status: str) -> Announcement:
    """A subscription stands as Stripe said at ``at``; a later ``at`` counts."""
    created_s, rank = state.version
    return Announcement(
        id=f"subscription.changed:{state.subscription_id}:{created_s}:{rank}:{status}"
        f":{state.plan}:{state.until_ms}",
        kind="subscription.changed",
        user_id=state.user_id,
        at_ms=created_s * 1000,
        detail={
            "subscription_id": state.subscription_id,
            "status": status,
            "plan": state.plan,
            "tier": state.tier,
            "until": iso(state.until_ms) if state.until_ms else None,
        },
    )


def payment_failed(
    attempt: str, *, user_id: str, offer: str, amount_minor: int, currency: str, at_s: int
) -> Announcement:
    """A payment was tried and failed. ``attempt`` names the one attempt."""
    return Announcement(
        id=f"payment.failed:{attempt}",
        kind="payment.failed",
        user_id=user_id,
        at_ms=at_s * 1000,
        detail={"offer": offer, "amount_minor": amount_minor, "currency": currency},
    )


def dispute_told(
    kind: str,
    dispute_id: str,
    *,
    user_id: str,
    purchase_id: str,
    amount_minor: int,
    currency: str,
    status: str,
    reason: str,
    at_s: int,
) -> Announcement:
    """A bank wants a payment back (``dispute.opened``), or has decided (``dispute.closed``)."""
    return Announcement(
        id=f"{kind}:{dispute_id}",
        kind=kind,
        user_id=user_id,
        at_ms=at_s * 1000,
        detail={
            "dispute_id": dispute_id,
            "purchase_id": purchase_id,
            "amount_minor": amount_minor,
            "currency": currency,
            "status": status,
            "reason": reason,
        },
    )


def iso(at_ms: int) -> str:
    """RFC 3339, UTC, to the millisecond."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
