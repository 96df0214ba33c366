"""Calendar periods: the day, week and month in which a call is counted.

A period is named by its window and the local date on which it begins (``d:2026-11-25``,
``w:2026-11-23``, ``m:2026-11``). The names are part of Redis field names, so a new period begins by
itself: there is no reset job that could run late, twice or not at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo


class Window(StrEnum):
    """The three windows, shortest first."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class Calendar:
    """Where days begin (an IANA time zone) and on which weekday weeks do (0 = Monday)."""

    time_zone: str = "UTC"
    week_start: int = 0


@dataclass(frozen=True, slots=True)
class Period:
    """One period: ``id`` as in field names, and the epoch milliseconds [starts, resets)."""

    window: Window
    id: str
    starts_ms: int
    resets_ms: int


@dataclass(frozen=True, slots=True)
class Periods:
    """The day, week and month that hold one instant."""

    daily: Period
    weekly: Period
    monthly: Period

    def __iter__(self) -> Iterator[Period]:
        return iter((self.daily, self.weekly, self.monthly))

    def of(self, window: Window) -> Period:
        """The period of one window."""
        return {Window.DAILY: self.daily, Window.WEEKLY: self.weekly}.get(window, self.monthly)

    @property
    def ids(self) -> tuple[str, str, str]:
        """The three ids: day, week, month."""
        return self.daily.id, self.weekly.id, self.monthly.id


def periods_at(calendar: Calendar, at_ms: int) -> Periods:
    """The periods of an instant (epoch milliseconds).

    Days are local days: 23 or 25 hours long where the clock changes, and a midnight that a change
    skips begins with the first instant after it.
    """
    zone = ZoneInfo(calendar.time_zone)
    today = datetime.fromtimestamp(at_ms / 1000, zone).date()
    return _periods_of(calendar, today)


@lru_cache(maxsize=256)
def _periods_of(calendar: Calendar, today: date) -> Periods:
    zone = ZoneInfo(calendar.time_zone)
    monday = today - timedelta(days=(today.weekday() - calendar.week_start) % 7)
    first = today.replace(day=1)
    next_month = (first + timedelta(days=32)).replace(day=1)

    def period(window: Window, name: str, begins: date, ends: date) -> Period:
        return Period(
            window, f"{window[0]}:{name}", _midnight_ms(zone, begins), _midnight_ms(zone, ends)
        )

    return Periods(
        daily=period(Window.DAILY, today.isoformat(), today, today + timedelta(days=1)),
        weekly=period(Window.WEEKLY, monday.isoformat(), monday, monday + timedelta(days=7)),
        monthly=period(Window.MONTHLY, f"{first:%Y-%m}", first, next_month),
    )


def _midnight_ms(zone: ZoneInfo, day: date) -> int:
    # fold=0 takes the first of two midnights, and the offset before the gap for one that is
    # skipped: both are the first instant of that local day.
    return int(datetime.combine(day, time(), zone).astimezone(UTC).timestamp()) * 1000


def rfc3339(at_ms: int) -> str:
    """Epoch milliseconds -> ``2026-11-25T00:00:00Z`` (milliseconds only where there are any)."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    fraction = f".{at_ms % 1000:03d}" if at_ms % 1000 else ""
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"


#: How long a user's counters of a past period are kept, in days. A call may settle up to 16 days
#: after its check; what is older is in the archive.
_KEPT_DAYS = {Window.DAILY: 35, Window.WEEKLY: 63, Window.MONTHLY: 400}


def cutoffs(now_ms: int) -> tuple[str, str, str]:
    """Period ids (day, week, month) before which counters may be dropped.

    By UTC: with weeks of slack the time zone does not matter.
    """
    today = datetime.fromtimestamp(now_ms // 1000, UTC).date()
    day, week, month = (today - timedelta(days=_KEPT_DAYS[window]) for window in Window)
    return f"d:{day.isoformat()}", f"w:{week.isoformat()}", f"m:{month:%Y-%m}"
