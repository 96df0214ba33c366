"""The wheel, unpacked beside httpx and nothing else: what a stranger's environment holds."""

import subprocess
import sys
import zipfile
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.scripted_tollkeeper import KEY, ScriptedTollkeeper

SDK = Path(__file__).parents[2] / "sdk" / "python"
SCRIPT = """
import sys, tollkeeper
from tollkeeper import Tollkeeper
assert "site-packages" not in tollkeeper.__file__, tollkeeper.__file__
with Tollkeeper(sys.argv[1], sys.argv[2], timeout_s=10) as tk:
    with tk.meter(user="ada", amount_usd="0.01") as meter:
        meter.report(cost_usd="0.005")
print(tollkeeper.__version__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=SDK, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_its_types_and_its_licence_and_needs_httpx_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        said = archive.read(metadata).decode()
    assert "tollkeeper/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [n for n in names if not n.startswith("tollkeeper") or "test" in n]
    needed = [line for line in said.splitlines() if line.startswith("Requires-Dist")]
    assert [line for line in needed if "extra ==" not in line] == ["Requires-Dist: httpx>=0.25"]
    assert "Requires-Python: >=3.9" in said
    assert "tollkeeper_user" in said, "the readme shows how it is used"


def test_it_runs_with_httpx_alone(wheel: Path, api: ScriptedTollkeeper, tmp_path: Path) -> None:
    own, theirs = tmp_path / "own", tmp_path / "theirs"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(own)
    theirs.mkdir()
    for name in _closure("httpx"):
        for part in {path.parts[0] for path in distribution(name).files or ()}:
            if part != ".." and not (theirs / part).exists():
                (theirs / part).symlink_to(str(distribution(name).locate_file(part)))
    done = subprocess.run(
        [sys.executable, "-S", "-c", SCRIPT, api.url, KEY],
        env={"PYTHONPATH": f"{own}:{theirs}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (event,) = api.events
    assert (event["user_id"], event["cost_usd"]) == ("ada", "0.005")


def _closure(name: str) -> set[str]:
    """A package and all that it needs."""
    found: set[str] = set()
    left = [name]
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            needs = map(Requirement, requires(one) or ())
            left += [n.name for n in needs if n.marker is None or n.marker.evaluate({"extra": ""})]
    return found
