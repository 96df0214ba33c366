"""What the funnel came to: steps, unique users, conversion and order values, over some days."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from typing import Literal

from tollkeeper_core.domain.funnel import Count, FunnelSource, StepKind
from tollkeeper_core.domain.periods import Calendar

By = Literal["day", "week", "month", "trigger", "tier", "offer", "variant"]

#: Of these a period is one, so its unique users are known.
_PERIODS = ("day", "week", "month")


@dataclass(frozen=True, slots=True)
class Sales:
    """What was paid in one currency, minor units; nothing is converted."""

    count: int
    minor: int

    @property
    def average_minor(self) -> Fraction:
        """The average order value."""
        return Fraction(self.minor, self.count)


@dataclass(slots=True)
class Slice:
    """One row: prompts by step, what was paid, and unique users where the row is a period.

    ``steps``: prompts that came this far. ``users``: None where they are not known.
    """

    name: str
    steps: Counter[StepKind] = field(default_factory=Counter)
    paid: Counter[str] = field(default_factory=Counter)
    paid_minor: Counter[str] = field(default_factory=Counter)
    users: Mapping[StepKind, int] | None = None

    @property
    def sales(self) -> dict[str, Sales]:
        """By currency."""
        return {c: Sales(n, self.paid_minor[c]) for c, n in sorted(self.paid.items())}

    @property
    def conversion(self) -> Fraction | None:
        """Of the prompts that were shown, how many were paid; None where none was shown."""
        shown = self.steps[StepKind.PROMPT_SHOWN]
        return Fraction(self.steps[StepKind.PAID], shown) if shown else None

    def add(self, count: Count) -> None:
        """One more group of steps."""
        self.steps[count.kind] += count.count
        if count.kind is StepKind.PAID:
            self.paid[count.currency] += count.count
            self.paid_minor[count.currency] += count.minor


@dataclass(frozen=True, slots=True)
class FunnelReport:
    """From the first day to the last, both included; ``slices`` in order."""

    first: date
    last: date
    by: By
    total: Slice
    slices: Sequence[Slice]


@dataclass(frozen=True)
class Analytics:
    """Reads what was counted: from the counters, or from the record, with the same answer."""

    source: FunnelSource
    calendar: Calendar
    today: date

    def funnel(self, first: date, last: date, by: By) -> FunnelReport:
        """Raises ValueError where the last day comes before the first."""
        if last < first:
            raise ValueError("the last day comes before the first")
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        period_of = self._period_of(by)
        periods = list(dict.fromkeys(map(period_of, days))) if by in _PERIODS else []
        counts, users = self.source.counts([f"d:{day}" for day in days], periods)
        total, slices = Slice("total"), {name: Slice(name[2:]) for name in periods}
        for count in counts:
            total.add(count)
            day = date.fromisoformat(count.day.removeprefix("d:"))
            name = period_of(day) if by in _PERIODS else str(getattr(count, by)) or "-"
            slices.setdefault(name, Slice(name)).add(count)
        for period in periods:
            if self._is_whole(by, period, days):
                slices[period].users = {kind: users[period, kind] for kind in StepKind}
        ordered = sorted(slices.values(), key=lambda one: one.name)
        return FunnelReport(first, last, by, total, ordered)

    def _period_of(self, by: By) -> Callable[[date], str]:
        if by == "week":
            start = self.calendar.week_start
            return lambda day: f"w:{day - timedelta(days=(day.weekday() - start) % 7)}"
        if by == "month":
            return lambda day: f"m:{day:%Y-%m}"
        return lambda day: f"d:{day}"

    def _is_whole(self, by: By, period: str, days: Sequence[date]) -> bool:
        """Users of a week that only a part of is asked for are not those of the part."""
        period_of = self._period_of(by)
        first, last = days[0], days[-1]
        before, after = first - timedelta(days=1), last + timedelta(days=1)
        ended = last >= self.today or period_of(after) != period
        return ended and period_of(before) != period
