"""Profit per user: by month and by tier, the best and the worst, and who the spend goes to."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import nlargest, nsmallest

from tollkeeper_core.domain.books import BooksSource, Entry, EntryKind
from tollkeeper_core.domain.profit import Rates, Sums, sums_by_user

#: The tier of a month in which a user cost nothing.
NO_TIER = "-"

#: Of the users who cost anything, how many in a hundred are looked at together.
_TOP_PERCENT = 5


@dataclass(slots=True)
class Row:
    """A month's, a tier's or a user's. ``users``: how many different ones."""

    name: str
    users: int = 0
    sums: Sums = field(default_factory=Sums)


@dataclass(frozen=True, slots=True)
class TopSpend:
    """What the ``users`` who cost most have cost, of all ``of_users`` who cost anything."""

    users: int
    of_users: int
    cost_nano: int
    of_cost_nano: int

    @property
    def share(self) -> Fraction | None:
        """None where nobody cost anything."""
        return Fraction(self.cost_nano, self.of_cost_nano) if self.of_cost_nano else None


@dataclass(frozen=True, slots=True)
class ProfitReport:
    """Of these months (``2026-11``). ``top``: the most profitable users first; ``bottom``: the
    least profitable first. ``unconverted``: currencies that are in no figure in dollars.
    """

    months: Sequence[str]
    rates: Rates
    total: Row
    by_month: Sequence[Row]
    by_tier: Sequence[Row]
    top: Sequence[Row]
    bottom: Sequence[Row]
    top_spend: TopSpend

    @property
    def unconverted(self) -> list[str]:
        """By name."""
        return sorted(set(self.total.sums.net_minor) - set(self.rates))


@dataclass(frozen=True)
class Profit:
    """Reads the books: from the counters, or from the record, with the same answer."""

    source: BooksSource
    rates: Rates

    def of_users(self, months: Sequence[str]) -> dict[str, Sums]:
        """What everybody in the books of these months (``2026-11``) comes to, by user."""
        return sums_by_user(self.source.entries([f"m:{month}" for month in months]))

    def report(self, months: Sequence[str], count: int) -> ProfitReport:
        """``count``: how many users the lists have. Raises ValueError for no month."""
        if not months:
            raise ValueError("a report is of one month at least")
        entries = list(self.source.entries([f"m:{month}" for month in months]))
        users = sums_by_user(entries)
        total = Row("total", len(users))
        for sums in users.values():
            total.sums.plus(sums)
        profits = [(sums.profit_usd(self.rates), user) for user, sums in users.items()]
        return ProfitReport(
            months=months,
            rates=self.rates,
            total=total,
            by_month=_by_month(entries, months),
            by_tier=_by_tier(entries),
            top=[Row(user, 1, users[user]) for _, user in nlargest(count, profits)],
            bottom=[Row(user, 1, users[user]) for _, user in nsmallest(count, profits)],
            top_spend=_top_spend([sums.cost_nano for sums in users.values() if sums.cost_nano]),
        )


def _by_month(entries: Sequence[Entry], months: Sequence[str]) -> list[Row]:
    rows, users = {month: Row(month) for month in months}, defaultdict(set)
    for entry in entries:
        month = entry.month.removeprefix("m:")
        rows[month].sums.add(entry)
        users[month].add(entry.user_id)
    for month, row in rows.items():
        row.users = len(users[month])
    return list(rows.values())


def _by_tier(entries: Sequence[Entry]) -> list[Row]:
    """Each user's month goes whole to one tier, so that tiers add up to the total."""
    tiers = _tiers(entries)
    rows: dict[str, Row] = {}
    users: defaultdict[str, set[str]] = defaultdict(set)
    for entry in entries:
        tier = tiers.get((entry.month, entry.user_id), NO_TIER)
        rows.setdefault(tier, Row(tier)).sums.add(entry)
        users[tier].add(entry.user_id)
    for tier, row in rows.items():
        row.users = len(users[tier])
    return [rows[tier] for tier in sorted(rows, key=lambda name: (name == NO_TIER, name))]


def _tiers(entries: Sequence[Entry]) -> Mapping[tuple[str, str], str]:
    """By month and user, the tier with most of their cost; of equal ones the first by name."""
    cost: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for entry in entries:
        if entry.kind is EntryKind.COST and entry.amount > 0:
            cost[entry.month, entry.user_id][entry.of] += entry.amount
    return {
        at: min(tiers.items(), key=lambda tier: (-tier[1], tier[0]))[0]
        for at, tiers in cost.items()
    }


def _top_spend(costs_nano: list[int]) -> TopSpend:
    costs_nano.sort(reverse=True)
    count = -(-len(costs_nano) * _TOP_PERCENT // 100)
    return TopSpend(count, len(costs_nano), sum(costs_nano[:count]), sum(costs_nano))
