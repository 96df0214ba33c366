"""``tollkeeper report --experiment``: each variant against the hold-out."""

from argparse import Namespace
from datetime import UTC, date, datetime

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text
from tollkeeper_core.adapters.books_bench import BooksBench
from tollkeeper_core.adapters.redis_books import RedisBooks
from tollkeeper_core.adapters.redis_funnel import RedisFunnel
from tollkeeper_core.adapters.step_bench import StepBench
from tollkeeper_core.domain.books import BooksSource
from tollkeeper_core.domain.confidence import BUYERS_MIN, Interval
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.experiments import SeenSource
from tollkeeper_core.domain.profit import rates_of
from tollkeeper_core.domain.record import RecordError
from tollkeeper_core.services.experiment_results import (
    Arm,
    Difference,
    ExperimentReport,
    ExperimentResults,
    Verdict,
)

from infra.cli.connection import Connection
from infra.cli.experiment_page import page
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
from infra.cli.output import look, put_out
from infra.cli.profit_words import dollars
from infra.cli.screen import console, say

#: With this for a name: the one that runs.
RUNNING = ""

_STRIP = 41
_COLOURS = {Verdict.BETTER: "green", Verdict.WORSE: "red"}


def experiment_report(at: Connection, config: Config, today: date, options: Namespace) -> int:
    """A request to Redis for some thousand users; with ``--from-archive`` the record instead."""
    if options.first or options.last:
        raise RecordError("An experiment is told from its first user on: without --from and --to.")
    running = config.experiment
    name = options.experiment or (running.name if running else None)
    if name is None:
        raise RecordError("No experiment runs: give the name of the one that you mean.")
    variants = [v.name for v in running.variants] if running and running.name == name else []

    def of(seen: SeenSource, books: BooksSource) -> ExperimentReport | None:
        settings = config.settings
        rates = rates_of(settings.report.usd_per)
        results = ExperimentResults(seen, books, rates, settings.calendar, today)
        return results.report(name, variants)

    found = look(
        options,
        lambda: of(RedisFunnel(at.admin), RedisBooks(at.admin)),
        lambda tell: of(StepBench(at.record, tell), BooksBench(at.record, tell)),
    )
    if found is None:
        raise RecordError(f"Nobody was shown the page in an experiment {name!r} so far.")
    return put_out(
        options,
        lambda: page(found, at.stage, datetime.now(UTC)),
        lambda: as_json(found),
        lambda: show(found),
    )


def as_json(found: ExperimentReport) -> dict[str, object]:
    """Sums are exact: minor units as integers, dollars as [numerator, denominator]. Means and
    intervals are not, and are decimals.
    """
    return {
        "experiment": found.name,
        "months": list(found.months),
        "alpha": found.alpha,
        "buyers_min": BUYERS_MIN,
        "unconverted": found.unconverted,
        "arms": list(map(_arm_json, found.arms)),
        "differences": list(map(_difference_json, found.differences)),
    }


def _arm_json(arm: Arm) -> dict[str, object]:
    sums = arm.sums
    return {
        "name": arm.name,
        "users": arm.users,
        "buyers": arm.buyers,
        "conversion_interval": _ends(arm.conversion),
        "cost_nano": sums.cost_nano,
        "paid_minor": dict(sorted(sums.paid_minor.items())),
        "refunded_minor": dict(sorted(sums.refunded_minor.items())),
        "fee_minor": dict(sorted(sums.fee_minor.items())),
        "profit_usd": [arm.profit_usd.numerator, arm.profit_usd.denominator],
        "profit_per_user_usd": arm.profit.mean if arm.profit else None,
        "profit_per_user_interval": _ends(arm.per_user),
    }


def _difference_json(one: Difference) -> dict[str, object]:
    return {
        "variant": one.arm,
        "usd": one.usd,
        "interval": _ends(one.interval),
        "verdict": one.verdict.value,
    }


def _ends(found: Interval | None) -> list[float] | None:
    return None if found is None else [found.low, found.high]


def show(found: ExperimentReport) -> None:
    """Tables, and the intervals of the differences as lines around zero."""
    say(f"Experiment {found.name}", "bold")
    _show_arms(found)
    _show_differences(found)
    for remark in remarks(found):
        say(remark, "dim")


def _show_arms(found: ExperimentReport) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("shown", no_wrap=True)
    for heading in ("users", "buyers", "conversion", "paid", "profit", "per user"):
        table.add_column(heading, justify="right", no_wrap=True)
    for arm in found.arms:
        mean = "–" if arm.profit is None else usd(arm.profit.mean)
        table.add_row(
            arm_name(arm.name),
            f"{arm.users:,}",
            f"{arm.buyers:,}",
            "\n".join(conversion(arm)),
            "\n".join(paid(arm)),
            dollars(arm.profit_usd),
            f"{mean}\n{between(arm.per_user)}",
        )
    console.print(table)


def _show_differences(found: ExperimentReport) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("profit per user", "less the hold-out's", ""):
        table.add_column(heading, no_wrap=True)
    ends = [d.interval for d in found.differences if d.interval is not None]
    most = max((max(abs(end.low), abs(end.high)) for end in ends), default=1.0)
    for one in found.differences:
        said = Text(verdict(one, found), _COLOURS.get(one.verdict, ""))
        table.add_row(
            arm_name(one.arm),
            f"{'–' if one.usd is None else signed(one.usd)}\n{between(one.interval)}",
            Text.assemble((_strip(one, most), "cyan"), "\n", said),
        )
    console.print(table)


def _strip(one: Difference, most: float) -> str:
    """The interval on a line whose middle is zero and whose end is ``most``."""
    middle = _STRIP // 2
    cells = [" "] * _STRIP
    cells[middle] = "│"
    if one.interval is not None and one.usd is not None and most:
        low, at, high = (
            middle + round(value / most * middle)
            for value in (one.interval.low, one.usd, one.interval.high)
        )
        cells[low : high + 1] = ["─"] * (high + 1 - low)
        if low <= middle <= high:
            cells[middle] = "┼"
        cells[at] = "●"
    return "".join(cells)
