"""``python -m tests.kills.concurrency [--seeds N] [--seed FIRST]``: exit 1 when a seed fails."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.kills.crowd import Figures, run
from tests.support.redis_stack import redis_stack

#: Seeds that share a Redis.
_TOGETHER = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Play many seeds."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills.concurrency", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--reservations", type=int, default=1_000, help="a seed (default: 1000)")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    console = Console()
    started = time.monotonic()
    seeds = range(options.seed, options.seed + options.seeds)
    columns = (TextColumn("seeds"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    found: list[Figures] = []
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(seeds))
        for some in _play(seeds, options.reservations, options.processes):
            found += some
            progress.advance(task, len(some))
    failed = [figures for figures in found if figures.wrong]
    for figures in failed[:10]:
        console.print(f"seed {figures.seed}: {figures.wrong[:5]}", markup=False, highlight=False)
    admitted, refused = sum(f.admitted for f in found), sum(f.refused for f in found)
    console.print(
        f"{len(found) - len(failed)} of {len(found)} seeds exact in "
        f"{time.monotonic() - started:.0f} s: {admitted} admitted, {refused} refused, "
        f"{sum(f.settled for f in found)} settled, {sum(f.looks for f in found)} states looked at",
        highlight=False,
    )
    return 1 if failed else 0


def _play(seeds: range, reservations: int, processes: int) -> Iterator[list[Figures]]:
    chunks = [seeds[n : n + _TOGETHER] for n in range(0, len(seeds), _TOGETHER)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(_some, chunk, reservations) for chunk in chunks]
        for done in as_completed(tasks):
            yield done.result()


def _some(seeds: range, reservations: int) -> list[Figures]:
    with redis_stack() as redis:
        return [run(redis, seed, reservations) for seed in seeds]


if __name__ == "__main__":
    sys.exit(main())
