"""``python -m tests.faults [--runs N] [--seed FIRST] [--processes N] [--replay SEED]``.

Exit 1 when a run fails; its seed and its whole log are printed, and ``--replay`` plays it again.
Stopped before its end (Ctrl-C, SIGTERM) it tells what it had until then, and exits 1.
"""

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from tests.faults.processes import play
from tests.faults.runs import REPLAY_DEADLINE_S, FaultRunError, Figures, world
from tests.faults.schedule import Fault


def main(arguments: Sequence[str] | None = None) -> int:
    """Play many seeds, or one again."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--replay", type=int, metavar="SEED", help="play this seed, show its log")
    options = parser.parse_args(arguments)
    console = Console()
    if options.replay is not None:
        return _replay(console, options.replay)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    seeds = range(options.seed, options.seed + options.runs)
    figures, failures = _play(console, seeds, options.processes)
    for _, message in failures[:3]:
        console.print(message, markup=False, highlight=False)
    console.print(_table(figures))
    seconds = time.monotonic() - started
    seen = f"{len(figures)} of {len(seeds)} runs equal to the nano in {seconds:.0f} s"
    console.print(f"{seen}, seeds {seeds.start} to {seeds.stop - 1}", highlight=False)
    if failures:
        shown = " ".join(str(seed) for seed, _ in failures[:20])
        console.print(f"[bold red]{len(failures)} failed: python -m tests.faults --replay {shown}")
    return 0 if len(figures) == len(seeds) else 1


def _replay(console: Console, seed: int) -> int:
    with world(REPLAY_DEADLINE_S) as opened:
        try:
            opened.run(seed)
        except FaultRunError as error:
            console.print(str(error), markup=False, highlight=False)
            return 1
        console.print("\n".join(opened.proxy.log), markup=False, highlight=False)
    console.print(f"seed {seed}: equal to the nano")
    return 0


def _play(
    console: Console, seeds: range, processes: int
) -> tuple[list[Figures], list[tuple[int, str]]]:
    figures: list[Figures] = []
    failures: list[tuple[int, str]] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("fault runs", total=len(seeds))
        with (
            contextlib.suppress(KeyboardInterrupt),
            contextlib.closing(play(seeds, processes)) as results,
        ):
            for seed, run, message in results:
                if run is None:
                    failures.append((seed, message))
                else:
                    figures.append(run)
                progress.advance(task)
    return figures, failures


def _table(figures: Sequence[Figures]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("fault runs")
    table.add_column("", justify="right")
    rows = {
        "runs": len(figures),
        "operations": sum(f.operations for f in figures),
        "asked again": sum(f.repeats for f in figures),
        "requests": sum(f.faults.total() for f in figures),
        **{f"  {fault}": sum(f.faults[fault] for f in figures) for fault in Fault},
        "effects whose answer was lost": sum(f.lost for f in figures),
        "deadlines missed by the machine, not the schedule": sum(f.late_machine for f in figures),
    }
    for name, number in rows.items():
        table.add_row(name, f"{number:,}")
    return table


if __name__ == "__main__":
    sys.exit(main())
