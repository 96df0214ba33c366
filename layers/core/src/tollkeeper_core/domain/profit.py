"""What somebody brought in and cost: exact sums, and their value in US dollars.

Profit is what was paid, less what was refunded, less Stripe's fees, less AI spend. AI spend is in
US dollars; what Stripe pays out in another currency is converted by the owner's own rate or not at
all: then it stands by itself, and is no part of any figure in dollars.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Self

from tollkeeper_core.domain.books import Entry, EntryKind
from tollkeeper_core.domain.money import NANO_PER_USD, minor_digits

#: What one of a currency (not of its minor unit) is worth in US dollars.
Rates = Mapping[str, Fraction]

_USD: Rates = {"usd": Fraction(1)}


def rates_of(usd_per: Mapping[str, str]) -> Rates:
    """From the configuration's decimals (settings.report.usd_per)."""
    return {**{currency: Fraction(text) for currency, text in usd_per.items()}, **_USD}


@dataclass(slots=True)
class Sums:
    """``cost_nano``: AI spend, nano-USD. The rest: minor units by currency."""

    cost_nano: int = 0
    paid_minor: Counter[str] = field(default_factory=Counter)
    refunded_minor: Counter[str] = field(default_factory=Counter)
    fee_minor: Counter[str] = field(default_factory=Counter)

    def add(self, entry: Entry) -> None:
        """One more entry of the books."""
        if entry.kind is EntryKind.COST:
            self.cost_nano += entry.amount
        elif entry.kind is EntryKind.PAID:
            self.paid_minor[entry.of] += entry.amount
        elif entry.kind is EntryKind.REFUNDED:
            self.refunded_minor[entry.of] += entry.amount
        else:
            self.fee_minor[entry.of] += entry.amount

    def plus(self, other: Self) -> None:
        """All that another holds."""
        self.cost_nano += other.cost_nano
        for mine, its in (
            (self.paid_minor, other.paid_minor),
            (self.refunded_minor, other.refunded_minor),
            (self.fee_minor, other.fee_minor),
        ):
            for currency, minor in its.items():
                mine[currency] += minor

    @property
    def net_minor(self) -> dict[str, int]:
        """What is left of what was paid, by currency: after refunds and fees."""
        currencies = sorted({*self.paid_minor, *self.refunded_minor, *self.fee_minor})
        return {
            c: self.paid_minor[c] - self.refunded_minor[c] - self.fee_minor[c] for c in currencies
        }

    def profit_usd(self, rates: Rates) -> Fraction:
        """US dollars, exact; without the currencies that have no rate."""
        return in_usd(self.net_minor, rates) - Fraction(self.cost_nano, NANO_PER_USD)


def in_usd(minor: Mapping[str, int], rates: Rates) -> Fraction:
    """Amounts in minor units -> US dollars, exact; those without a rate count nothing."""
    return sum(
        (
            rates[currency] * Fraction(amount, 10 ** minor_digits(currency))
            for currency, amount in minor.items()
            if currency in rates
        ),
        Fraction(0),
    )


def sums_by_user(entries: Iterable[Entry]) -> dict[str, Sums]:
    """Everybody in the books, with what they come to."""
    users: dict[str, Sums] = {}
    for entry in entries:
        users.setdefault(entry.user_id, Sums()).add(entry)
    return users
