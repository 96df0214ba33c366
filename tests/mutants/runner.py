"""Runs the tests over a copy of the source, with or without a bug in it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.mutants.mutant import ROOT, Mutant, RottenMutantError

#: A bug may make a test wait for ever; the slowest sound run takes a fortieth of this.
DEADLINE_S = 300
_TESTS_FAILED = 1  # pytest's exit code; others say that it did not get so far
_FAILED = re.compile(r"^FAILED (.+?)(?: - .*)?$", re.MULTILINE)


class Outcome(StrEnum):
    """What became of a mutant."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    BROKEN = "BROKEN"  # the run says nothing about the suite: a rotten text, an error at import


@dataclass(frozen=True, slots=True)
class Verdict:
    """``by``: the test that failed, or why nothing can be said. ``output``: all of pytest's."""

    mutant: Mutant
    outcome: Outcome
    by: str
    seconds: float
    output: str


def hunt(sources: Path, mutants: Sequence[Mutant], jobs: int) -> Iterator[Verdict]:
    """A verdict for each, as they come in. ``sources``: what copy_sources made."""
    with ThreadPoolExecutor(jobs) as pool:
        try:
            tasks = [pool.submit(_hunt_one, sources, mutant) for mutant in mutants]
            for done in as_completed(tasks):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def baseline(sources: Path, mutants: Sequence[Mutant]) -> tuple[bool, str]:
    """Whether every test that the mutants name passes without a bug, and pytest's output."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    code, output = _pytest(sources, tests)
    return code == 0, output


def _hunt_one(sources: Path, mutant: Mutant) -> Verdict:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tollkeeper-mutant-") as folder:
        copy = Path(folder)
        shutil.copytree(sources, copy, dirs_exist_ok=True)
        try:
            mutant.plant(copy)
            code, output = _pytest(copy, mutant.tests)
        except (RottenMutantError, subprocess.TimeoutExpired) as error:
            return Verdict(mutant, Outcome.BROKEN, str(error), time.monotonic() - started, "")
    outcome, by = _judged(code, output)
    return Verdict(mutant, outcome, by, time.monotonic() - started, output)


def _judged(code: int, output: str) -> tuple[Outcome, str]:
    if code == 0:
        return Outcome.SURVIVED, ""
    # A test that failed; an error of a fixture or an import is no test that saw the bug.
    failed = _FAILED.search(output)
    if code == _TESTS_FAILED and failed:
        return Outcome.CAUGHT, failed[1]
    return Outcome.BROKEN, f"pytest ended with {code}"


def _pytest(copy: Path, tests: Sequence[str]) -> tuple[int, str]:
    # The copy comes before the installed source. PYTHONSAFEPATH keeps the current folder, which
    # holds `functions`, from coming before both, here and in every process that a test starts.
    # No plugin but the two that these tests need: the others double the start of every run.
    environment = {
        **os.environ,
        "PYTHONPATH": str(copy),
        "PYTHONSAFEPATH": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    options = ["-x", "-q", "-rf", "--tb=short", "--no-header", "-p", "no:cacheprovider"]
    plugins = ["_hypothesis_pytestplugin", "pytest_timeout", "tests.mutants.plugin"]
    loaded = [*(f"-p{name}" for name in plugins), "--copy", str(copy)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *loaded, *tests],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return done.returncode, done.stdout
