"""Calendar periods: the day, week and month in which a call is counted.

A period is named by its window and the local date on which it begins (``d:2026-11-25``,
``w:2026-11-23``, ``m:2026-11``). The names are part of Redis field names, so a new period begins by
itself: there is no reset job that could run late, twice or not at all.
"""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo


class Window(StrEnum):
    """The three windows, shortest first."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Calendar(NamedTuple):
    """Where days begin (an IANA time zone) and on which weekday weeks do (0 = Monday).

    ``anchored``: the month of whoever has a plan begins on the plan's billing day.
    """

    time_zone: str = "UTC"
    week_start: int = 0
    anchored: bool = False


class Period(NamedTuple):
    """One period: ``id`` as in field names, and the epoch milliseconds [starts, resets)."""

    window: Window
    id: str
    starts_ms: int
    resets_ms: int


class Periods(NamedTuple):
    """The day, week and month that hold one instant.

    ``around``: what a script needs to find the days of a month that begins on a billing day: the
    date, and how many days the month before, this one and the next have (``2026-11-25 31 30 31``).
    "" where months are the calendar's for everybody.
    """

    daily: Period
    weekly: Period
    monthly: Period
    around: str = ""

    def of(self, window: Window) -> Period:
        """The period of one window."""
        if window is Window.DAILY:
            return self.daily
        return self.weekly if window is Window.WEEKLY else self.monthly

    @property
    def ids(self) -> tuple[str, str, str]:
        """The three ids: day, week, month."""
        return self.daily.id, self.weekly.id, self.monthly.id


def periods_at(calendar: Calendar, at_ms: int, anchor_day: int = 0) -> Periods:
    """The periods of an instant (epoch milliseconds).

    ``anchor_day``: the billing day (1 to 31) on which the month begins, 0 for the calendar's. In a
    month that is too short it is the last day.

    Days are local days: 23 or 25 hours long where the clock changes, and a midnight that a change
    skips begins with the first instant after it.
    """
    zone = ZoneInfo(calendar.time_zone)
    today = datetime.fromtimestamp(at_ms / 1000, zone).date()
    return _periods_of(calendar, today, anchor_day)


def day_of_month(calendar: Calendar, at_ms: int) -> int:
    """The local day, 1 to 31, of an instant."""
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(calendar.time_zone)).day


@lru_cache(maxsize=256)
def _periods_of(calendar: Calendar, today: date, anchor_day: int) -> Periods:
    zone = ZoneInfo(calendar.time_zone)
    monday = today - timedelta(days=(today.weekday() - calendar.week_start) % 7)
    first = today.replace(day=1)
    next_month = (first + timedelta(days=32)).replace(day=1)

    def period(window: Window, name: str, begins: date, ends: date) -> Period:
        return Period(
            window, f"{window[0]}:{name}", _midnight_ms(zone, begins), _midnight_ms(zone, ends)
        )

    periods = Periods(
        daily=period(Window.DAILY, today.isoformat(), today, today + timedelta(days=1)),
        weekly=period(Window.WEEKLY, monday.isoformat(), monday, monday + timedelta(days=7)),
        monthly=period(Window.MONTHLY, f"{first:%Y-%m}", first, next_month),
        around=_around(first, next_month, today) if calendar.anchored else "",
    )
    if not anchor_day:
        return periods
    begins, ends = _billing_month(today, first, next_month, anchor_day)
    return periods._replace(monthly=period(Window.MONTHLY, begins.isoformat(), begins, ends))


def _around(first: date, next_month: date, today: date) -> str:
    months = (first - timedelta(days=1), first, next_month)
    return " ".join([today.isoformat(), *(str(_days_in(month)) for month in months)])


def _billing_month(today: date, first: date, next_month: date, day: int) -> tuple[date, date]:
    begins = _on_day(first, day)
    if today >= begins:
        return begins, _on_day(next_month, day)
    return _on_day(first - timedelta(days=1), day), begins


def _on_day(month: date, day: int) -> date:
    return month.replace(day=min(day, _days_in(month)))


def _days_in(month: date) -> int:
    return monthrange(month.year, month.month)[1]


def _midnight_ms(zone: ZoneInfo, day: date) -> int:
    # fold=0 takes the first of two midnights, and the offset before the gap for one that is
    # skipped: both are the first instant of that local day.
    return int(datetime.combine(day, time(), zone).astimezone(UTC).timestamp()) * 1000


@lru_cache(maxsize=256)  # of a check's four times three are the same all day
def rfc3339(at_ms: int) -> str:
    """Epoch milliseconds -> ``2026-11-25T00:00:00Z`` (milliseconds only where there are any)."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    fraction = f".{at_ms % 1000:03d}" if at_ms % 1000 else ""
    return f"{at.isoformat()[:19]}{fraction}Z"


#: How long a user's counters of a past period are kept, in days. A call may settle up to 16 days
#: after its check, and a month by a billing day is the sum of its days; what is older is in the
#: archive.
_KEPT_DAYS = {Window.DAILY: 50, Window.WEEKLY: 63, Window.MONTHLY: 400}


def cutoffs(now_ms: int) -> tuple[str, str, str]:
    """Period ids (day, week, month) before which counters may be dropped.

    By UTC: with weeks of slack the time zone does not matter.
    """
    return _cutoffs_on(now_ms // 86_400_000)


def month_number(day: date) -> int:
    """Months counted on from the year 0, for ``month_names``."""
    return day.year * 12 + day.month - 1


def month_names(first: int, last: int) -> list[str]:
    """``2026-11`` and so on, both included; none where the first comes after the last."""
    return [f"{n // 12:04d}-{n % 12 + 1:02d}" for n in range(first, last + 1)]


def is_old(period_id: str, cutoffs: tuple[str, str, str]) -> bool:
    """Whether a day, week or month lies before its own of these."""
    return any(period_id[0] == first[0] and period_id < first for first in cutoffs)


@lru_cache(maxsize=8)
def _cutoffs_on(day_number: int) -> tuple[str, str, str]:
    """Of a UTC day, counted from 1970: each check of it asks."""
    today = date(1970, 1, 1) + timedelta(days=day_number)
    day, week, month = (today - timedelta(days=_KEPT_DAYS[window]) for window in Window)
    return f"d:{day.isoformat()}", f"w:{week.isoformat()}", f"m:{month:%Y-%m}"
