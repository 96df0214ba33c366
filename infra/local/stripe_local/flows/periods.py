"""Billing periods."""

import calendar
from datetime import UTC, datetime, timedelta


def period_end(start: int, interval: str, count: int) -> int:
    """Return the end of a period of `count` x `interval` (day, week, month, year) from `start`.

    Unix seconds, UTC. A day that the month does not have becomes its last day, as Stripe does it.
    """
    begin = datetime.fromtimestamp(start, UTC)
    if interval in ("day", "week"):
        days = count * (7 if interval == "week" else 1)
        return int((begin + timedelta(days=days)).timestamp())
    months = begin.month - 1 + count * (12 if interval == "year" else 1)
    year, month = begin.year + months // 12, months % 12 + 1
    day = min(begin.day, calendar.monthrange(year, month)[1])
    return int(begin.replace(year=year, month=month, day=day).timestamp())
