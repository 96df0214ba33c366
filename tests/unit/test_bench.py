"""The benchmark runs, and what it counts is right. No time is judged here."""

import subprocess
import sys
from pathlib import Path
from random import Random
from xml.etree import ElementTree as ET

import pytest

from tests.bench.findings import Finding, Target, counted
from tests.bench.timing import Cost, Spread, race, wall_ratio

ROOT = Path(__file__).parents[2]


def test_a_quick_run_writes_a_page_with_the_right_counts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bench", "--quick", "--seed", "7", "--out"]
    done = subprocess.run(
        [*command, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "seed 7" in done.stdout
    rows = [
        [cell.strip() for cell in line.split("|")[1:3]]
        for line in (tmp_path / "ledger.md").read_text("utf-8").splitlines()
        if line.startswith("| ")
    ]
    found = dict(rows)
    assert found["a check"] == "5 commands"
    assert found["a settle"] == "7 commands"
    for size, requests in ((1, 50), (10, 5), (25, 2), (50, 1)):
        what = f"HTTP requests for 50 events, {size} at a time"
        assert found[what] == f"{requests} requests"
    held, settled = found["one call under way"], found["one call settled"]
    assert int(settled.split()[0].replace(",", "")) > 0
    assert int(held.split()[0].replace(",", "")) > 0
    ratios = [what for what, value in rows if value.endswith("×")]
    assert len(ratios) == 20
    picture = ET.parse(tmp_path / "ledger.svg").getroot()
    bars = picture.findall("{http://www.w3.org/2000/svg}rect")
    assert len(bars) == 1 + 3 + 9  # the page, what grows, what is settled


def test_a_race_compares_within_a_round_and_leaves_the_first_out() -> None:
    weather = iter([5, 5, 1, 1, 10, 10, 2, 2])  # slow and fast rounds, the same for both

    def turn(cost: float) -> Cost:
        return Cost(cost * next(weather), 1)

    costs = race({"a": lambda: turn(3), "b": lambda: turn(1)}, 3, Random(1))
    assert len(costs["a"]) == len(costs["b"]) == 3
    assert wall_ratio(costs["a"], costs["b"]) == Spread(3, 3, 3)


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (Target(1.5), 1.5, True),
        (Target(1.5), 1.51, False),
        (Target(8, at_least=True), 8, True),
        (Target(8, at_least=True), 7.99, False),
        (None, 1, None),
    ],
)
def test_a_target_is_a_bound_that_may_be_reached(
    target: Target | None, value: float, met: bool | None
) -> None:
    assert Finding("s", "w", counted(value), "×", target=target).met is met
