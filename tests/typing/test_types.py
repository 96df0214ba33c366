"""What mypy and pyright make of a caller's file: types that they reveal, and what they refuse."""

import json
import subprocess
import sys
from pathlib import Path

import playwright
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYRIGHT = HERE / "node_modules/pyright/index.js"
#: The browser tests' own.
NODE = Path(playwright.__file__).parent / "driver/node"

Place = tuple[str, int]


def bad_lines() -> set[Place]:
    text = (HERE / "caller_errors.py").read_text("utf-8")
    return {
        ("caller_errors.py", number)
        for number, line in enumerate(text.splitlines(), 1)
        if line.endswith("# bad")
    }


def by_mypy(cache: Path, *names: str) -> set[Place]:
    from mypy import api

    files = [str(HERE / name) for name in names]
    options = ["--strict", "--config-file=", f"--cache-dir={cache}", "--output=json"]
    output = api.run([*options, "--explicit-package-bases", *files])[0]
    found = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {(Path(one["file"]).name, one["line"]) for one in found}


def by_pyright(*names: str) -> set[Place]:
    if not PYRIGHT.exists():
        pytest.skip("pyright is not here: `make setup` installs it where there is npm")
    options = ["--outputjson", "--pythonpath", sys.executable, "--project", str(HERE)]
    files = [str(HERE / name) for name in names]
    run = subprocess.run(
        [NODE, PYRIGHT, *options, *files], cwd=ROOT, capture_output=True, text=True, check=False
    )
    report = json.loads(run.stdout)
    assert report["summary"]["filesAnalyzed"] >= len(names)
    return {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1)
        for one in report["generalDiagnostics"]
        if one["severity"] == "error"
    }


def test_mypy_reveals_the_wrapped_types_and_refuses_what_is_wrong(tmp_path: Path) -> None:
    assert by_mypy(tmp_path, "caller.py", "caller_errors.py") == bad_lines()
    assert len(bad_lines()) == 10


def test_pyright_does_too_and_for_the_vendors_own_methods() -> None:
    assert by_pyright("caller.py", "caller_errors.py", "vendors.py") == bad_lines()
