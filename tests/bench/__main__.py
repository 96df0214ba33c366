"""``python -m tests.bench [--quick] [--seed N] [--out FOLDER]``."""

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

from rich.console import Console

from tests.bench import footprint, growth, overhead, settling
from tests.bench.chart import svg
from tests.bench.findings import Finding
from tests.bench.functions import wired
from tests.bench.report import Facts, page, show
from tests.bench.scale import FULL, QUICK
from tests.bench.world import open_world

_RESULTS = Path(__file__).parents[2] / "docs/bench"
_SEED = 20_261_125


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and write the page unless the run is a quick one."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a run that only shows that it runs")
    parser.add_argument("--seed", type=int, default=_SEED)
    parser.add_argument("--out", type=Path, help="where ledger.md and ledger.svg are written")
    options = parser.parse_args(arguments)
    console = Console()
    out = options.out or (None if options.quick else _RESULTS)
    scale, rng, began = QUICK if options.quick else FULL, Random(options.seed), time.monotonic()
    console.print(f"seed {options.seed}")

    findings: list[Finding] = []
    with open_world() as world, console.status("") as status:
        facts = Facts.here(world.direct.info("server")["redis_version"], options.seed)

        def take(doing: str, found: Iterable[Finding]) -> None:
            status.update(doing)
            for finding in found:
                findings.append(finding)
                console.print(f"  {finding.what}: {finding.shown}", style="dim", highlight=False)

        take("bytes and commands", footprint.measure(world, scale))
        take("a check as things grow", growth.measure(world, scale, rng))
        with wired(world) as functions:
            take("what Python adds", overhead.measure(world, functions, scale, rng))
            take("settling in batches", settling.measure(world, functions, scale, rng))
    show(console, findings, facts)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        notes = Path(__file__).with_name("notes.md")
        text = page("What the ledger costs", findings, facts, notes, "ledger.svg")
        (out / "ledger.md").write_text(text, "utf-8")
        (out / "ledger.svg").write_text(svg(findings, str(facts)), "utf-8")
        console.print(f"written to {out}")
    console.print(f"{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
