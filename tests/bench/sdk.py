"""``python -m tests.bench.sdk [--quick] [--seed N] [--out FOLDER]``: what the SDK adds."""

import argparse
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from time import perf_counter_ns
from typing import Any

from openai import OpenAI
from rich.console import Console
from tollkeeper import Tollkeeper

from tests.bench.findings import Finding, Target, milliseconds
from tests.bench.report import Facts, page, show
from tests.bench.timing import Cost, Turn, race, wall, wall_ratio
from tests.bench.world import serving
from tests.support.scripted_tollkeeper import KEY

RESULTS = Path(__file__).parents[2] / "docs/bench"
SEED = 20_261_125
CALL, IMPORT = "A call through the SDK", "Importing the SDK"
_WRITES_NO_BYTE_CODE = "PYTHONDONTWRITEBYTECODE"
CHUNK_TARGET, IMPORT_TARGET = Target(1.1), Target(1.25)
REQUEST: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "How do I plan a small vegetable garden?"}],
    "max_tokens": 20,
}


class Calls:
    """The same call, wrapped and not, and the check alone."""

    def __init__(self, client: OpenAI, tk: Tollkeeper, operations: int) -> None:
        self._plain: Callable[..., Any] = client.chat.completions.create
        self._wrapped: Callable[..., Any] = tk.wrap(client.chat.completions.create)
        self._tk = tk
        self._operations = operations

    def plain(self, *, whole: bool) -> Turn:
        """Without Tollkeeper."""
        return self._turn(lambda: self._streamed(self._plain, whole))

    def wrapped(self, *, whole: bool) -> Turn:
        """As the app calls it."""
        named = {"tollkeeper_user": "ada"}
        return self._turn(lambda: self._streamed(self._wrapped, whole, **named))

    def check(self) -> Turn:
        """What a wrapped call asks before."""
        return self._turn(self._checked)

    def _turn(self, operation: Callable[[], float]) -> Turn:
        def once() -> float:
            took = operation()
            self._tk.flush()  # in the background, and not while the next one is timed
            return took

        def turn() -> Cost:
            return Cost(statistics.median(once() for _ in range(self._operations)), 0)

        return turn

    def _checked(self) -> float:
        began = perf_counter_ns()
        self._tk.check(
            user_id="ada",
            provider="openai",
            model="gpt-4o-mini",
            input_tokens=40,
            max_output_tokens=4_096,
        )
        return (perf_counter_ns() - began) / 1_000

    @staticmethod
    def _streamed(create: Callable[..., Any], whole: bool, **named: str) -> float:
        began = perf_counter_ns()
        with closing(create(**REQUEST, stream=True, **named)) as stream:
            next(stream)
            took = (perf_counter_ns() - began) / 1_000
            for _ in stream:
                pass
            return (perf_counter_ns() - began) / 1_000 if whole else took


def measure_calls(calls: Calls, rounds: int, rng: Random) -> Iterator[Finding]:
    """To the first chunk and to the last: against the unwrapped call and the check together."""
    for what, whole in (("first", False), ("last", True)):
        contenders = {
            "plain": calls.plain(whole=whole),
            "wrapped": calls.wrapped(whole=whole),
            "check": calls.check(),
        }
        costs = race(contenders, rounds, rng)
        both = [
            Cost(a.wall_us + b.wall_us, 0)
            for a, b in zip(costs["plain"], costs["check"], strict=True)
        ]
        times = f"{milliseconds(wall(costs['wrapped']))} against "
        times += f"{milliseconds(wall(costs['plain']))} and {milliseconds(wall(costs['check']))}"
        ratio = wall_ratio(costs["wrapped"], both)
        yield Finding(CALL, f"time to the {what} chunk", ratio, "×", times, CHUNK_TARGET)


def measure_import(rounds: int, rng: Random) -> Iterator[Finding]:
    """Beside httpx, which it needs: in processes of their own."""
    names = {"httpx": "import httpx", "both": "import httpx, tollkeeper"}
    costs = race({name: importing(code) for name, code in names.items()}, rounds, rng)
    ratio = wall_ratio(costs["both"], costs["httpx"])
    times = f"{milliseconds(wall(costs['both']))} against {milliseconds(wall(costs['httpx']))}"
    what = "httpx and tollkeeper, against httpx"
    yield Finding(IMPORT, what, ratio, "×", times, IMPORT_TARGET)


def importing(code: str, *run: str | Path, before: str = "") -> Turn:
    """What code that imports takes of the processor in a process that has imported nothing yet: it
    waits for nothing, and whoever else runs disturbs the clock on the wall.

    With byte code of the round before, as it is wherever something is installed. ``run``: which
    Python, this one where it is not given; ``before``: what it does first, which is not counted.
    """
    clock = "from time import process_time_ns as t"
    timed = f"{before}{clock}; b = t(); {code}; print((t() - b) / 1e3)"
    command = [*(run or (sys.executable,)), "-c", timed]
    env = {name: value for name, value in os.environ.items() if name != _WRITES_NO_BYTE_CODE}

    def turn() -> Cost:
        done = subprocess.run(command, check=True, capture_output=True, env=env)
        return Cost(float(done.stdout), 0)

    return turn


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and write the page unless the run is a quick one."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sdk", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a run that only shows that it runs")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, help="where sdk.md is written")
    options = parser.parse_args(arguments)
    console, rng, began = Console(), Random(options.seed), time.monotonic()
    out = options.out or (None if options.quick else RESULTS)
    rounds, operations, imports = (1, 2, 1) if options.quick else (20, 8, 20)
    facts, findings = Facts.here("", options.seed), list[Finding]()

    def take(found: Iterable[Finding]) -> None:
        for finding in found:
            findings.append(finding)
            console.print(f"  {finding.what}: {finding.shown}", style="dim", highlight=False)

    with (
        serving("tests.bench.sdk_server", "provider") as provider,
        serving("tests.bench.sdk_server", "tollkeeper") as tollkeeper,
        OpenAI(base_url=f"{provider}/v1", api_key="sk-bench", max_retries=0) as client,
        Tollkeeper(tollkeeper, KEY, timeout_s=10) as tk,
    ):
        take(measure_calls(Calls(client, tk, operations), rounds, rng))
    gc.collect()
    take(measure_import(imports, rng))
    show(console, findings, facts)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        notes = Path(__file__).with_name("sdk_notes.md")
        (out / "sdk.md").write_text(page("What the SDK costs", findings, facts, notes), "utf-8")
        console.print(f"written to {out}")
    console.print(f"{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
