"""``tollkeeper report --profit``: what users bring in and cost; tables, JSON, or a page."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from fractions import Fraction

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text
from tollkeeper_core.adapters.books_bench import BooksBench
from tollkeeper_core.adapters.redis_books import RedisBooks
from tollkeeper_core.domain.books import BooksSource
from tollkeeper_core.domain.config import Settings
from tollkeeper_core.domain.periods import month_names, month_number
from tollkeeper_core.domain.profit import rates_of
from tollkeeper_core.domain.record import RecordError
from tollkeeper_core.services.profit import Profit, ProfitReport, Row

from infra.cli.connection import Connection
from infra.cli.output import look, put_out
from infra.cli.profit_page import page
from infra.cli.profit_words import (
    by_currency,
    dollars,
    remarks,
    spend,
    tier_name,
    top_spend,
    user_name,
)
from infra.cli.screen import console, say

_MONTHS_DEFAULT = 3
#: The counters go back 800 days (redis_keys).
_MONTHS_MAX, _MONTHS_MAX_ARCHIVE = 26, 240
_BAR = 16


def profit_report(at: Connection, settings: Settings, today: date, options: Namespace) -> int:
    """A request to Redis for some thousand entries; with ``--from-archive`` the record instead."""
    months = _months(today, options)

    def of(source: BooksSource) -> ProfitReport:
        return Profit(source, rates_of(settings.report.usd_per)).report(months, options.top)

    found = look(
        options,
        lambda: of(RedisBooks(at.admin)),
        lambda tell: of(BooksBench(at.record, tell)),
    )
    return put_out(
        options,
        lambda: page(found, at.stage, datetime.now(UTC)),
        lambda: as_json(found),
        lambda: show(found),
    )


def _months(today: date, options: Namespace) -> list[str]:
    for asked in (options.first, options.last):
        if asked is not None and not asked.is_month:
            raise RecordError("Profit is by whole months: give one such as 2026-11.")
    last = options.last.day if options.last else today
    count = options.months or _MONTHS_DEFAULT
    if options.first:
        count = month_number(last) - month_number(options.first.day) + 1
    most = _MONTHS_MAX_ARCHIVE if options.from_archive else _MONTHS_MAX
    if not 1 <= count <= most:
        raise RecordError(f"Give 1 to {most} months, the first before the last.")
    return month_names(month_number(last) - count + 1, month_number(last))


def as_json(found: ProfitReport) -> dict[str, object]:
    """Exact: nano-USD and minor units as integers, dollars as [numerator, denominator]."""

    def row(one: Row) -> dict[str, object]:
        sums = one.sums
        return {
            "name": one.name,
            "users": one.users,
            "cost_nano": sums.cost_nano,
            "paid_minor": dict(sorted(sums.paid_minor.items())),
            "refunded_minor": dict(sorted(sums.refunded_minor.items())),
            "fee_minor": dict(sorted(sums.fee_minor.items())),
            "profit_usd": _ratio(sums.profit_usd(found.rates)),
        }

    spent = found.top_spend
    return {
        "months": list(found.months),
        "usd_per": {c: _ratio(r) for c, r in sorted(found.rates.items())},
        "unconverted": found.unconverted,
        "total": row(found.total),
        "by_month": list(map(row, found.by_month)),
        "by_tier": list(map(row, found.by_tier)),
        "top": list(map(row, found.top)),
        "bottom": list(map(row, found.bottom)),
        "top_spend": {
            "users": spent.users,
            "of_users": spent.of_users,
            "cost_nano": spent.cost_nano,
            "of_cost_nano": spent.of_cost_nano,
        },
    }


def _ratio(usd: Fraction) -> list[int]:
    return [usd.numerator, usd.denominator]


def show(found: ProfitReport) -> None:
    """Tables and bars on the terminal."""
    first, last = found.months[0], found.months[-1]
    say(f"Profit, {first}" + (f" to {last}" if last != first else ""), "bold")
    total = found.total.sums
    say(f"{dollars(total.profit_usd(found.rates))} from {found.total.users:,} users")
    for remark in remarks(found):
        say(remark, "dim")
    _show("month", found.by_month, found, lambda row: row.name)
    _show("tier", found.by_tier, found, tier_name)
    if found.top:
        _show("best", found.top, found, lambda row: user_name(row.name), users=False)
        _show("worst", found.bottom, found, lambda row: user_name(row.name), users=False)
    say(top_spend(found.top_spend))


def _show(
    heading: str,
    rows: Sequence[Row],
    found: ProfitReport,
    name: Callable[[Row], str],
    *,
    users: bool = True,
) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(heading, no_wrap=True)
    counted = ("users",) if users else ()
    for column in (*counted, "paid", "refunded", "fees", "AI spend", "profit"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    profits = [row.sums.profit_usd(found.rates) for row in rows]
    most = max(map(abs, profits), default=Fraction(0))
    for row, profit in zip(rows, profits, strict=True):
        money = (row.sums.paid_minor, row.sums.refunded_minor, row.sums.fee_minor)
        cells = [Text("\n".join(by_currency(minor)) or "–") for minor in money]
        count = [Text(f"{row.users:,}")] if users else []
        colour = "green" if profit >= 0 else "red"
        length = max(round(abs(profit) / most * _BAR), 1) if profit else 0
        bar = Text("▇" * length, colour)
        cells += [Text(spend(row.sums.cost_nano)), Text(dollars(profit), colour), bar]
        table.add_row(Text(name(row)), *count, *cells)
    console.print(table)
