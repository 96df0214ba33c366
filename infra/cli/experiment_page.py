"""The report of an experiment as one page (page_parts)."""

from collections.abc import Iterator
from datetime import datetime
from html import escape

from tollkeeper_core.services.experiment_results import (
    Arm,
    Difference,
    ExperimentReport,
    Verdict,
)

from infra.cli.experiment_words import (
    arm_name,
    between,
    conversion,
    paid,
    remarks,
    signed,
    usd,
    verdict,
)
from infra.cli.page_parts import WIDTH, document, figure, note, section, svg
from infra.cli.profit_words import dollars

_ROW, _NAMES, _FOOT = 58, 170, 24
_SHADES = {Verdict.BETTER: "gain", Verdict.WORSE: "loss"}


def page(found: ExperimentReport, stage: str, made: datetime) -> str:
    """A whole document."""
    first, last = found.months[0], found.months[-1]
    span = first if first == last else f"{first} to {last}"
    small = "".join(map(note, remarks(found)))
    return document(
        f"Experiment {found.name} of {stage}",
        f"{span}, made {made:%Y-%m-%d %H:%M} UTC",
        _figures(found),
        [
            section("Profit per user shown, less the hold-out's", _chart(found)),
            section("What each came to", _table(found) + small),
        ],
    )


def _figures(found: ExperimentReport) -> Iterator[str]:
    yield figure(f"{sum(arm.users for arm in found.arms):,}", "users were shown the page")
    yield figure(f"{sum(arm.buyers for arm in found.arms):,}", "of them bought")
    held_out = found.arms[0].profit
    if held_out is not None:
        yield figure(usd(held_out.mean), "profit per user of the hold-out")


def _chart(found: ExperimentReport) -> str:
    """Each difference as a line with its ends, zero in the middle."""
    differences = found.differences
    ends = [end for d in differences if d.interval for end in (d.interval.low, d.interval.high)]
    most = max([abs(end) for end in ends], default=0.0) or 1.0
    room = (WIDTH - _NAMES) / 2 - 8
    zero, height = WIDTH - room - 8, len(differences) * _ROW
    drawn = [
        f"<rect class='line' x='{zero - 0.5:.1f}' y='0' width='1' height='{height}'/>",
        f"<text class='soft' x='{zero:.1f}' y='{height + 17}' text-anchor='middle'>"
        "as the hold-out</text>",
    ]
    for n, one in enumerate(differences):
        drawn.append(_line(one, found, n * _ROW, zero, room / most))
    return svg("Differences to the hold-out", height + _FOOT, "".join(drawn))


def _line(one: Difference, found: ExperimentReport, y: int, zero: float, unit: float) -> str:
    name = f"<text x='0' y='{y + 24}'>{escape(arm_name(one.arm))}</text>"
    said = escape(verdict(one, found))
    small = f"<text class='soft' x='0' y='{y + 41}'>"
    if one.interval is None or one.usd is None:
        return f"{name}{small}{said}</text>"
    low, at, high = (zero + v * unit for v in (one.interval.low, one.usd, one.interval.high))
    shade = _SHADES.get(one.verdict, "bar")
    caps = "".join(
        f"<rect class='{shade}' x='{x - 1:.1f}' y='{y + 20}' width='2' height='16'/>"
        for x in (low, high)
    )
    told = f"{signed(one.usd)}, {between(one.interval)}"
    return (
        f"{name}{small}{said}</text>"
        f"<g><title>{escape(told)}</title>{caps}"
        f"<rect class='{shade}' x='{low:.1f}' y='{y + 27}' width='{high - low:.1f}' height='2'/>"
        f"<circle class='{shade}' cx='{at:.1f}' cy='{y + 28}' r='6'/></g>"
        f"<text x='{at:.1f}' y='{y + 14}' text-anchor='middle'>{escape(signed(one.usd))}</text>"
    )


def _table(found: ExperimentReport) -> str:
    heads = ("", "users shown", "buyers", "conversion", "paid", "profit", "profit per user")
    head = "".join(f"<th>{text}</th>" for text in heads)
    rows = "".join(map(_row, found.arms))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(arm: Arm) -> str:
    seen, where = conversion(arm)
    mean = "–" if arm.profit is None else usd(arm.profit.mean)
    cells = [
        f"{arm.users:,}",
        f"{arm.buyers:,}",
        f"{seen}<small>{where}</small>",
        "<br>".join(map(escape, paid(arm))),
        escape(dollars(arm.profit_usd)),
        f"{escape(mean)}<small>{escape(between(arm.per_user))}</small>",
    ]
    name = escape(arm_name(arm.name))
    return f"<tr><td>{name}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
