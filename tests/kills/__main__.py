"""``python -m tests.kills [--kills N] [--seed S]``: exit 1 when anything was lost or doubled."""

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from tests.kills.aws import aws_server
from tests.kills.life import Point
from tests.kills.run import Figures, run
from tests.support.redis_stack import redis_stack

#: So many kills share an archive: it is compared often, and stays small.
_TOGETHER = 250


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill, compare, tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0, help="the first run's seed (default: 0)")
    options = parser.parse_args(arguments)
    console = Console()
    started = time.monotonic()
    found = _play(console, options.kills, options.seed)
    console.print(_table(found))
    events, twice = sum(f.events for f in found), sum(f.twice for f in found)
    kills, replayed = sum(f.kills for f in found), sum(f.replayed for f in found)
    console.print(
        f"{kills} kills in {time.monotonic() - started:.0f} s; {events} events, "
        f"{twice} of them sent twice, {replayed} settlements asked for again",
        highlight=False,
    )
    for figures in found:
        for wrong in figures.wrong[:20]:
            console.print(f"seed {figures.seed}: {wrong}", markup=False, highlight=False)
    if any(figures.wrong for figures in found):
        console.print("[bold red]something was lost or doubled")
        return 1
    console.print("every event settled once: archive and Redis equal to the nano, queues empty")
    return 0


def _play(console: Console, kills: int, seed: int) -> list[Figures]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    found: list[Figures] = []
    with (
        redis_stack() as redis,
        aws_server() as aws_url,
        Progress(*columns, console=console) as progress,
    ):
        task = progress.add_task("kills", total=kills)
        for first in range(0, kills, _TOGETHER):
            some = min(_TOGETHER, kills - first)
            progress.update(task, description=f"kills (seed {seed + len(found)})")
            tell = partial(_tell, progress, task, first)
            found.append(run(redis, aws_url, seed + len(found), some, tell))
    return found


def _tell(progress: Progress, task: TaskID, before: int, done: int) -> None:
    progress.update(task, completed=before + done)


def _table(found: Sequence[Figures]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("killed")
    table.add_column("there", justify="right")
    table.add_column("at a random time", justify="right")
    for point in Point:
        chosen, random = sum(f.chosen[point] for f in found), sum(f.random[point] for f in found)
        table.add_row(point, str(chosen), str(random))
    return table


if __name__ == "__main__":
    sys.exit(main())
