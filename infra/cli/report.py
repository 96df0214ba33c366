"""``tollkeeper report``: what the funnel came to, as tables, as JSON, or as a page."""

from argparse import ArgumentTypeError, Namespace
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from rich.box import SIMPLE_HEAD
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text
from tollkeeper_core.adapters.redis_funnel import RedisFunnel
from tollkeeper_core.adapters.step_bench import StepBench
from tollkeeper_core.domain.funnel import FunnelSource, StepKind
from tollkeeper_core.domain.record import RecordError
from tollkeeper_core.services.analytics import Analytics, FunnelReport, Slice

from infra.cli.connection import Connection
from infra.cli.experiment import experiment_report
from infra.cli.output import look, put_out
from infra.cli.profit import profit_report
from infra.cli.report_page import page
from infra.cli.report_words import LABELS, SHORT, money, percent
from infra.cli.screen import console, say

_BAR = 40
_ANY_WIDTH = 10_000
#: The counters go back 800 days (redis_keys).
DAYS_MAX = 800
COUNT_MAX = 1_000_000


def report(at: Connection, options: Namespace) -> int:
    """Two requests to Redis; with ``--from-archive`` one, and the record of these days.

    ``--profit``: see profit_report.
    """
    loaded = at.admin.load()
    if loaded is None:
        raise RecordError("There is no configuration: nothing was sold here yet.")
    settings = loaded[1].settings
    calendar = settings.calendar
    today = datetime.now(ZoneInfo(calendar.time_zone)).date()
    if options.profit:
        return profit_report(at, settings, today, options)
    if options.experiment is not None:
        return experiment_report(at, loaded[1], today, options)
    for asked in (options.first, options.last):
        if asked is not None and asked.is_month:
            raise RecordError("A month is for --profit: give a day such as 2026-11-01.")
    last = options.last.day if options.last else today
    first = options.first.day if options.first else last - timedelta(days=options.days - 1)
    if not 0 <= (last - first).days < DAYS_MAX:
        raise RecordError(f"Give 1 to {DAYS_MAX} days, the first before the last.")

    def of(source: FunnelSource) -> FunnelReport:
        return Analytics(source, calendar, today).funnel(first, last, options.by)

    found = look(
        options,
        lambda: of(RedisFunnel(at.admin)),
        lambda tell: of(StepBench(at.record, tell)),
    )
    return put_out(
        options,
        lambda: page(found, at.stage, datetime.now(UTC)),
        lambda: as_json(found),
        lambda: show(found),
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What ``--from`` and ``--to`` name: a day, or a month by its first day."""

    day: date
    is_month: bool


def a_day_or_month(text: str) -> Asked:
    """For ``--from`` and ``--to``. Raises ArgumentTypeError."""
    is_month = len(text) == len("2026-11")
    try:
        return Asked(date.fromisoformat(f"{text}-01" if is_month else text), is_month)
    except ValueError:
        raise ArgumentTypeError("must be a day such as 2026-11-01, or a month: 2026-11") from None


def a_count(text: str) -> int:
    """For ``--months`` and ``--top``. Raises ArgumentTypeError."""
    if not text.isdecimal() or not 1 <= int(text) <= COUNT_MAX:
        raise ArgumentTypeError(f"must be 1 to {COUNT_MAX}")
    return int(text)


def a_count_of_days(text: str) -> int:
    """For ``--days``. Raises ArgumentTypeError."""
    if not text.isdecimal() or not 1 <= int(text) <= DAYS_MAX:
        raise ArgumentTypeError(f"must be 1 to {DAYS_MAX}")
    return int(text)


def as_json(found: FunnelReport) -> dict[str, object]:
    """Exact: minor units as integers, ratios as [numerator, denominator]."""
    return {
        "from": str(found.first),
        "to": str(found.last),
        "by": found.by,
        "total": _slice_json(found.total),
        "slices": [_slice_json(one) for one in found.slices],
    }


def _slice_json(one: Slice) -> dict[str, object]:
    conversion = one.conversion
    return {
        "name": one.name,
        "steps": {kind.value: one.steps[kind] for kind in StepKind},
        "users": None if one.users is None else {k.value: n for k, n in one.users.items()},
        "conversion": None
        if conversion is None
        else [one.steps[StepKind.PAID], one.steps[StepKind.PROMPT_SHOWN]],
        "sales": {c: {"count": s.count, "minor": s.minor} for c, s in one.sales.items()},
    }


def show(found: FunnelReport) -> None:
    """Tables and bars on the terminal."""
    say(f"Funnel, {found.first} to {found.last}", "bold")
    most = max(found.total.steps.values(), default=0)
    funnel = Table(box=None, show_header=False, pad_edge=False)
    for kind in StepKind:
        count = found.total.steps[kind]
        bar = "█" * (count * _BAR // most if most else 0)
        funnel.add_row(LABELS[kind], Text(f"{count:,}", justify="right"), Text(bar, "cyan"))
    console.print(funnel)
    say(f"Conversion of prompts shown: {percent(found.total.conversion)}; {_sold(found.total)}")
    known = any(one.users for one in found.slices)
    for users, gap in ((known, 1), (known, 0), (False, 1), (False, 0)):
        table = _table(found, users=users, gap=gap)
        if _width(table) <= console.width:
            break
    # What still is too wide wraps where the terminal wraps it: no figure is cut off.
    if _width(table) > console.width:
        table.width = _width(table)
    console.print(table, crop=False)
    if users:
        say("In brackets: how many users these were.", "dim")


def _table(found: FunnelReport, *, users: bool, gap: int) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, gap, 0, 0))
    table.add_column(found.by, no_wrap=True)
    for heading in (*SHORT.values(), "conv.", "sales"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found.slices:
        cells = [_cell(one, kind, users=users) for kind in StepKind]
        sales = "\n".join(paid for paid, _ in money(one.sales.items())) or "–"
        table.add_row(*map(Text, (one.name, *cells, percent(one.conversion), sales)))
    return table


def _width(table: Table) -> int:
    """What it takes, however wide the terminal is."""
    return Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), table).minimum


def _sold(one: Slice) -> str:
    told = [f"{paid} ({average} an order)" for paid, average in money(one.sales.items())]
    return ", ".join(told) or "nothing paid"


def _cell(one: Slice, kind: StepKind, *, users: bool) -> str:
    those = f"\n({one.users[kind]:,})" if users and one.users else ""
    return f"{one.steps[kind]:,}{those}"
