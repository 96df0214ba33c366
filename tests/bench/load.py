"""``python -m tests.bench.load [--quick] [--out FOLDER]``: what was built, under load.

The output of `sam build` runs as in Lambda, function by function in processes of their own; the
clients are the SDK's, in this process, by the function's URL and in direct mode, in turns.
"""

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from statistics import median, quantiles

import httpx
from rich.console import Console
from tollkeeper import BlockedError, Tollkeeper

from infra.local.built import build_for_this_machine
from infra.local.lambdas.python import lambda_python
from infra.local.layout import Settings
from infra.local.stack import LocalStack
from tests.bench.curves import Curve, svg
from tests.bench.findings import Finding, Target, milliseconds
from tests.bench.report import Facts, page
from tests.bench.sdk import importing
from tests.bench.timing import Cost, Spread, race, timed_us, wall, wall_ratio

RESULTS = Path(__file__).parents[2] / "docs/bench"
SEED = 20_261_125
MODES = {"url": "by the function's URL", "direct": "direct"}
IMPORT_TARGET = Target(1.15)
HANDLER = "import functions.intercept.app"
PARTS = "import upstash_redis, pydantic; from aws_lambda_powertools import Logger"
A_MODEL = "exec('class A(pydantic.BaseModel):\\n a: int = pydantic.Field(ge=0)')"
DEADLINE_S = 30.0
_BLOCKS = 10


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is measured: of ``clients`` each, ``rounds`` of ``seconds``; ``samples`` else."""

    clients: tuple[int, ...]
    rounds: int
    seconds: float
    samples: int


FULL = Amount((1, 2, 4, 8, 16, 32, 64), 5, 0.8, 15)
QUICK = Amount((1, 4), 1, 0.2, 2)


@dataclass(slots=True)
class Level:
    """One number of clients in one mode, over all rounds. ``ms``: of every check."""

    a_second: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    failed: int = 0

    def cells(self) -> list[str]:
        """Throughput, p50, p99."""
        cuts = quantiles(self.ms, n=100)
        return [f"{median(self.a_second):,.0f}", f"{cuts[49]:.1f} ms", f"{cuts[98]:.1f} ms"]


Levels = Mapping[tuple[str, int], Level]


def measure_load(clients: Mapping[str, Tollkeeper], amount: Amount, rng: Random) -> Levels:
    """Every level once a round, in changing order; the first round warms up, uncounted."""
    levels = {(mode, n): Level() for mode in clients for n in amount.clients}
    order = list(levels)
    for number in range(amount.rounds + 1):
        rng.shuffle(order)
        for mode, n in order:
            level = levels[mode, n] if number else Level()
            _press(clients[mode], n, amount.seconds, level)
    return levels


def _press(tk: Tollkeeper, clients: int, seconds: float, level: Level) -> None:
    """So many clients ask one check after the other until the time is up."""
    began = time.perf_counter()

    def ask(client: int) -> None:
        number = 0
        while (asked := time.perf_counter()) < began + seconds:
            user, number = f"user {client}-{number % 20}", number + 1
            answer = tk.check(user_id=user, tier="free", amount_usd="0.000001")
            took.append((time.perf_counter() - asked) * 1000)
            failed.append(answer.degraded)

    took: list[float] = []
    failed: list[bool] = []
    threads = [threading.Thread(target=ask, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    level.a_second.append(len(took) / (time.perf_counter() - began))
    level.ms += took
    level.failed += sum(failed)


def measure_settling(by_url: Tollkeeper, direct: Tollkeeper, samples: int) -> Spread:
    """From the queue's having an event to its effect on the user's standing, in ms."""
    took = []
    for number in range(samples):
        user = f"settled {number}"
        by_url.report(user_id=user, cost_usd="0.01")
        if not by_url.flush(DEADLINE_S):
            raise RuntimeError("usage was not delivered")
        began = time.perf_counter()
        while direct.get_usage(user).daily_percent == 0:
            if time.perf_counter() > began + DEADLINE_S:
                raise RuntimeError("usage was not settled")
            time.sleep(0.005)
        took.append((time.perf_counter() - began) * 1000)
    return Spread.of(took)


def measure_blocking(tk: Tollkeeper, rounds: int, rng: Random) -> Finding:
    """Before a block is answered its step is queued: one message to SQS, which is moto here."""

    def asked(amount_usd: str) -> bool:
        try:
            return not tk.check(user_id="blocked", tier="free", amount_usd=amount_usd).degraded
        except BlockedError:
            return False

    def turn(amount_usd: str, allowed: bool) -> Cost:
        def ask() -> None:
            if asked(amount_usd) != allowed:
                raise RuntimeError(f"a check of {amount_usd} was not answered as it should be")

        return Cost(median(timed_us(ask) for _ in range(_BLOCKS)), 0)

    turns = {"block": partial(turn, "100000", False), "allow": partial(turn, "0.000001", True)}
    costs = race(turns, rounds, rng)
    times = f"{milliseconds(wall(costs['block']))} against {milliseconds(wall(costs['allow']))}"
    what = "a check that is blocked, against one that is allowed"
    return Finding("Blocking", what, wall_ratio(costs["block"], costs["allow"]), "×", times)


def measure_cold(stack: LocalStack, built: Path, samples: int) -> Spread:
    """From the end of every process of intercept to the first answered check, in ms."""
    took = []
    with httpx.Client(timeout=DEADLINE_S, trust_env=False) as client:
        for number in range(samples):
            processes = list(_processes(built.parent / "InterceptFunction"))
            began = time.perf_counter()
            for process in processes:
                os.kill(process, signal.SIGKILL)
            while not _answers(client, stack, number):
                if time.perf_counter() > began + DEADLINE_S:
                    raise RuntimeError("intercept did not come back")
            took.append((time.perf_counter() - began) * 1000)
    return Spread.of(took)


def _answers(client: httpx.Client, stack: LocalStack, number: int) -> bool:
    answer = client.post(
        f"{stack.urls['intercept']}/v1/check",
        headers={"Authorization": f"Bearer {stack.api_key}"},
        json={"user_id": f"cold {number}", "amount_usd": "0.001"},
    )
    return answer.status_code == 200


def _processes(task_root: Path) -> Iterator[int]:
    """Those of one function of the stack that this process started."""
    wanted = f"LAMBDA_TASK_ROOT={task_root}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in path.read_bytes().split(b"\0"):
                yield int(path.parent.name)
        except OSError:  # it has ended, or is another user's
            continue


def measure_import(built: Path, rounds: int, rng: Random) -> Iterator[Finding]:
    """Of the function's module as it was built, in processes that have what Lambda has.

    `import pydantic` alone is lazy, and loads nothing of what a model needs: hence two yardsticks.
    """
    codes = {"handler": HANDLER, "parts": PARTS, "model": f"{PARTS}; {A_MODEL}"}
    python = lambda_python()
    folders = (built / "InterceptFunction", built / "CoreLayer" / "python", python.packages)
    path = f"import sys; sys.path[:0] = {[str(folder) for folder in folders]!r}; "
    run = (python.executable, "-I", "-S")
    turns = {name: importing(code, *run, before=path) for name, code in codes.items()}
    costs = race(turns, rounds, rng)
    handler = milliseconds(wall(costs["handler"]))
    parts = "upstash_redis, pydantic and Powertools' Logger"
    for name, what, target in (
        ("parts", parts, IMPORT_TARGET),
        ("model", f"{parts}, and one small model", None),
    ):
        yield Finding(
            "Starting",
            f"import of functions.intercept.app against {what}",
            wall_ratio(costs["handler"], costs[name]),
            "×",
            f"{handler} against {milliseconds(wall(costs[name]))}",
            target,
        )


def table(levels: Levels, amount: Amount) -> list[str]:
    """The levels as Markdown: a line for each number of clients, both modes beside each other."""
    names = [f"{name}: {what}" for name in MODES.values() for what in ("checks/s", "p50", "p99")]
    lines = ["## Clients", "", f"| clients | {' | '.join(names)} |", "| ---: |" + " ---: |" * 6]
    for n in amount.clients:
        cells = [cell for mode in MODES for cell in levels[mode, n].cells()]
        lines.append(f"| {n} | {' | '.join(cells)} |")
    failed = sum(level.failed for level in levels.values())
    asked = sum(len(level.ms) for level in levels.values())
    return [*lines, "", f"Of {asked:,} checks {failed:,} went unanswered.", ""]


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, measure, and write the page unless the run is a quick one."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.load", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a run that only shows that it runs")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, help="where load.md and load.svg are written")
    parser.add_argument("--built", type=Path, help="the template of a build that is there already")
    options = parser.parse_args(arguments)
    console, rng = Console(), Random(options.seed)
    out = options.out or (None if options.quick else RESULTS)
    amount = QUICK if options.quick else FULL
    facts = Facts.here("", options.seed)
    with tempfile.TemporaryDirectory(prefix="tollkeeper-bench-") as folder:
        built = options.built or build_for_this_machine(Path(folder) / "built")
        with LocalStack(Settings(template=built, chat=False, token_delay_ms=0)) as stack:
            redis = {"redis_url": stack.upstash.url, "redis_token": stack.upstash.token}
            url, key = stack.urls["intercept"], stack.api_key
            with (
                Tollkeeper(url, key, timeout_s=DEADLINE_S) as by_url,
                Tollkeeper(url, key, timeout_s=DEADLINE_S, **redis) as direct,
            ):
                levels = measure_load({"url": by_url, "direct": direct}, amount, rng)
                settling = measure_settling(by_url, direct, amount.samples)
                blocking = measure_blocking(by_url, amount.samples, rng)
            cold = measure_cold(stack, built, amount.samples)
        imports = list(measure_import(built.parent, 2 * amount.samples, rng))
    findings = [
        Finding("Settling", "from the queue to the user's standing", settling, "ms",
                "of which the queue's batching window is a second"),
        Finding("Starting", "cold start of the built function, to the first answered check", cold,
                "ms", "no snapshot, no byte code: Lambda's SnapStart resumes past the imports"),
        blocking,
        *imports,
    ]  # fmt: skip
    lines = table(levels, amount)
    console.print("\n".join(lines), highlight=False)
    for finding in findings:
        console.print(f"{finding.what}: {finding.shown} ({finding.shown_spread})", highlight=False)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        notes = Path(__file__).with_name("load_notes.md")
        text = page("The check under load", findings, facts, notes, "load.svg")
        text = text.replace("Ratios beside their targets", "Checks a second, by clients")
        head, mark, tail = text.partition("## Settling")
        (out / "load.md").write_text(head + "\n".join(lines) + "\n" + mark + tail, "utf-8")
        (out / "load.svg").write_text(svg(_curves(levels, amount), str(facts)), "utf-8")
        console.print(f"written to {out}")
    return 0


def _curves(levels: Levels, amount: Amount) -> list[Curve]:
    return [
        Curve(name, [(n, median(levels[mode, n].a_second)) for n in amount.clients])
        for mode, name in MODES.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
