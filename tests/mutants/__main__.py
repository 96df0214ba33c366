"""``python -m tests.mutants [--only TEXT] [--jobs N] [--show]``: exit 1 when a bug survives."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant, copy_sources
from tests.mutants.runner import Outcome, Verdict, baseline, hunt

_STYLE = {Outcome.CAUGHT: "green", Outcome.SURVIVED: "bold red", Outcome.BROKEN: "bold magenta"}
_WIDE = 150


def main(arguments: Sequence[str] | None = None) -> int:
    """Hunt all mutants, or those that ``--only`` names."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="mutants whose name holds this")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (default: 2)")
    parser.add_argument("--show", action="store_true", help="print what pytest said of each")
    options = parser.parse_args(arguments)
    console = Console()
    mutants = [mutant for mutant in MUTANTS if options.only in mutant.name]
    if not mutants:
        console.print(f"no mutant's name holds {options.only!r}")
        return 2

    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tollkeeper-mutants-") as folder:
        # Copied once: whoever edits the source meanwhile changes nothing of what is tried.
        sources = Path(folder)
        copy_sources(sources)
        with console.status("the tests without a bug"):
            sound, output = baseline(sources, mutants)
        if not sound:
            console.print(output, markup=False, highlight=False)
            console.print("[bold red]The tests fail without any bug planted: nothing can be said.")
            return 1
        verdicts = _hunt(console, sources, mutants, options.jobs)
    if options.show:
        for verdict in verdicts:
            console.rule(verdict.mutant.name)
            console.print(verdict.output, markup=False, highlight=False)
    console.print(_table(verdicts, console.width))
    for verdict in verdicts:
        if verdict.outcome is not Outcome.CAUGHT:
            says = f"{verdict.outcome}: {verdict.mutant.name}: {verdict.mutant.harm} {verdict.by}"
            console.print(says, style=_STYLE[verdict.outcome], markup=False)
    caught = sum(verdict.outcome is Outcome.CAUGHT for verdict in verdicts)
    console.print(f"{caught} of {len(verdicts)} caught in {time.monotonic() - started:.0f} s")
    return 0 if caught == len(verdicts) else 1


def _hunt(console: Console, sources: Path, mutants: Sequence[Mutant], jobs: int) -> list[Verdict]:
    """In the catalogue's order."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    verdicts = []
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task("planted bugs", total=len(mutants))
        for verdict in hunt(sources, mutants, jobs):
            verdicts.append(verdict)
            progress.advance(task)
    return sorted(verdicts, key=lambda verdict: mutants.index(verdict.mutant))


def _table(verdicts: Sequence[Verdict], width: int) -> Table:
    """One line a bug; what it would do to the world where there is room."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True)
    table.add_column("planted bug", no_wrap=True)
    if width >= _WIDE:
        table.add_column("what would go wrong", no_wrap=True, ratio=5)
    table.add_column("outcome", no_wrap=True)
    table.add_column("seen by", no_wrap=True, ratio=4)
    table.add_column("s", justify="right", no_wrap=True)
    for verdict in verdicts:
        table.add_row(
            verdict.mutant.name,
            *([verdict.mutant.harm] if width >= _WIDE else []),
            f"[{_STYLE[verdict.outcome]}]{verdict.outcome}",
            escape(verdict.by.rpartition("::")[2]),
            f"{verdict.seconds:.0f}",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
