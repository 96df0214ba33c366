"""How many calls an amount is: by the user's own average, and no more exact than "about"."""

import pytest
from tollkeeper_core.domain.config import Limit
from tollkeeper_core.domain.estimates import CALLS_MIN, allowance, calls_for
from tollkeeper_core.domain.ledger import Counters
from tollkeeper_core.domain.periods import Window


def spent(month: tuple[int, int], week: tuple[int, int] = (0, 0)) -> dict[Window, Counters]:
    """(calls, what they cost) of each; the day is another one, and does not count."""
    return {
        Window.DAILY: Counters(1, 1, 0, 0, 10**6),
        Window.WEEKLY: Counters(0, week[1], 0, 0, week[0]),
        Window.MONTHLY: Counters(0, month[1], 0, 0, month[0]),
    }


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        (9, None),
        (10, 1),
        (99, 9),
        (100, 10),
        (999, 99),
        (1009, 100),
        (1099, 100),
        (1100, 110),
        (3079, 300),
        (9999, 990),
        (10**16, 10**15),
        (10**16 - 1, 990_000_000_000_000),
    ],
)
def test_it_is_rounded_down_to_two_digits(amount: int, told: int | None) -> None:
    assert calls_for(amount, spent((CALLS_MIN, 10 * CALLS_MIN))) == told


def test_the_months_average_counts_and_the_weeks_where_the_month_has_too_few_calls() -> None:
    month, week = (CALLS_MIN, 100 * CALLS_MIN), (CALLS_MIN, 50 * CALLS_MIN)
    assert calls_for(1000, spent(month, week)) == 10
    assert calls_for(1000, spent((CALLS_MIN - 1, 1), week)) == 20
    assert calls_for(1000, spent((CALLS_MIN - 1, 1), (CALLS_MIN - 1, 1))) is None
    assert calls_for(1000, spent((0, 500), (0, 500))) is None, "calls that were not counted"


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        ({}, None),
        ({"daily": 5}, (Window.DAILY, 5)),
        ({"weekly": 30, "daily": 5}, (Window.WEEKLY, 30)),
        ({"weekly": 36, "daily": 5}, (Window.WEEKLY, 35)),
        ({"monthly": 100, "weekly": 25, "daily": 4}, (Window.MONTHLY, 100)),
        ({"monthly": 100, "weekly": 24}, (Window.MONTHLY, 96)),
        ({"monthly": 100, "weekly": 25, "daily": 3}, (Window.MONTHLY, 84)),
    ],
)
def test_a_plan_is_what_its_longest_window_leaves_of_it(
    limits: dict[str, int], found: tuple[Window, int] | None
) -> None:
    tier = {Window(name): Limit(limit_usd=f"0.{nano:09}") for name, nano in limits.items()}
    assert allowance(tier) == found
