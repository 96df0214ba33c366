"""The report of profit as one page (page_parts)."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from fractions import Fraction
from html import escape

from tollkeeper_core.domain.money import NANO_PER_USD
from tollkeeper_core.domain.profit import in_usd
from tollkeeper_core.services.profit import ProfitReport, Row

from infra.cli.page_parts import WIDTH, document, figure, note, section, svg
from infra.cli.profit_words import (
    by_currency,
    dollars,
    remarks,
    spend,
    tier_name,
    top_spend,
    user_name,
)
from infra.cli.report_words import percent

_CHART, _FOOT, _HEAD = 200, 44, 22
_ROW, _NAMES, _AMOUNTS = 34, 250, 110
_STRIP = 34


def page(found: ProfitReport, stage: str, made: datetime) -> str:
    """A whole document."""
    first, last = found.months[0], found.months[-1]
    span = first if first == last else f"{first} to {last}"
    sections = [
        _by_month(found),
        section("By tier", _bars(found, found.by_tier, tier_name) + _table(found, found.by_tier)),
        _users("The most profitable users", found, found.top),
        _users("The least profitable users", found, found.bottom),
        section("Who the AI spend goes to", _strip(found) + note(top_spend(found.top_spend))),
    ]
    return document(
        f"Profit of {stage}",
        f"{span}, made {made:%Y-%m-%d %H:%M} UTC",
        _figures(found),
        sections,
    )


def _figures(found: ProfitReport) -> Iterator[str]:
    total = found.total.sums
    net, profit = in_usd(total.net_minor, found.rates), total.profit_usd(found.rates)
    yield figure(dollars(profit), "profit")
    yield figure(dollars(net), "paid, after refunds and fees")
    yield figure(spend(total.cost_nano), "AI spend")
    yield figure(percent(profit / net if net > 0 else None), "of what was left is profit")
    yield figure(f"{found.total.users:,}", "users")
    for currency in found.unconverted:
        left = by_currency({currency: total.net_minor[currency]})
        yield figure(left[0] if left else "0", f"{currency.upper()} by itself: there is no rate")


def _by_month(found: ProfitReport) -> str:
    """What was left of the payments and what AI cost, side by side, and below them the profit."""
    nets = [in_usd(row.sums.net_minor, found.rates) for row in found.by_month]
    costs = [Fraction(row.sums.cost_nano, NANO_PER_USD) for row in found.by_month]
    most = max([*nets, *costs, Fraction(1, 100)])
    step, bars = WIDTH / len(nets), []
    wide = min(step * 0.3, 60)
    for n, (row, net, cost) in enumerate(zip(found.by_month, nets, costs, strict=True)):
        middle = n * step + step / 2
        for left, usd, shade, what in (
            (middle - wide - 2, net, "bar", "paid, after refunds and fees"),
            (middle + 2, cost, "faint", "AI spend"),
        ):
            height = float(max(usd, Fraction(0)) / most) * _CHART
            bars.append(
                f"<rect class='{shade}' x='{left:.1f}' y='{_HEAD + _CHART - height:.1f}' "
                f"width='{wide:.1f}' height='{height:.1f}' rx='3'>"
                f"<title>{row.name}: {escape(dollars(usd))} {what}</title></rect>"
            )
        profit = net - cost
        shade = "gain" if profit >= 0 else "loss"
        for y, css, text in (
            (18, "soft", row.name),
            (36, shade, dollars(profit)),
        ):
            bars.append(
                f"<text class='{css}' x='{middle:.1f}' y='{_HEAD + _CHART + y}' "
                f"text-anchor='middle'>{escape(text)}</text>"
            )
    drawn = svg("Payments and AI spend by month", _HEAD + _CHART + _FOOT, "".join(bars))
    small = note(
        "Strong: paid, after refunds and fees. Pale: AI spend. Below: profit. "
        + " ".join(remarks(found))
    )
    return section("By month", drawn + small + _table(found, found.by_month))


def _users(heading: str, found: ProfitReport, rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    return section(heading, _bars(found, rows, lambda row: user_name(row.name)))


def _bars(found: ProfitReport, rows: Sequence[Row], name: Callable[[Row], str]) -> str:
    """Profit of each, to the right of a line, and losses to the left of it."""
    profits = [row.sums.profit_usd(found.rates) for row in rows]
    high, low = max([Fraction(0), *profits]), min([Fraction(0), *profits])
    room = WIDTH - _NAMES - 2 * _AMOUNTS
    unit = room / float(high - low) if high != low else 0.0
    zero, drawn = _NAMES + _AMOUNTS - float(low) * unit, []
    for n, (row, profit) in enumerate(zip(rows, profits, strict=True)):
        y, width = n * _ROW, abs(float(profit)) * unit
        shade, left = ("bar", zero) if profit >= 0 else ("loss", zero - width)
        at, anchor = (left + width + 8, "start") if profit >= 0 else (left - 8, "end")
        sums = row.sums
        told = f"{', '.join(by_currency(sums.net_minor)) or '0'} - {spend(sums.cost_nano)}"
        drawn.append(
            f"<text class='soft' x='0' y='{y + 21}'>{escape(name(row))}</text>"
            f"<rect class='{shade}' x='{left:.1f}' y='{y + 5}' width='{max(width, 1):.1f}' "
            f"height='24' rx='4'><title>{escape(told)}</title></rect>"
            f"<text x='{at:.1f}' y='{y + 21}' text-anchor='{anchor}'>{escape(dollars(profit))}"
            "</text>"
        )
    height = len(rows) * _ROW
    line = f"<rect class='line' x='{zero - 0.5:.1f}' y='0' width='1' height='{height}'/>"
    return svg("Profit", height, "".join(drawn) + line) if rows else note("Nobody yet.")


def _strip(found: ProfitReport) -> str:
    share = found.top_spend.share
    if share is None:
        return ""
    width = float(share) * WIDTH
    return svg(
        "Share of AI spend of the top five percent",
        _STRIP,
        f"<rect class='faint' x='0' y='0' width='{WIDTH}' height='{_STRIP}' rx='6'/>"
        f"<rect class='bar' x='0' y='0' width='{width:.1f}' height='{_STRIP}' rx='6'/>",
        fits=True,
    )


def _table(found: ProfitReport, rows: Sequence[Row]) -> str:
    heads = ("", "users", "paid", "refunded", "fees", "AI spend", "profit")
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    return (
        f"<table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(_row(found, row) for row in rows)}</tbody></table>"
    )


def _row(found: ProfitReport, row: Row) -> str:
    sums = row.sums
    money = ("<br>".join(map(escape, by_currency(minor))) or "–" for minor in (
        sums.paid_minor, sums.refunded_minor, sums.fee_minor,
    ))  # fmt: skip
    usd = (spend(sums.cost_nano), dollars(sums.profit_usd(found.rates)))
    cells = [f"{row.users:,}", *money, *map(escape, usd)]
    name = escape(tier_name(row))
    return f"<tr><td>{name}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
