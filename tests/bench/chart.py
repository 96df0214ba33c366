"""The ratios as bars beside their targets: one SVG, readable on light and on dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tests.bench.findings import Finding

_WIDTH, _LABEL, _RIGHT = 860, 330, 70
_ROW, _BAR, _HEAD, _GAP = 30, 16, 52, 20
_MET, _MISSED, _TARGET = "#0e8a6a", "#c2410c", "#6b7280"


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars that share a target. ``key``: the findings' ``chart``."""

    key: str
    title: str


PANELS = (
    Panel("growth", "Cost of a check against the small end (lower is better)"),
    Panel("settle", "Events settled in the time of one alone (higher is better)"),
)


def svg(findings: Sequence[Finding], facts: str) -> str:
    """The whole picture."""
    parts: list[str] = []
    top = 14
    for panel in PANELS:
        bars = [finding for finding in findings if finding.chart == panel.key]
        if bars:
            parts += _panel(panel, bars, top)
            top += _HEAD + _ROW * len(bars) + _GAP
    parts.append(f'<text class="note" x="14" y="{top + 8}">{escape(facts)}</text>')
    height = top + 24
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            f'width="{_WIDTH}" height="{height}" role="img" '
            'aria-label="Ratios of the benchmark beside their targets">',
            "<style>"
            "text{font:13px system-ui,sans-serif;fill:#1f2937}"
            ".title{font-weight:600;font-size:15px}.note{font-size:11px;fill:#6b7280}"
            ".page{fill:#ffffff}.spread{stroke:#111827;stroke-width:2;stroke-opacity:.6}"
            "@media(prefers-color-scheme:dark){text{fill:#e5e7eb}.note{fill:#9ca3af}"
            ".page{fill:#111827}.spread{stroke:#f9fafb}}"
            "</style>",
            f'<rect class="page" width="{_WIDTH}" height="{height}" rx="8"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _panel(panel: Panel, bars: Sequence[Finding], top: int) -> list[str]:
    target = next((bar.target.bound for bar in bars if bar.target), 0.0)
    highest = max([target, *(bar.value.high for bar in bars)]) * 1.05
    scale = (_WIDTH - _LABEL - _RIGHT) / highest
    parts = [f'<text class="title" x="14" y="{top + 16}">{escape(panel.title)}</text>']
    first = top + _HEAD
    for row, bar in enumerate(bars):
        middle = first + row * _ROW + _ROW // 2
        value = bar.value
        colour = _MET if bar.met else _MISSED
        parts += [
            f'<text x="{_LABEL - 10}" y="{middle + 4}" text-anchor="end">{escape(bar.what)}</text>',
            f'<rect x="{_LABEL}" y="{middle - _BAR // 2}" width="{value.median * scale:.1f}" '
            f'height="{_BAR}" rx="3" fill="{colour}"/>',
            f'<line x1="{_LABEL + value.low * scale:.1f}" x2="{_LABEL + value.high * scale:.1f}" '
            f'y1="{middle}" y2="{middle}" class="spread"/>',
            f'<text x="{_WIDTH - 16}" y="{middle + 4}" text-anchor="end">{bar.shown}</text>',
        ]
    at = _LABEL + target * scale
    bottom = first + len(bars) * _ROW
    parts += [
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{first - 6}" y2="{bottom}" stroke="{_TARGET}" '
        'stroke-width="1.5" stroke-dasharray="5 4"/>',
        f'<text class="note" x="{at:.1f}" y="{first - 12}" text-anchor="middle">'
        f"target {target:g}×</text>",
    ]
    return parts
