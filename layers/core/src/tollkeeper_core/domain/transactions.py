"""Money that moved at Stripe: its balance transactions, as far as they are of our users.

A transaction is immutable and has the account's own currency: what was charged in another one is
there as what Stripe pays out for it, to the cent. Source: docs.stripe.com/api/balance_transactions.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Protocol, Self

#: What is charged; all others give some of it back, or take that back again.
CHARGE = "charge"
#: Of Stripe's reporting categories those that a purchase can come to; each stands for several types
#: (charge and payment, refund and payment_refund). Fees for anything else, payouts, transfers are
#: of no user. Source: docs.stripe.com/reports/reporting-categories.
CATEGORIES = frozenset(
    (
        *(CHARGE, "charge_failure", "partial_capture_reversal"),
        *("refund", "refund_failure", "dispute", "dispute_reversal"),
    )
)


@dataclass(frozen=True, slots=True)
class Transaction:
    """``amount_minor``, ``fee_minor``: as Stripe has them, a refund is negative. ``metadata``: the
    charge's own; ``payment_intent_id``, ``charge_id``: what it is about, where Stripe says.
    """

    id: str
    category: str
    source_id: str
    amount_minor: int
    fee_minor: int
    currency: str
    created_s: int
    metadata: Mapping[str, str]
    payment_intent_id: str | None
    charge_id: str | None

    @property
    def month(self) -> str:
        """The UTC month by which it is remembered: no change of a setting can move it."""
        return utc_month(self.created_s)


@dataclass(frozen=True, slots=True)
class Movement:
    """A transaction of a user's, in the periods in which it counts."""

    txn_id: str
    user_id: str
    category: str
    source_id: str
    amount_minor: int
    fee_minor: int
    currency: str
    at_ms: int
    period_ids: tuple[str, str, str]

    @property
    def utc_month(self) -> str:
        """As Transaction.month."""
        return utc_month(self.at_ms // 1000)

    def word(self) -> str:
        """All of it as text."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def of_word(cls, text: str) -> Self:
        """The inverse."""
        fields = json.loads(text)
        day, week, month = fields.pop("period_ids")
        return cls(**fields, period_ids=(day, week, month))


def utc_month(at_s: int) -> str:
    """Epoch seconds -> ``2026-11``."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m}"


class TransactionSource(Protocol):
    """The provider's list. Raises PurchaseLookupError while it is read."""

    def transactions(self, since_s: int) -> Iterator[Transaction]:
        """Those of CATEGORIES that came about since, newest first."""
        ...


class MoneyBooks(Protocol):
    """The books, as far as money goes into them. Raises LedgerUnavailableError."""

    def on_record(self, transactions: Sequence[Transaction]) -> set[str]:
        """Ids of those that need no second look. One request."""
        ...

    def book(self, movements: Sequence[Movement]) -> list[Movement | None]:
        """Book each once, in one request. Answers what was told of it first; None where that is on
        record already. Raises NothingPublishedError.
        """
        ...

    def recorded(self, months_and_ids: Sequence[tuple[str, str]]) -> None:
        """These (Transaction.month, id) are on record, or of nobody's: they need no second look."""
        ...
