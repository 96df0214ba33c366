"""What end users see. The canary: no figure of AI spend is anywhere in it."""

import json

from hypothesis import given
from hypothesis import strategies as st
from tollkeeper_core.domain.credits import display_credits
from tollkeeper_core.domain.ledger import Counters, Lot, Standing, WindowLimit
from tollkeeper_core.domain.periods import Calendar, Window, periods_at
from tollkeeper_core.services.usage_view import binding_window, percent, usage_view

NOW_MS = 1_795_600_000_000
PERIODS = periods_at(Calendar(), NOW_MS)


def lot(
    remaining: int, granted: int, paid: int, currency: str = "usd", expires: int | None = None
) -> Lot:
    return Lot("cs_1", granted, remaining, paid, currency, expires, 0)


def standing(*lots: Lot, used: int = 0, held: int = 0, limit: int = 100) -> Standing:
    return Standing(
        "free",
        {Window.DAILY: WindowLimit(limit, hard=False)},
        {w: Counters(used, used, held, held) for w in Window},
        lots,
        0,
    )


def test_percent_reaches_100_only_at_the_limit() -> None:
    limit = WindowLimit(3, hard=False)
    assert [percent(limit, n) for n in range(5)] == [0, 33, 66, 100, 100]
    assert percent(WindowLimit(0, hard=False), 0) == 100


def test_calls_under_way_count_for_whoever_was_stopped_by_them() -> None:
    found = standing(used=10, held=50)
    assert usage_view(found, PERIODS, NOW_MS)["windows"]["daily"]["percent"] == 10
    view = usage_view(found, PERIODS, NOW_MS, with_holds=True)
    assert view["windows"]["daily"]["percent"] == 60


def test_currencies_stay_apart_and_expired_lots_do_not_count() -> None:
    lots = (
        lot(5, 10, 500),
        lot(1, 3, 100),
        lot(7, 7, 900, "eur"),
        lot(7, 7, 900, "eur", NOW_MS),
        lot(1, 10**15, 1, "gbp"),
    )
    assert display_credits(lots, NOW_MS) == {
        "eur": (900, "€9.00"),
        "gbp": (1, "£0.01"),  # never 0 while anything remains
        "usd": (283, "$2.83"),
    }


@given(
    st.lists(
        st.tuples(st.integers(0, 10**15), st.integers(1, 10**15), st.integers(1, 10**8)), max_size=5
    )
)
def test_credits_shown_are_rounded_down_once(raw: list[tuple[int, int, int]]) -> None:
    lots = tuple(lot(min(r, g), g, p) for r, g, p in raw)
    shown = display_credits(lots, NOW_MS).get("usd", (0, ""))[0]
    common = 1
    for one in lots:
        common *= one.granted_nano
    exact = sum(one.worth_minor * one.remaining_nano * common // one.granted_nano for one in lots)
    assert shown == (max(1, exact // common) if exact else 0)


def test_nothing_of_what_ai_costs_is_in_the_view() -> None:
    found = standing(lot(123_456_789, 987_654_321, 777), used=444_444_444, limit=999_999_937)
    text = json.dumps(usage_view(found, PERIODS, NOW_MS))
    for canary in ("123456789", "987654321", "444444444", "999999937", "0.44", "0.12", "nano"):
        assert canary not in text


def test_no_window_stops_what_credits_cover() -> None:
    assert binding_window(standing(used=100), PERIODS, 1, NOW_MS) is Window.DAILY
    assert binding_window(standing(lot(1, 1, 1), used=100), PERIODS, 1, NOW_MS) is None
    assert binding_window(standing(lot(1, 1, 1), used=100), PERIODS, 2, NOW_MS) is Window.DAILY
