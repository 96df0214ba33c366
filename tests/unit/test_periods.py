from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tollkeeper_core.domain.periods import Calendar, Window, cutoffs, periods_at, rfc3339


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def test_ids_and_resets_in_utc() -> None:
    p = periods_at(Calendar(), ms("2026-11-25T12:00:00+00:00"))
    assert p.ids == ("d:2026-11-25", "w:2026-11-23", "m:2026-11")
    assert [rfc3339(x.resets_ms) for x in map(p.of, Window)] == [
        "2026-11-26T00:00:00Z",
        "2026-11-30T00:00:00Z",
        "2026-12-01T00:00:00Z",
    ]


@pytest.mark.parametrize(
    ("zone", "at", "ids"),
    [
        # New York is still on the day, week, month and year before.
        (
            "America/New_York",
            "2027-01-01T04:59:59+00:00",
            ("d:2026-12-31", "w:2026-12-28", "m:2026-12"),
        ),
        (
            "America/New_York",
            "2027-01-01T05:00:00+00:00",
            ("d:2027-01-01", "w:2026-12-28", "m:2027-01"),
        ),
        (
            "Asia/Kathmandu",
            "2028-02-29T18:14:59+00:00",
            ("d:2028-02-29", "w:2028-02-28", "m:2028-02"),
        ),
        (
            "Asia/Kathmandu",
            "2028-02-29T18:15:00+00:00",
            ("d:2028-03-01", "w:2028-02-28", "m:2028-03"),
        ),
    ],
)
def test_periods_follow_the_time_zone(zone: str, at: str, ids: tuple[str, str, str]) -> None:
    assert periods_at(Calendar(zone), ms(at)).ids == ids


def test_weeks_begin_on_the_configured_day() -> None:
    at = ms("2026-11-25T12:00:00+00:00")  # a Wednesday
    starts = [periods_at(Calendar("UTC", day), at).weekly.id for day in range(7)]
    assert starts == [
        "w:2026-11-23",
        "w:2026-11-24",
        "w:2026-11-25",
        "w:2026-11-19",
        "w:2026-11-20",
        "w:2026-11-21",
        "w:2026-11-22",
    ]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("America/Sao_Paulo", "2018-11-04", 23),  # the clock skipped midnight itself
        ("Africa/Cairo", "2026-04-24", 23),
    ],
)
def test_days_are_local_days_where_the_clock_changes(zone: str, day: str, hours: int) -> None:
    daily = periods_at(Calendar(zone), ms(f"{day}T12:00:00+00:00")).daily
    assert daily.id == f"d:{day}"
    assert daily.resets_ms - daily.starts_ms == hours * 3_600_000


@given(
    st.sampled_from(["UTC", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kolkata"]),
    st.integers(0, 6),
    st.integers(0, 4_102_444_800_000),
)
def test_an_instant_lies_in_its_periods_and_the_next_begins_where_one_ends(
    zone: str, week_start: int, at_ms: int
) -> None:
    calendar = Calendar(zone, week_start)
    for period in map(periods_at(calendar, at_ms).of, Window):
        assert period.starts_ms <= at_ms < period.resets_ms
        following = periods_at(calendar, period.resets_ms).of(period.window)
        assert following.id > period.id
        assert following.starts_ms == period.resets_ms


def test_counters_outlive_the_latest_settlement() -> None:
    now = ms("2026-11-25T12:00:00+00:00")
    day, week, month = cutoffs(now)
    old = periods_at(Calendar("Pacific/Kiritimati", 3), now - 17 * 86_400_000)
    assert old.daily.id > day
    assert old.weekly.id > week
    assert old.monthly.id > month


@given(st.integers(1, 31), st.integers(0, 4_102_444_800_000))
def test_a_month_by_a_billing_day_begins_on_it_and_ends_with_the_next(day: int, at_ms: int) -> None:
    calendar = Calendar("Europe/Berlin")
    month = periods_at(calendar, at_ms, day).monthly
    assert month.starts_ms <= at_ms < month.resets_ms
    following = periods_at(calendar, month.resets_ms, day).monthly
    assert following.starts_ms == month.resets_ms
    begins = date.fromisoformat(month.id[2:])
    last = (begins.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    assert begins.day == min(day, last.day)


def test_what_a_script_needs_to_find_a_month_is_told_only_where_it_is_to() -> None:
    at_ms = ms("2027-02-10T12:00:00+00:00")
    assert periods_at(Calendar(), at_ms).around == ""
    assert periods_at(Calendar(anchored=True), at_ms).around == "2027-02-10 31 28 31"


def test_days_outlive_a_month_by_them_and_the_latest_settlement() -> None:
    now = ms("2026-11-25T12:00:00+00:00")
    old = periods_at(Calendar("Pacific/Kiritimati"), now - 17 * 86_400_000)
    month_before = old.daily.starts_ms - 31 * 86_400_000
    assert periods_at(Calendar("Pacific/Kiritimati"), month_before).daily.id > cutoffs(now)[0]


def test_rfc3339() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00Z"
    assert rfc3339(1_500) == "1970-01-01T00:00:01.500Z"
    assert datetime.fromisoformat(rfc3339(1_500)) == datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)
