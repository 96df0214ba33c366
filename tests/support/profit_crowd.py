"""Simulated users who call, pay and get money back, with the count that the crowd keeps itself.

The crowd's own figures come from no code of the product's: months by the clock of the time zone,
sums in whole numbers.
"""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from tollkeeper_core.domain.transactions import Transaction

from tests.support.money import transaction

DAY_MS = 86_400_000
_NANO = 10**9


@dataclass(frozen=True)
class Call:
    """One AI call. ``tier``: what the app says with its check; "" has no check at all."""

    event: str
    user: str
    tier: str
    nano: int
    at_ms: int


@dataclass
class Crowd:
    """``cost``: nano-USD by month, tier and user; ``money``: minor units by month, kind, currency
    and user.
    """

    users: int
    first_ms: int
    days: int
    zone: str
    seed: int
    cost: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    money: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    calls: list[Call] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        for n in range(self.users):
            self._live(chance, f"user|{n} é")

    def _live(self, chance: random.Random, user: str) -> None:
        heavy = chance.random() < 0.05
        # Who was once said to be of a tier is so from then on, so a user has one or the other.
        tier = chance.choice(("", "", "pro"))
        for _ in range(chance.choice((0, 1, 1, 2))):
            nano = int(chance.expovariate(1 / (900_000_000 if heavy else 20_000_000))) + 1
            call = Call(f"e{len(self.calls)}", user, tier, nano, self._moment(chance))
            self.calls.append(call)
            self.cost[self.month(call.at_ms), tier or "free", user] += nano
        if chance.random() < 0.25:
            self._pay(chance, user)

    def _pay(self, chance: random.Random, user: str) -> None:
        currency = chance.choice(("usd", "usd", "eur", "jpy"))
        paid = chance.choice((500, 1_200, 2_000))
        self._move(chance, user, "charge", paid, paid * 29 // 1000 + 30, currency)
        fate = chance.random()
        if fate < 0.15:
            self._move(chance, user, "refund", -chance.randrange(1, paid + 1), 0, currency)
        elif fate < 0.25:
            self._move(chance, user, "dispute", -paid, 1_500, currency)
            if chance.random() < 0.5:
                self._move(chance, user, "dispute_reversal", paid, 0, currency)

    def _move(
        self, chance: random.Random, user: str, category: str, amount: int, fee: int, currency: str
    ) -> None:
        at_ms = self._moment(chance)
        moved = transaction(
            f"{len(self.transactions)}",
            user,
            category=category,
            amount_minor=amount,
            fee_minor=fee,
            currency=currency,
            created_s=at_ms // 1000,
        )
        self.transactions.append(moved)
        month = self.month(at_ms)
        if category == "charge":
            self.money[month, "paid", currency, user] += amount
        else:
            self.money[month, "refunded", currency, user] -= amount
        self.money[month, "fee", currency, user] += fee

    def _moment(self, chance: random.Random) -> int:
        return self.first_ms + chance.randrange(self.days * DAY_MS)

    def month(self, at_ms: int) -> str:
        """``2026-11``, as the owner's calendar has it."""
        return f"{datetime.fromtimestamp(at_ms / 1000, ZoneInfo(self.zone)):%Y-%m}"

    @property
    def months(self) -> list[str]:
        return sorted({at[0] for at in (*self.cost, *self.money)})

    def profits(self, rates: dict[str, Fraction]) -> dict[str, Fraction]:
        """US dollars by user, of the currencies that have a rate for one of their minor unit."""
        found: defaultdict[str, Fraction] = defaultdict(Fraction)
        for (_, _, user), nano in self.cost.items():
            found[user] -= Fraction(nano, _NANO)
        for (_, kind, currency, user), minor in self.money.items():
            sign = 1 if kind == "paid" else -1
            found[user] += sign * minor * rates.get(currency, Fraction())
        return dict(found)

    def tier_of(self, month: str, user: str) -> str:
        """Where most of their cost of that month is."""
        costs = {
            tier: self.cost[month, tier, user]
            for tier in ("free", "pro")
            if self.cost[month, tier, user]
        }
        return max(sorted(costs), key=lambda tier: costs[tier]) if costs else "-"
