"""The same story on what `sam build` makes: what is deployed is what was tested."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.lambdas.python import lambda_python
from infra.local.layout import Settings
from infra.local.stack import LocalStack
from tests.e2e.test_story_http import (  # noqa: F401 - told again, by the stack below
    test_a_plan_gives_its_tier_at_once_and_its_end_takes_it,
    test_check_block_pay_continue,
)
from tests.support.story import Story, until


@pytest.fixture(scope="module")
def stack(built: Path) -> Iterator[LocalStack]:
    with LocalStack(Settings(template=built, chat=False, token_delay_ms=0)) as running:
        yield running


def test_it_is_the_build_that_runs(stack: LocalStack, built: Path) -> None:
    processes = _processes(built.parent)

    assert len(processes) >= 5
    for process in processes:
        assert f"/bin/python{lambda_python().version}\n".encode() in _read(process / "maps")
        environment = (process / "environ").read_bytes().decode(errors="replace").split("\0")
        (task_root,) = [v for v in environment if v.startswith("LAMBDA_TASK_ROOT=")]
        (path,) = [v for v in environment if v.startswith("PYTHONPATH=")]
        own, layer, runtime = path.removeprefix("PYTHONPATH=").split(":")
        assert own == task_root.removeprefix("LAMBDA_TASK_ROOT=")
        assert Path(layer) == built.parent / "CoreLayer" / "python"
        assert not (Path(runtime) / "tollkeeper_core").exists()
        assert sorted(each.name for each in Path(runtime).glob("*.py")) == [
            "snapshot_restore_py.py"
        ]


def test_it_answers_cold_and_warm(stack: LocalStack, built: Path) -> None:
    folder = built.parent / "InterceptFunction"
    with Story(stack) as story:
        ended = _processes(folder)
        for process in ended:
            os.kill(int(process.name), signal.SIGKILL)
        url, body = "/v1/check", {"user_id": story.user, "amount_usd": "0.001"}
        until(lambda: story.api.post(url, json=body).status_code, lambda status: status == 200)
        cold = _processes(folder)
        assert story.check("0.001")["decision"] == "allow"
        warm = _processes(folder)

    assert cold
    assert not set(cold) & set(ended)
    assert warm == cold


def _processes(task_root: Path) -> list[Path]:
    """Folders in /proc of those that run what was built there."""
    wanted = f"LAMBDA_TASK_ROOT={task_root}".encode()
    found = Path("/proc").glob("[0-9]*/environ")
    return sorted(path.parent for path in found if wanted in _read(path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended, or is another user's
        return b""
