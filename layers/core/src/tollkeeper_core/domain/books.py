"""The owner's books: what each user cost and brought in, by calendar month (docs/profit.md).

An entry is a sum: it grows with every call and every transaction of its user in its month. The
counters hold it as a field of the month's hash, the archive as the postings that it is the sum of.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol, Self

from tollkeeper_core.domain.postings import NANO_USD, Posting


class EntryKind(StrEnum):
    """``cost``: AI spend, nano-USD. The others: minor units of what Stripe pays out in; ``fee`` is
    Stripe's, ``refunded`` what went back by refunds and lost disputes.
    """

    COST = "cost"
    PAID = "paid"
    REFUNDED = "refunded"
    FEE = "fee"


@dataclass(frozen=True, slots=True)
class Entry:
    """``month``: ``m:2026-11``, by the owner's time zone. ``of``: the tier that decided the calls,
    or the currency. ``amount``: signed; only a refund that failed can make one negative.
    """

    month: str
    kind: EntryKind
    of: str
    user_id: str
    amount: int

    @property
    def field(self) -> str:
        """Its name in the hash of its month. Only a user's id may hold a bar, and comes last."""
        return f"{self.kind}|{self.of}|{self.user_id}"

    @classmethod
    def of_field(cls, month: str, field: str, amount: int) -> Self:
        """The inverse."""
        kind, of, user_id = field.split("|", 2)
        return cls(month, EntryKind(kind), of, user_id, amount)


#: A month's books are compared with the record as long as they surely live: from its beginning on,
#: for they may end 800 days after the first call of the month (redis_keys.BOOKS_S).
_SURE_MS = 798 * 86_400_000


def still_live(month: str, now_ms: int) -> bool:
    """Whether a month's books cannot have ended yet."""
    begins = datetime.fromisoformat(f"{month.removeprefix('m:')}-01").replace(tzinfo=UTC)
    return now_ms - int(begins.timestamp()) * 1000 < _SURE_MS


class BooksSource(Protocol):
    """The books, from wherever they are kept."""

    def entries(self, months: Sequence[str]) -> Iterator[Entry]:
        """Of these months, each (month, kind, of, user) once, in any order."""
        ...


#: What a line on one of a user's accounts adds to, and with which sign.
_OF_MONEY = {
    "received": (EntryKind.PAID, 1),
    "returned": (EntryKind.REFUNDED, -1),
    "fees": (EntryKind.FEE, -1),
}


def entry_of(line: Posting) -> Entry | None:
    """What a line of the record adds to the books."""
    if line.kind == "settle" and line.asset == NANO_USD and line.account.endswith(":usage"):
        month = line.period_ids[2]
        return Entry(month, EntryKind.COST, line.terms["tier"], line.user_id, line.amount)
    if line.kind == "money" and line.amount:
        kind, sign = _OF_MONEY.get(line.account.rpartition(":")[2], (None, 0))
        if kind is not None:
            currency = line.asset.removesuffix("_minor")
            return Entry(line.period_ids[2], kind, currency, line.user_id, sign * line.amount)
    return None
