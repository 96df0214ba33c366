"""The benchmarks of whole stacks run and write their pages. No time is judged here."""

import re
import subprocess
import sys
from pathlib import Path

from infra.local.layout import ROOT


def run(out: Path, module: str, *arguments: str) -> None:
    command = [sys.executable, "-m", module, "--quick", "--out", str(out), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


def rows(page: Path) -> dict[str, list[str]]:
    cells = [line.split("|")[1:-1] for line in page.read_text("utf-8").splitlines() if "|" in line]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in cells}


def test_the_load_of_what_was_built(built: Path, tmp_path: Path) -> None:
    run(tmp_path, "tests.bench.load", "--built", str(built))
    found = rows(tmp_path / "load.md")
    for clients in ("1", "4"):
        assert len(found[clients]) == 6
        assert all(float(cell.replace(",", "").split(" ")[0]) > 0 for cell in found[clients])
    text = (tmp_path / "load.md").read_text("utf-8")
    assert re.search(r"Of [1-9][0-9,]* checks 0 went unanswered\.", text)
    measured = {name for name, row in found.items() if row[0].endswith((" ms", "×"))}
    assert {name.partition(" ")[0] for name in measured} == {"from", "cold", "a", "import"}
    assert (tmp_path / "load.svg").read_text("utf-8").startswith("<svg")


def test_the_price_of_a_million_calls(tmp_path: Path) -> None:
    run(tmp_path, "tests.bench.cost")
    found = rows(tmp_path / "cost.md")
    checked, settled = found["checks by the function's URL"], found["checks in direct mode"]
    # What is counted, not timed: the commands that a script runs, and the EVALSHA that calls it.
    assert (checked[0], checked[2]) == (settled[0], settled[2]) == ("6.0 M", "$12.00")
    assert found["**whole calls, by URL**"][-1] > found["**whole calls, direct**"][-1]


def test_what_the_sdk_adds(tmp_path: Path) -> None:
    run(tmp_path, "tests.bench.sdk")
    found = rows(tmp_path / "sdk.md")
    for what in ("time to the first chunk", "time to the last chunk"):
        assert found[what][0].endswith("×")
    assert found["httpx and tollkeeper, against httpx"][0].endswith("×")
