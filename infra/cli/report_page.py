"""The report as one page: no script, nothing from elsewhere, charts as inline SVG."""

from collections.abc import Iterator
from datetime import datetime
from html import escape

from tollkeeper_core.domain.funnel import UNPAID, StepKind
from tollkeeper_core.services.analytics import FunnelReport, Slice

from infra.cli.page_parts import WIDTH, document, figure, note, section, svg
from infra.cli.report_words import LABELS, SHORT, money, percent

_ROW, _LEFT, _RIGHT = 40, 150, 150
_CHART, _FOOT = 180, 26
#: Bars that still can be told apart.
_BARS = 60


def page(found: FunnelReport, stage: str, made: datetime) -> str:
    """A whole document."""
    title = f"Funnel of {stage}"
    dates = f"{found.first} to {found.last}, made {made:%Y-%m-%d %H:%M} UTC"
    sections = (
        section("From the limit to the purchase", _funnel(found.total)),
        _chart(found),
        section(f"By {found.by}", _table(found)),
    )
    return document(title, dates, _figures(found.total), sections)


def _figures(total: Slice) -> Iterator[str]:
    yield figure(f"{total.steps[StepKind.PROMPT_SHOWN]:,}", "prompts shown")
    yield figure(f"{total.steps[StepKind.PAID]:,}", "purchases")
    yield figure(percent(total.conversion), "of shown prompts were paid")
    for paid, average in money(total.sales.items()):
        yield figure(paid, f"paid, {average} an order")


def _funnel(total: Slice) -> str:
    most, before, rows = max([1, *total.steps.values()]), 0, []
    room = WIDTH - _LEFT - _RIGHT
    for n, kind in enumerate(StepKind):
        count, y = total.steps[kind], n * _ROW
        kept = ""
        if before and kind not in UNPAID:
            kept = f"{count / before:.0%} of the step before"
        before = count
        width = count * room / most
        shade = "faint" if kind in UNPAID else "bar"
        rows.append(
            f"<text class='soft' x='0' y='{y + 24}'>{escape(LABELS[kind])}</text>"
            f"<rect class='{shade}' x='{_LEFT}' y='{y + 7}' width='{max(width, 1):.1f}' "
            f"height='26' rx='5'/>"
            f"<text x='{_LEFT + width + 10:.1f}' y='{y + 24}'>{count:,}"
            f"<tspan class='soft' dx='8'>{kept}</tspan></text>"
        )
    return svg("Steps of the funnel", len(StepKind) * _ROW, "".join(rows))


def _chart(found: FunnelReport) -> str:
    """Prompts shown, and paid of them, one pair of bars for each period."""
    if found.by not in {"day", "week", "month"} or not 1 < len(found.slices) <= _BARS:
        return ""
    most = max([1, *(one.steps[StepKind.PROMPT_SHOWN] for one in found.slices)])
    step, bars = WIDTH / len(found.slices), []
    for n, one in enumerate(found.slices):
        for kind, shade in ((StepKind.PROMPT_SHOWN, "faint"), (StepKind.PAID, "bar")):
            height = min(one.steps[kind] / most, 1) * _CHART
            bars.append(
                f"<rect class='{shade}' x='{n * step + step * 0.15:.1f}' "
                f"y='{_CHART - height:.1f}' width='{step * 0.7:.1f}' height='{height:.1f}' rx='3'>"
                f"<title>{escape(one.name)}: {one.steps[kind]:,} {LABELS[kind]}</title></rect>"
            )
        if n % (1 + len(found.slices) // 10) == 0:
            bars.append(
                f"<text class='soft' x='{n * step + step * 0.15:.1f}' y='{_CHART + 18}'>"
                f"{escape(one.name[-5:] if found.by != 'month' else one.name)}</text>"
            )
    drawn = svg("Prompts shown and paid", _CHART + _FOOT, "".join(bars))
    return section("Prompts and purchases", drawn + note("Pale: prompts shown. Strong: paid."))


def _table(found: FunnelReport) -> str:
    heads = "".join(
        f"<th title='{escape(LABELS[kind])}'>{escape(SHORT[kind])}</th>" for kind in StepKind
    )
    rows = "".join(map(_row, found.slices))
    known = any(one.users for one in found.slices)
    small = note("Small: how many users these were.") if known else ""
    return (
        f"<table><thead><tr><th>{escape(found.by)}</th>{heads}<th>conversion</th><th>sales</th>"
        f"<th>an order</th></tr></thead><tbody>{rows}</tbody></table>{small}"
    )


def _row(one: Slice) -> str:
    cells = "".join(
        f"<td>{one.steps[kind]:,}"
        + (f"<small>{one.users[kind]:,}</small>" if one.users else "")
        + "</td>"
        for kind in StepKind
    )
    sold = money(one.sales.items())
    paid, average = ("<br>".join(escape(pair[n]) for pair in sold) or "–" for n in (0, 1))
    return (
        f"<tr><td>{escape(one.name)}</td>{cells}<td>{percent(one.conversion)}</td>"
        f"<td>{paid}</td><td>{average}</td></tr>"
    )
