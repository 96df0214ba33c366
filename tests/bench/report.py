"""The findings as a table in the terminal and as a page."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table

from tests.bench.findings import Finding

_MET = {True: "met", False: "MISSED", None: ""}
_WIDE = 130
_STYLE = {True: "green", False: "bold red", None: ""}


@dataclass(frozen=True, slots=True)
class Facts:
    """Where and when it was measured. ``redis``: empty where none was."""

    cores: int
    processor: str
    python: str
    redis: str
    seed: int
    on: str
    load: float

    @classmethod
    def here(cls, redis: str, seed: int) -> "Facts":
        """This machine, now."""
        return cls(
            cores=len(os.sched_getaffinity(0)),
            processor=_processor(),
            python=platform.python_version(),
            redis=redis,
            seed=seed,
            on=f"{datetime.now(UTC):%Y-%m-%d}",
            load=os.getloadavg()[0],
        )

    def __str__(self) -> str:
        redis = f"Redis {self.redis}, " if self.redis else ""
        return (
            f"{self.on}, {self.cores} cores ({self.processor}), Python {self.python}, "
            f"{redis}seed {self.seed}, load {self.load:.1f} before it began"
        )


def show(console: Console, findings: Sequence[Finding], facts: Facts) -> None:
    """A table for each section."""
    for section, found in groupby(findings, key=lambda finding: finding.section):
        table = Table(title=section, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for name in ("what", "median", "9 of 10 in", "target", ""):
            justify: JustifyMethod = "right" if name == "median" else "left"
            table.add_column(name, justify=justify, no_wrap=name != "what")
        if console.width >= _WIDE:
            table.add_column("made of")
        for finding in found:
            met = finding.met
            verdict = f"[{_STYLE[met]}]{_MET[met]}" if met is not None else ""
            table.add_row(
                finding.what,
                finding.shown,
                finding.shown_spread,
                finding.shown_target,
                verdict,
                *([finding.detail] if console.width >= _WIDE else []),
            )
        console.print(table)
    console.print(str(facts))


def page(
    title: str, findings: Sequence[Finding], facts: Facts, notes: Path, chart: str = ""
) -> str:
    """Markdown: what was measured, how, and on what. ``notes``: what the numbers mean."""
    lines = [f"# {title}", "", f"Measured by `make bench` on {facts}.", ""]
    if chart:
        lines += [f"![Ratios beside their targets]({chart})", ""]
    lines.append(notes.read_text("utf-8").strip())
    for section, found in groupby(findings, key=lambda finding: finding.section):
        lines += ["", f"## {section}", ""]
        lines += ["| what | median | 9 of 10 lie in | target | | made of |"]
        lines += ["| --- | ---: | --- | --- | --- | --- |"]
        for finding in found:
            cells = (
                finding.what,
                finding.shown,
                finding.shown_spread,
                finding.shown_target,
                _MET[finding.met],
                finding.detail,
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
