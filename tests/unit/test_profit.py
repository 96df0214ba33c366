"""What the books come to: exact, and the same whichever way it is added up."""

import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tollkeeper_core.domain.books import Entry, EntryKind
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.profit import Rates, Sums, in_usd, rates_of
from tollkeeper_core.services.profit import Profit, ProfitReport

RATES = rates_of({"eur": "1.08", "jpy": "0.0067"})
MONTHS = ["2026-10", "2026-11"]


class Book(list[Entry]):
    """A source of these entries."""

    def entries(self, months: Sequence[str]) -> Iterator[Entry]:
        return (entry for entry in self if entry.month in months)


def entry(kind: str, of: str, user: str, amount: int, month: str = "2026-11") -> Entry:
    return Entry(f"m:{month}", EntryKind(kind), of, user, amount)


def report(*entries: Entry, rates: Rates = RATES, count: int = 10) -> ProfitReport:
    return Profit(Book(entries), rates).report(MONTHS, count)


def names(rows: Any) -> list[str]:
    return [row.name for row in rows]


def test_profit_is_exact_and_rounded_nowhere() -> None:
    found = report(
        entry("cost", "free", "ada", 1),
        entry("cost", "pro", "ada", 2_000_000_000),
        entry("paid", "usd", "ada", 1_000),
        entry("refunded", "usd", "ada", 200),
        entry("fee", "usd", "ada", 59),
        entry("paid", "eur", "ada", 333),
        entry("paid", "jpy", "ada", 780),
    )
    expected = (
        Fraction(1000 - 200 - 59, 100)
        + Fraction(333, 100) * Fraction(108, 100)
        + 780 * Fraction(67, 10_000)
        - Fraction(2_000_000_001, 10**9)
    )
    assert found.top[0].sums.profit_usd(RATES) == expected
    assert found.total.sums.profit_usd(RATES) == expected
    assert found.unconverted == []


def test_money_without_a_rate_is_in_no_dollar_figure_and_is_named() -> None:
    found = report(
        entry("paid", "chf", "ada", 10_000), entry("paid", "usd", "bob", 1), rates=rates_of({})
    )
    assert found.unconverted == ["chf"]
    assert found.total.sums.profit_usd(found.rates) == Fraction(1, 100)
    assert found.total.sums.net_minor == {"chf": 10_000, "usd": 1}
    assert names(found.top) == ["bob", "ada"]


def test_a_users_month_goes_whole_to_the_tier_of_most_of_their_cost() -> None:
    found = report(
        entry("cost", "free", "ada", 5),
        entry("cost", "pro", "ada", 6),
        entry("paid", "usd", "ada", 500),
        entry("cost", "free", "ada", 7, "2026-10"),
        entry("cost", "pro", "bob", 3),
        entry("cost", "free", "bob", 3),
        entry("paid", "usd", "eve", 900),
    )
    assert {row.name: (row.users, row.sums.cost_nano) for row in found.by_tier} == {
        "free": (2, 7 + 6),
        "pro": (1, 11),
        "-": (1, 0),
    }
    assert names(found.by_tier) == ["free", "pro", "-"]
    assert {row.name: row.sums.paid_minor["usd"] for row in found.by_tier} == {
        "free": 0,
        "pro": 500,
        "-": 900,
    }


def test_the_lists_hold_the_best_and_the_worst_and_equal_ones_by_name() -> None:
    found = report(
        *(entry("paid", "usd", f"u{n}", 100 * n) for n in range(1, 6)),
        entry("paid", "usd", "a", 100),
        count=2,
    )
    assert names(found.top) == ["u5", "u4"]
    assert names(found.bottom) == ["a", "u1"]
    assert report(entry("paid", "usd", "a", 1), count=0).top == []


@pytest.mark.parametrize(
    ("users", "top"), [(1, 1), (19, 1), (20, 1), (21, 2), (40, 2), (41, 3), (10_000, 500)]
)
def test_the_top_five_percent_are_rounded_up(users: int, top: int) -> None:
    found = report(
        *(entry("cost", "free", f"u{n}", n + 1) for n in range(users)),
        entry("paid", "usd", "free of cost", 1),
    ).top_spend
    assert (found.users, found.of_users) == (top, users)
    assert found.cost_nano == sum(range(users - top + 1, users + 1))
    assert found.share == Fraction(found.cost_nano, users * (users + 1) // 2)


def test_nobody_is_no_division_by_zero() -> None:
    found = report()
    assert (found.total.users, found.top_spend.share, found.by_tier) == (0, None, [])
    assert names(found.by_month) == MONTHS
    with pytest.raises(ValueError, match="one month"):
        Profit(Book(), RATES).report([], 1)


_ENTRIES = st.builds(
    entry,
    st.sampled_from(list(EntryKind)),
    st.sampled_from(["usd", "eur", "chf", "jpy"]),
    st.sampled_from(["ada", "bob", "a|b", "forgotten:1", "é"]),
    st.integers(-(10**15), 10**15),
    st.sampled_from(MONTHS),
)


@given(st.lists(_ENTRIES, max_size=40, unique_by=lambda e: (e.month, e.field)), st.randoms())
def test_users_tiers_and_months_add_up_to_the_total(
    entries: list[Entry], chance: random.Random
) -> None:
    found = report(*entries, count=100)
    for rows in (found.by_month, found.by_tier, found.top, found.bottom):
        summed = Sums()
        for row in rows:
            summed.plus(row.sums)
        assert summed == found.total.sums
    profits = [row.sums.profit_usd(RATES) for row in found.top]
    assert profits == sorted(profits, reverse=True)
    assert sum(profits) == found.total.sums.profit_usd(RATES)
    chance.shuffle(entries)
    assert report(*entries, count=100) == found


@given(st.text(min_size=1), st.sampled_from(list(EntryKind)), st.integers())
def test_a_field_is_read_back_whatever_the_users_name(
    user: str, kind: EntryKind, amount: int
) -> None:
    told = Entry("m:2026-11", kind, "usd", user, amount)
    assert Entry.of_field(told.month, told.field, amount) == told


def test_what_is_in_dollars_is_so_many_dollars() -> None:
    assert in_usd({"usd": 1, "kwd": 1_000}, rates_of({"kwd": "3.25"})) == Fraction("3.26")


@pytest.mark.parametrize("bad", ["0", "0.00", "-1", "1e3", "1,08", "", "x", "1.0000000001"])
def test_a_rate_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(ValidationError, match="decimal string above 0"):
        _config({"eur": bad})


def test_a_dollar_is_a_dollar() -> None:
    with pytest.raises(ValidationError, match="not usd"):
        _config({"usd": "1.1"})
    with pytest.raises(ValidationError):
        _config({"eur": 1.08})
    assert _config({"eur": "1.08"}).settings.report.usd_per == {"eur": "1.08"}


def _config(usd_per: Any) -> Config:
    return Config.model_validate(
        {"settings": {"report": {"usd_per": usd_per}}, "tiers": {"free": {"limits": {}}}}
    )
