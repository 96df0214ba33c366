"""What the pages of reports share: no script, nothing from elsewhere, charts as inline SVG."""

from collections.abc import Iterable
from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #16202c; --soft: #5b6b7c; --line: #dfe5eb;
  --paper: #fff; --back: #f4f6f8; --bar: #2f6fed; --faint: #c9dafc;
  --loss: #c8372d; --gain: #17803d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf3; --soft: #9aa9b8; --line: #2c3845;
  --paper: #18212b; --back: #10161d; --bar: #6a9bff; --faint: #27406f;
  --loss: #ff7b70; --gain: #5fce84; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 20px; }
h1 { font-size: 26px; margin: 0; letter-spacing: -.02em; }
h2 { font-size: 16px; margin: 0 0 16px; }
.sub { color: var(--soft); margin: 4px 0 28px; }
.figures { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); }
section, .figure { background: var(--paper); border: 1px solid var(--line); border-radius: 14px;
  padding: 20px 22px; }
section { margin-top: 20px; overflow-x: auto; }
.figure { padding: 18px; }
.figure b { display: block; font-size: clamp(19px, 1.1vw + 12px, 24px); letter-spacing: -.02em;
  line-height: 1.25; font-variant-numeric: tabular-nums; }
.figure span, .note { color: var(--soft); font-size: 13px; }
svg { display: block; width: 100%; min-width: 720px; height: auto; overflow: visible; }
svg.fits { min-width: 0; }
svg + table { margin-top: 14px; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
svg .soft { fill: var(--soft); } svg .bar { fill: var(--bar); } svg .faint { fill: var(--faint); }
svg .loss { fill: var(--loss); } svg .gain { fill: var(--gain); } svg .line { fill: var(--soft); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-size: 12px; font-weight: 600; }
th, td { text-align: right; vertical-align: top; padding: 8px; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr:last-child td { border-bottom: 0; }
td small { display: block; color: var(--soft); font-size: 12px; }
"""

#: A chart's width, in its own units.
WIDTH = 940


def document(title: str, dates: str, figures: Iterable[str], sections: Iterable[str]) -> str:
    """A whole page; ``figures`` and ``sections`` are HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(title)}</h1><p class='sub'>{escape(dates)}</p>"
        f"<div class='figures'>{''.join(figures)}</div>{''.join(sections)}</main></body></html>\n"
    )


def section(heading: str, content: str) -> str:
    """``content`` is HTML."""
    return f"<section><h2>{escape(heading)}</h2>{content}</section>"


def note(text: str) -> str:
    """Small print."""
    return f"<p class='note'>{escape(text)}</p>"


def figure(value: str, label: str) -> str:
    """One of the large figures at the head of a page."""
    return f"<div class='figure'><b>{escape(value)}</b><span>{escape(label)}</span></div>"


def svg(label: str, height: int, drawn: str, *, fits: bool = False) -> str:
    """``drawn`` is SVG, WIDTH wide. ``fits``: it has no text that a phone would make too small."""
    css = " class='fits'" if fits else ""
    box = f"viewBox='0 0 {WIDTH} {height}'"
    return f"<svg{css} {box} role='img' aria-label='{escape(label)}'>{drawn}</svg>"
