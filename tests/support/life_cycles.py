"""Lives of a purchase in six events of Stripe's each, and what must be in the books at the end.

The ends are written down here by hand, from what happened and not from how it is told: no event's
place in the row has a part in them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tollkeeper_core.domain.offers import AUTO_TOP_UP
from tollkeeper_core.domain.top_ups import Consent

from tests.support.upgrade import STAGE
from tests.support.webhook import (
    COMPLETED,
    CREDIT_PLAN,
    DAY_S,
    ENDS_S,
    NOW_S,
    PACK,
    charge,
    dispute,
    event,
    invoice,
    line,
    period,
    refund,
    session,
    subscription,
    warning,
)

USER = PACK.user_id
USD = 10**9
NEXT_S = ENDS_S + 30 * DAY_S


@dataclass(frozen=True)
class End:
    """What there must be: by lot what can be used, and beside it what is owed and was sold.

    ``net_paid``: minor units that stayed with the owner. ``frozen``: lots of which nothing may be
    used. ``subscriptions``: id -> (tier, plan, until).
    """

    lots: Mapping[str, int] = field(default_factory=dict)
    owed: int = 0
    sold: int = 0
    net_paid: int = 0
    frozen: frozenset[str] = frozenset()
    subscriptions: Mapping[str, tuple[str, str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class LifeCycle:
    """Six events, and their end. ``refunds``: those that Stripe lists of a payment."""

    name: str
    events: tuple[dict[str, Any], ...]
    end: End
    refunds: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)


def _plan(**more: Any) -> dict[str, Any]:
    return subscription(metadata=CREDIT_PLAN.metadata(STAGE), **more)


DELAYED = LifeCycle(
    "a bank debit that is paid days later, and one that is not",
    (
        event("checkout.session.completed", session(payment_status="unpaid")),
        event("payment_intent.succeeded", {"id": "pi_1", "metadata": PACK.metadata(STAGE)}),
        event("checkout.session.async_payment_succeeded", session(), NOW_S + 3 * DAY_S),
        event(
            "checkout.session.completed",
            session(id="cs_2", payment_intent="pi_2", payment_status="unpaid"),
            NOW_S + 60,
        ),
        event("payment_intent.payment_failed", {"id": "pi_2", "metadata": PACK.metadata(STAGE)}),
        event(
            "checkout.session.async_payment_failed",
            session(id="cs_2", payment_intent="pi_2", payment_status="unpaid"),
            NOW_S + 3 * DAY_S,
        ),
    ),
    End(lots={"pi_1": 4 * USD}, sold=4 * USD, net_paid=500),
)

_RENEWED = period(ENDS_S, NEXT_S)
_IN_2 = invoice(
    id="in_2", billing_reason="subscription_cycle", lines={"data": [line(1200, NEXT_S)]}
)

CANCELED = LifeCycle(
    "a plan whose renewal fails, is paid after all, and is then canceled at once",
    (
        event("invoice.paid", invoice()),
        event("invoice.payment_failed", _IN_2, ENDS_S + 3600),
        event(
            "customer.subscription.updated",
            _plan(status="past_due", items=_RENEWED),
            ENDS_S + 3600,
        ),
        event("invoice.paid", _IN_2, ENDS_S + 2 * DAY_S),
        event("customer.subscription.updated", _plan(items=_RENEWED), ENDS_S + 2 * DAY_S),
        event(
            "customer.subscription.deleted",
            _plan(status="canceled", items=_RENEWED),
            ENDS_S + 5 * DAY_S,
        ),
    ),
    End(
        lots={"in_1": 9 * USD, "in_2": 9 * USD},
        sold=18 * USD,
        net_paid=2400,
        subscriptions={"sub_1": ("pro", "pro_monthly", 0)},
    ),
)

ENDING = LifeCycle(
    "a plan that changes, falls behind, recovers, and is set to end with its period",
    (
        event("customer.subscription.created", _plan(status="incomplete")),
        event("customer.subscription.updated", _plan()),
        event(
            "customer.subscription.updated",
            subscription(metadata=replace(CREDIT_PLAN, plan="max").metadata(STAGE)),
            NOW_S + DAY_S,
        ),
        event(
            "customer.subscription.updated",
            subscription(
                metadata=replace(CREDIT_PLAN, plan="max").metadata(STAGE),
                status="past_due",
                items=_RENEWED,
            ),
            ENDS_S + 3600,
        ),
        event(
            "invoice.paid",
            {
                **_IN_2,
                "parent": {
                    "type": "subscription_details",
                    "subscription_details": {
                        "metadata": replace(CREDIT_PLAN, plan="max").metadata(STAGE)
                    },
                },
            },
            ENDS_S + DAY_S,
        ),
        event(
            "customer.subscription.updated",
            subscription(
                metadata=replace(CREDIT_PLAN, plan="max").metadata(STAGE),
                items=_RENEWED,
                cancel_at_period_end=True,
                cancel_at=NEXT_S,
            ),
            ENDS_S + 2 * DAY_S,
        ),
    ),
    End(
        lots={"in_2": 9 * USD},
        sold=9 * USD,
        net_paid=1200,
        subscriptions={"sub_1": ("pro", "max", NEXT_S * 1000)},
    ),
)

_REST = refund(id="re_2", amount=300)

REFUNDED = LifeCycle(
    "a refund of a part, and then of the rest",
    (
        COMPLETED,
        event("refund.created", refund(status="pending"), NOW_S + DAY_S),
        event("refund.updated", refund(), NOW_S + DAY_S + 5),
        event("charge.refunded", charge(), NOW_S + DAY_S + 5),
        event("refund.created", _REST, NOW_S + 2 * DAY_S),
        event("charge.refund.updated", _REST, NOW_S + 2 * DAY_S),
    ),
    End(),
    refunds={"pi_1": [refund(), _REST]},
)

FAILED_REFUND = LifeCycle(
    "a refund that the bank sends back, of one of two purchases",
    (
        COMPLETED,
        event("checkout.session.completed", session(id="cs_2", payment_intent="pi_2")),
        event("refund.created", refund(status="pending"), NOW_S + DAY_S),
        event("refund.updated", refund(), NOW_S + DAY_S + 5),
        event("refund.failed", refund(status="failed"), NOW_S + 9 * DAY_S),
        event("refund.created", refund(id="re_3", payment_intent="pi_2", amount=125)),
    ),
    End(lots={"pi_1": 4 * USD, "pi_2": 3 * USD}, sold=7 * USD, net_paid=875),
)

WON = LifeCycle(
    "a warning, and a dispute that is won",
    (
        COMPLETED,
        event("radar.early_fraud_warning.created", warning(), NOW_S + DAY_S),
        event("charge.dispute.created", dispute(), NOW_S + 2 * DAY_S),
        event("charge.dispute.funds_withdrawn", dispute(), NOW_S + 2 * DAY_S),
        event("charge.dispute.updated", dispute(status="under_review"), NOW_S + 3 * DAY_S),
        event("charge.dispute.closed", dispute(status="won"), NOW_S + 60 * DAY_S),
    ),
    End(lots={"pi_1": 4 * USD}, sold=4 * USD, net_paid=500),
)

LOST = LifeCycle(
    "a refund of a part, and a dispute of the whole that is lost",
    (
        COMPLETED,
        event("refund.created", refund(), NOW_S + DAY_S),
        event("charge.dispute.created", dispute(), NOW_S + 2 * DAY_S),
        event("charge.dispute.funds_withdrawn", dispute(), NOW_S + 2 * DAY_S),
        event("charge.dispute.updated", dispute(status="under_review"), NOW_S + 3 * DAY_S),
        event("charge.dispute.closed", dispute(status="lost"), NOW_S + 60 * DAY_S),
    ),
    End(),
)

FROZEN = LifeCycle(
    "two purchases, one warned of and one in dispute, and a refund of a part",
    (
        COMPLETED,
        event("checkout.session.completed", session(id="cs_2", payment_intent="pi_2")),
        event("radar.early_fraud_warning.created", warning(), NOW_S + DAY_S),
        event("charge.dispute.created", dispute(payment_intent="pi_2"), NOW_S + 2 * DAY_S),
        event(
            "charge.dispute.updated",
            dispute(payment_intent="pi_2", status="under_review"),
            NOW_S + 2 * DAY_S,
        ),
        event("refund.created", refund(amount=125), NOW_S + DAY_S),
    ),
    End(
        lots={"pi_1": 3 * USD, "pi_2": 4 * USD},
        sold=7 * USD,
        net_paid=875,
        frozen=frozenset(("pi_1", "pi_2")),
    ),
)

_AGREED = Consent(below_nano=USD, monthly_max=2)
_BACK = refund(payment_intent="pi_2", amount=125)


def _top_up(attempt: str) -> dict[str, str]:
    return {**PACK.metadata(STAGE), AUTO_TOP_UP: attempt}


TOPPED_UP = LifeCycle(
    "an automatic top-up, which fails, is paid the next time, and is refunded in part",
    (
        event(
            "checkout.session.completed",
            session(created=NOW_S, metadata={**PACK.metadata(STAGE), **_AGREED.metadata()}),
        ),
        event(
            "payment_intent.payment_failed",
            {
                "id": "pi_3",
                "amount": 500,
                "currency": "usd",
                "metadata": _top_up("pi_1.1"),
                "last_payment_error": {"code": "card_declined"},
            },
            NOW_S + DAY_S,
        ),
        event(
            "payment_intent.succeeded",
            {"id": "pi_2", "amount_received": 500, "metadata": _top_up("pi_1.2")},
            NOW_S + 2 * DAY_S,
        ),
        event("refund.created", {**_BACK, "status": "pending"}, NOW_S + 3 * DAY_S),
        event("refund.updated", _BACK, NOW_S + 3 * DAY_S + 5),
        event("charge.refund.updated", _BACK, NOW_S + 3 * DAY_S + 5),
    ),
    End(lots={"pi_1": 4 * USD, "pi_2": 3 * USD}, sold=7 * USD, net_paid=875),
)

LIFE_CYCLES = (DELAYED, CANCELED, ENDING, REFUNDED, FAILED_REFUND, WON, LOST, FROZEN, TOPPED_UP)
