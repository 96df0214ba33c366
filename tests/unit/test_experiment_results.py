"""What an experiment comes to: who counts, in which arm and with which profit, and what is said."""

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

import pytest
from tollkeeper_core.domain.books import Entry, EntryKind
from tollkeeper_core.domain.confidence import BUYERS_MIN, Moments, difference_interval
from tollkeeper_core.domain.experiments import Seen
from tollkeeper_core.domain.periods import Calendar
from tollkeeper_core.domain.profit import rates_of
from tollkeeper_core.domain.split import HOLDOUT
from tollkeeper_core.services.experiment_results import (
    Difference,
    ExperimentReport,
    ExperimentResults,
    Verdict,
)

#: 2026-10-31T23:30:00Z, which is November in Berlin.
FIRST_MS = 1_793_489_400_000
DAY_MS = 86_400_000
NOVEMBER = "m:2026-11"


@dataclass
class Source:
    """Of who was seen, and of the books."""

    users: Sequence[Seen]
    lines: Sequence[Entry] = ()

    def seen(self, experiment: str) -> Iterable[Seen]:
        return self.users if experiment == "copy" else ()

    def entries(self, months: Sequence[str]) -> Iterator[Entry]:
        return (line for line in self.lines if line.month in months)


def report(
    source: Source, today: date = date(2026, 12, 5), variants: Sequence[str] = ()
) -> ExperimentReport:
    rates, calendar = rates_of({"eur": "1.25"}), Calendar("Europe/Berlin")
    found = ExperimentResults(source, source, rates, calendar, today).report("copy", variants)
    assert found is not None
    return found


def paid(user: str, minor: int, month: str = NOVEMBER, currency: str = "usd") -> Entry:
    return Entry(month, EntryKind.PAID, currency, user, minor)


def cost(user: str, nano: int, month: str = NOVEMBER) -> Entry:
    return Entry(month, EntryKind.COST, "free", user, nano)


def test_everybody_who_was_shown_the_page_counts_with_all_that_they_did() -> None:
    users = [
        Seen("ada", "short", FIRST_MS, bought=True),
        Seen("bob", "short", FIRST_MS + DAY_MS, bought=False),
        Seen("carol", HOLDOUT, FIRST_MS + 2 * DAY_MS, bought=False),
    ]
    lines = [
        paid("ada", 2000),
        Entry(NOVEMBER, EntryKind.FEE, "usd", "ada", 90),
        paid("ada", 1000, "m:2026-12", "eur"),
        Entry("m:2026-12", EntryKind.REFUNDED, "usd", "ada", 500),
        cost("ada", 1_500_000_000, "m:2026-12"),
        cost("carol", 250_000_000),
        paid("ada", 99_999, "m:2026-10"),  # before anybody was shown anything
        paid("dan", 99_999),  # who was shown nothing
    ]
    found = report(Source(users, lines))
    assert found.months == ["2026-11", "2026-12"]
    held_out, short = found.arms
    assert (held_out.name, held_out.users, held_out.buyers) == (HOLDOUT, 1, 0)
    assert held_out.profit_usd == Fraction(-1, 4)
    assert (short.name, short.users, short.buyers) == ("short", 2, 1)
    assert dict(short.sums.paid_minor) == {"usd": 2000, "eur": 1000}
    # 20.00 - 0.90 + 10.00 * 1.25 - 5.00 - 1.50; bob, who did nothing, is half of the users.
    assert short.profit_usd == Fraction("25.10")
    assert short.profit is not None
    assert short.profit.mean == pytest.approx(12.55)
    (difference,) = found.differences
    assert difference.usd == pytest.approx(12.55 + 0.25)
    assert (difference.interval, difference.verdict) == (None, Verdict.TOO_EARLY)
    assert (short.per_user, short.is_early) == (None, True)
    assert 0 < short.conversion.low < 0.5 < short.conversion.high < 1


def test_money_without_a_rate_is_named_and_in_no_figure() -> None:
    users = [Seen("ada", "short", FIRST_MS, bought=True)]
    found = report(Source(users, [paid("ada", 700, currency="chf"), paid("ada", 100)]))
    assert found.unconverted == ["chf"]
    assert found.arms[1].profit_usd == 1


def test_an_experiment_that_nobody_saw_has_no_report() -> None:
    source = Source([Seen("ada", "short", FIRST_MS, bought=False)])
    results = ExperimentResults(source, source, {}, Calendar(), date(2026, 12, 5))
    assert results.report("other") is None


def test_variants_without_users_are_there_and_say_nothing() -> None:
    source = Source([Seen("ada", "old", FIRST_MS, bought=False)])
    found = report(source, variants=("short", "long"))
    assert [(arm.name, arm.users) for arm in found.arms] == [
        (HOLDOUT, 0),
        ("short", 0),
        ("long", 0),
        ("old", 1),
    ]
    assert found.differences == [Difference(name, None, None) for name in ("short", "long", "old")]
    assert (found.arms[0].conversion.low, found.arms[0].conversion.high) == (0, 1)


def crowd(arm: str, buyers: int, users: int, minor: int) -> Source:
    """``buyers`` of ``users`` paid ``minor``; everybody cost ten cents."""
    names = [f"{arm} {n}" for n in range(users)]
    return Source(
        [Seen(name, arm, FIRST_MS, bought=n < buyers) for n, name in enumerate(names)],
        [
            *(paid(name, minor) for name in names[:buyers]),
            *(cost(name, 100_000_000) for name in names),
        ],
    )


def together(*sources: Source) -> Source:
    return Source(
        [user for source in sources for user in source.users],
        [line for source in sources for line in source.lines],
    )


def test_nothing_is_said_with_one_buyer_too_few_in_either_arm() -> None:
    few, enough = (crowd("short", n, 400, 5000) for n in (BUYERS_MIN - 1, BUYERS_MIN))
    held_out = crowd(HOLDOUT, BUYERS_MIN, 2_000, 500)
    assert report(together(few, held_out)).differences[0].verdict is Verdict.TOO_EARLY
    assert report(together(enough, held_out)).differences[0].verdict is Verdict.BETTER
    held_out = crowd(HOLDOUT, BUYERS_MIN - 1, 2_000, 500)
    found = report(together(enough, held_out))
    assert found.differences[0].verdict is Verdict.TOO_EARLY
    assert found.arms[1].per_user is not None


def test_the_verdict_is_which_side_of_zero_the_interval_is_on() -> None:
    held_out = crowd(HOLDOUT, 150, 2_000, 2000)
    for minor, verdict in ((5000, Verdict.BETTER), (500, Verdict.WORSE), (2000, Verdict.OPEN)):
        found = report(together(crowd("short", 150, 2_000, minor), held_out))
        assert found.differences[0].verdict is verdict


def test_several_variants_share_the_chance_of_being_wrong() -> None:
    arms = [crowd(name, 150, 1_000, 2000) for name in ("a", "b", HOLDOUT)]
    found = report(together(*arms))

    def moments(source: Source) -> Moments:
        net = [20.0 - 0.1 if user.bought else -0.1 for user in source.users]
        assert Moments.of(net).variance == pytest.approx(statistics.variance(net))
        return Moments.of(net)

    wanted = difference_interval(moments(arms[0]), moments(arms[2]), 0.05 / 2)
    for difference in found.differences:
        assert difference.interval is not None
        assert math.isclose(difference.interval.low, wanted.low)
        assert math.isclose(difference.interval.high, wanted.high)
