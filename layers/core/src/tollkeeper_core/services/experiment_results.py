"""What an experiment came to: each variant against the hold-out, by profit per user shown.

Everybody who was shown the page counts, by the arm that they were in then, whether they bought or
not and whatever they did later: to look at buyers alone would compare different people.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction

from tollkeeper_core.domain.books import BooksSource
from tollkeeper_core.domain.confidence import (
    ALPHA,
    BUYERS_MIN,
    Interval,
    Moments,
    difference_interval,
    mean_interval,
    share_interval,
)
from tollkeeper_core.domain.experiments import Seen, SeenSource
from tollkeeper_core.domain.periods import Calendar, month_names, month_number, periods_at
from tollkeeper_core.domain.profit import Rates, Sums
from tollkeeper_core.domain.split import HOLDOUT
from tollkeeper_core.services.profit import Profit


class Verdict(StrEnum):
    """TOO_EARLY: too few buyers in either arm (BUYERS_MIN). OPEN: the interval holds zero."""

    TOO_EARLY = "too_early"
    OPEN = "open"
    BETTER = "better"
    WORSE = "worse"


@dataclass(frozen=True, slots=True)
class Arm:
    """A variant, or the hold-out. ``profit``: of each user, US dollars; None where there is none.

    ``per_user``: where its mean is; None while it is too early to say.
    """

    name: str
    users: int
    buyers: int
    sums: Sums
    profit_usd: Fraction
    profit: Moments | None

    @property
    def is_early(self) -> bool:
        """Whether there are too few buyers to say where a mean is."""
        return self.buyers < BUYERS_MIN

    @property
    def conversion(self) -> Interval:
        """Of its users, who bought: where that share is."""
        return share_interval(self.buyers, self.users)

    @property
    def per_user(self) -> Interval | None:
        """Where the profit of a user is; None while it is too early to say."""
        return None if self.profit is None or self.is_early else mean_interval(self.profit)


@dataclass(frozen=True, slots=True)
class Difference:
    """A variant's profit per user less that of the hold-out, US dollars; None where either has
    no user, or it is too early.
    """

    arm: str
    usd: float | None
    interval: Interval | None

    @property
    def verdict(self) -> Verdict:
        """What may be said of it."""
        if self.interval is None:
            return Verdict.TOO_EARLY
        if self.interval.low > 0:
            return Verdict.BETTER
        return Verdict.WORSE if self.interval.high < 0 else Verdict.OPEN


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """``arms``: the hold-out first. ``months`` (``2026-11``): those whose books are in it.

    ``alpha``: the chance that any of the differences is ever outside its interval, all together.
    """

    name: str
    months: Sequence[str]
    rates: Rates
    arms: Sequence[Arm]
    alpha: float = ALPHA

    @property
    def differences(self) -> list[Difference]:
        """Of each variant; they share ``alpha`` evenly (Bonferroni), so that many variants do not
        make one of them look good by luck.
        """
        held_out, *variants = self.arms
        return [_difference(arm, held_out, self.alpha / len(variants)) for arm in variants]

    @property
    def unconverted(self) -> list[str]:
        """Currencies that have no rate and are in no figure in dollars."""
        return sorted({c for arm in self.arms for c in arm.sums.net_minor} - set(self.rates))


@dataclass(frozen=True)
class ExperimentResults:
    """From the counters or from the record, with the same answer."""

    seen: SeenSource
    books: BooksSource
    rates: Rates
    calendar: Calendar
    today: date

    def report(self, experiment: str, variants: Sequence[str] = ()) -> ExperimentReport | None:
        """None where nobody was shown anything in it. ``variants``: shown even without users."""
        everybody = list(self.seen.seen(experiment))
        if not everybody:
            return None
        months = self._months(min(one.first_ms for one in everybody))
        sums = Profit(self.books, self.rates).of_users(months)
        by_arm: defaultdict[str, list[Seen]] = defaultdict(list)
        for one in everybody:
            by_arm[one.arm].append(one)
        others = sorted(set(by_arm) - {HOLDOUT, *variants})
        names = dict.fromkeys((HOLDOUT, *variants, *others))
        arms = [_arm(name, by_arm[name], sums, self.rates) for name in names]
        return ExperimentReport(experiment, months, self.rates, arms)

    def _months(self, first_ms: int) -> list[str]:
        """From the first showing's to today's, by the owner's time zone, as the books are."""
        first = periods_at(self.calendar, first_ms).monthly.id.removeprefix("m:")
        first_day = date.fromisoformat(f"{first}-01")
        return month_names(month_number(first_day), month_number(self.today))


def _arm(name: str, users: Iterable[Seen], sums: Mapping[str, Sums], rates: Rates) -> Arm:
    total, profits, buyers = Sums(), [], 0
    for one in users:
        # Who never called and never paid is in no book, and counts as nothing.
        of_user = sums.get(one.user_id) or Sums()
        total.plus(of_user)
        profits.append(of_user.profit_usd(rates))
        buyers += one.bought
    return Arm(
        name=name,
        users=len(profits),
        buyers=buyers,
        sums=total,
        profit_usd=sum(profits, Fraction(0)),
        profit=Moments.of(map(float, profits)) if profits else None,
    )


def _difference(arm: Arm, held_out: Arm, alpha: float) -> Difference:
    if arm.profit is None or held_out.profit is None:
        return Difference(arm.name, None, None)
    early = arm.is_early or held_out.is_early
    return Difference(
        arm.name,
        arm.profit.mean - held_out.profit.mean,
        None if early else difference_interval(arm.profit, held_out.profit, alpha),
    )
