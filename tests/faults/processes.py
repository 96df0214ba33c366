"""Seeds shared out among processes, each with a world of its own."""

import os
import signal
import sys
from collections.abc import Generator
from multiprocessing import get_context, parent_process
from multiprocessing.queues import Queue
from queue import Empty

from tests.faults.runs import FaultRunError, Figures, world

_POLL_S = 1.0
#: A seed and its figures, or the message of its failure.
Result = tuple[int, Figures | None, str]


def play(seeds: range, processes: int) -> Generator[Result, None, None]:
    """The results as they come; fewer than there are seeds only where a process died."""
    context = get_context("spawn")
    results: Queue[Result] = context.Queue()
    shares = [seeds[n::processes] for n in range(processes)]
    workers = [
        context.Process(target=_work, args=(share, n, results)) for n, share in enumerate(shares)
    ]
    for worker in workers:
        worker.start()
    try:
        left = len(seeds)
        while left:
            alive = any(worker.is_alive() for worker in workers)
            try:
                yield results.get(timeout=_POLL_S)
            except Empty:
                if not alive:
                    break
            else:
                left -= 1
        for worker in workers:
            worker.join()
    finally:
        for worker in workers:
            worker.kill()
            worker.join()


def _work(seeds: range, number: int, results: "Queue[Result]") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear
    _stay_on_one_core(number)
    parent = parent_process()
    with world() as opened:
        for seed in seeds:
            if parent is None or not parent.is_alive():
                return
            try:
                results.put((seed, opened.run(seed), ""))
            except FaultRunError as error:
                results.put((seed, None, str(error)))


def _stay_on_one_core(number: int) -> None:
    """With the Redis that it starts: a request goes from thread to thread, of which one works at a
    time. Hand-overs between cores made a run a quarter dearer, and nothing faster.
    """
    if sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})
