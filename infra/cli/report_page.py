"""The report as one page: no script, nothing from elsewhere, charts as inline SVG."""

from collections.abc import Iterator
from datetime import datetime
from html import escape

from tollkeeper_core.domain.funnel import StepKind
from tollkeeper_core.services.analytics import FunnelReport, Slice

from infra.cli.report_words import LABELS, money, percent

_STYLE = """
:root { color-scheme: light dark; --ink: #16202c; --soft: #5b6b7c; --line: #dfe5eb;
  --paper: #fff; --back: #f4f6f8; --bar: #2f6fed; --faint: #c9dafc; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf3; --soft: #9aa9b8; --line: #2c3845;
  --paper: #18212b; --back: #10161d; --bar: #6a9bff; --faint: #27406f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 20px; }
h1 { font-size: 26px; margin: 0; letter-spacing: -.02em; }
h2 { font-size: 16px; margin: 0 0 16px; }
.sub { color: var(--soft); margin: 4px 0 28px; }
.figures { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); }
section, .figure { background: var(--paper); border: 1px solid var(--line); border-radius: 14px;
  padding: 20px 22px; }
section { margin-top: 20px; overflow-x: auto; }
.figure b { display: block; font-size: 26px; letter-spacing: -.02em; line-height: 1.25;
  font-variant-numeric: tabular-nums; }
.figure span, .note { color: var(--soft); font-size: 13px; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
svg .soft { fill: var(--soft); } svg .bar { fill: var(--bar); } svg .faint { fill: var(--faint); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-size: 12px; font-weight: 600; }
th, td { text-align: right; vertical-align: top; padding: 8px; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr:last-child td { border-bottom: 0; }
td small { display: block; color: var(--soft); font-size: 12px; }
"""

_ROW, _LEFT, _WIDTH, _RIGHT = 40, 150, 940, 150
_CHART, _FOOT = 180, 26
#: Bars that still can be told apart.
_BARS = 60


def page(found: FunnelReport, stage: str, made: datetime) -> str:
    """A whole document."""
    title = f"Funnel of {stage}"
    dates = f"{found.first} to {found.last}, made {made:%Y-%m-%d %H:%M} UTC"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(title)}</h1><p class='sub'>{escape(dates)}</p>"
        f"<div class='figures'>{''.join(_figures(found.total))}</div>"
        f"<section><h2>From the limit to the purchase</h2>{_funnel(found.total)}</section>"
        f"{_chart(found)}"
        f"<section><h2>By {escape(found.by)}</h2>{_table(found)}</section>"
        "</main></body></html>\n"
    )


def _figures(total: Slice) -> Iterator[str]:
    yield _figure(f"{total.steps[StepKind.PROMPT_SHOWN]:,}", "prompts shown")
    yield _figure(f"{total.steps[StepKind.PAID]:,}", "purchases")
    yield _figure(percent(total.conversion), "of shown prompts were paid")
    for paid, average in money(total.sales.items()):
        yield _figure(paid, f"paid, {average} an order")


def _figure(value: str, label: str) -> str:
    return f"<div class='figure'><b>{escape(value)}</b><span>{escape(label)}</span></div>"


def _funnel(total: Slice) -> str:
    most, before, rows = max([1, *total.steps.values()]), 0, []
    room = _WIDTH - _LEFT - _RIGHT
    for n, kind in enumerate(StepKind):
        count, y = total.steps[kind], n * _ROW
        kept = ""
        if before and kind is not StepKind.EXPIRED:
            kept = f"{count / before:.0%} of the step before"
        before = count
        width = count * room / most
        shade = "faint" if kind is StepKind.EXPIRED else "bar"
        rows.append(
            f"<text class='soft' x='0' y='{y + 24}'>{escape(LABELS[kind])}</text>"
            f"<rect class='{shade}' x='{_LEFT}' y='{y + 7}' width='{max(width, 1):.1f}' "
            f"height='26' rx='5'/>"
            f"<text x='{_LEFT + width + 10:.1f}' y='{y + 24}'>{count:,}"
            f"<tspan class='soft' dx='8'>{kept}</tspan></text>"
        )
    return _svg("Steps of the funnel", len(StepKind) * _ROW, "".join(rows))


def _chart(found: FunnelReport) -> str:
    """Prompts shown, and paid of them, one pair of bars for each period."""
    if found.by not in {"day", "week", "month"} or not 1 < len(found.slices) <= _BARS:
        return ""
    most = max([1, *(one.steps[StepKind.PROMPT_SHOWN] for one in found.slices)])
    step, bars = _WIDTH / len(found.slices), []
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
    drawn = _svg("Prompts shown and paid", _CHART + _FOOT, "".join(bars))
    note = "<p class='note'>Pale: prompts shown. Strong: paid.</p>"
    return f"<section><h2>Prompts and purchases</h2>{drawn}{note}</section>"


def _svg(label: str, height: int, drawn: str) -> str:
    return (
        f"<svg viewBox='0 0 {_WIDTH} {height}' role='img' aria-label='{escape(label)}'>"
        f"{drawn}</svg>"
    )


def _table(found: FunnelReport) -> str:
    heads = "".join(f"<th>{escape(LABELS[kind])}</th>" for kind in StepKind)
    rows = "".join(map(_row, found.slices))
    known = any(one.users for one in found.slices)
    note = "<p class='note'>Small: how many users these were.</p>" if known else ""
    return (
        f"<table><thead><tr><th>{escape(found.by)}</th>{heads}<th>conversion</th><th>paid</th>"
        f"<th>an order</th></tr></thead><tbody>{rows}</tbody></table>{note}"
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
