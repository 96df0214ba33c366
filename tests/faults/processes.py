"""Seeds shared out among processes, each with a world of its own."""

import signal
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
    workers = [context.Process(target=_work, args=(share, results)) for share in shares]
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


def _work(seeds: range, results: "Queue[Result]") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear
    parent = parent_process()
    with world() as opened:
        for seed in seeds:
            if parent is None or not parent.is_alive():
                return
            try:
                results.put((seed, opened.run(seed), ""))
            except FaultRunError as error:
                results.put((seed, None, str(error)))
