"""Throughput over the number of clients: one SVG, readable on light and on dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 860, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 190, 50, 60
_COLOURS = ("#2563eb", "#0e8a6a")


@dataclass(frozen=True, slots=True)
class Curve:
    """``points``: (clients, checks a second); the clients double from point to point."""

    name: str
    points: Sequence[tuple[int, float]]


def svg(curves: Sequence[Curve], facts: str) -> str:
    """The whole picture."""
    highest = max(value for curve in curves for _, value in curve.points) * 1.1
    clients = [n for n, _ in curves[0].points]
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(clients) - 1, 1)
    floor = _HEIGHT - _BOTTOM

    def y(value: float) -> float:
        return floor - (floor - _TOP) * value / highest

    parts = ['<text class="title" x="14" y="28">Checks a second, by clients at a time</text>']
    for tick in range(5):
        value = highest / 1.1 * tick / 4
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" '
            f'y2="{y(value):.1f}"/><text class="note" x="{_LEFT - 8}" y="{y(value) + 4:.1f}" '
            f'text-anchor="end">{value:,.0f}</text>'
        )
    parts += [
        f'<text class="note" x="{_LEFT + step * at:.1f}" y="{floor + 18}" '
        f'text-anchor="middle">{n}</text>'
        for at, n in enumerate(clients)
    ]
    for curve, colour in zip(curves, _COLOURS, strict=True):
        places = [(_LEFT + step * at, y(value)) for at, (_, value) in enumerate(curve.points)]
        line = " ".join(f"{x:.1f},{top:.1f}" for x, top in places)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
        )
        parts += [
            f'<circle cx="{x:.1f}" cy="{top:.1f}" r="4" fill="{colour}"/>' for x, top in places
        ]
        x, top = places[-1]
        parts.append(f'<text x="{x + 12:.1f}" y="{top + 4:.1f}">{escape(curve.name)}</text>')
    parts.append(f'<text class="note" x="14" y="{_HEIGHT - 14}">{escape(facts)}</text>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'width="{_WIDTH}" height="{_HEIGHT}" role="img" '
            'aria-label="Checks a second by the number of clients, in both modes">',
            "<style>"
            "text{font:13px system-ui,sans-serif;fill:#1f2937}"
            ".title{font-weight:600;font-size:15px}.note{font-size:11px;fill:#6b7280}"
            ".page{fill:#ffffff}.grid{stroke:#9ca3af;stroke-opacity:.35}"
            "@media(prefers-color-scheme:dark){text{fill:#e5e7eb}.note{fill:#9ca3af}"
            ".page{fill:#111827}}"
            "</style>",
            f'<rect class="page" width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>',
            *parts,
            "</svg>\n",
        ]
    )
