"""`make dev` as a process: it comes up, it ends, and it leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any, TypeVar

import httpx
import psutil
import pytest

from infra.local.guardian import Guardian
from infra.local.parts import Part, PartError, PortTakenError, RunningPart
from infra.local.ports import choose_ports, is_free

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
READY_DEADLINE_S = 60.0
STOP_DEADLINE_S = 10.0


def eventually(look: Callable[[], T], deadline_s: float, what: str) -> T:
    deadline = time.monotonic() + deadline_s
    while not (value := look()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return value


@dataclass
class Dev:
    """A running `python -m infra.local`."""

    process: subprocess.Popen[bytes]
    output: Path
    ready: dict[str, Any]

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def exit_code(self) -> int:
        return self.process.wait(STOP_DEADLINE_S)

    def said(self) -> str:
        return self.output.read_text()


@contextmanager
def make_dev(tmp_path: Path, **environment: str) -> Iterator[Dev]:
    output, ready = tmp_path / "output", tmp_path / "ready.json"
    command = [sys.executable, "-m", "infra.local", "--no-chat", "--any-ports"]
    with output.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--json-ready", str(ready)],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        eventually(
            lambda: ready.exists() or process.poll() is not None, READY_DEADLINE_S, "not ready"
        )
        assert ready.exists(), output.read_text()
        yield Dev(process, output, json.loads(ready.read_text()))
    finally:
        process.kill()
        process.wait()


def gone(processes: list[psutil.Process]) -> bool:
    return all(not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in processes)


def assert_gone(processes: list[psutil.Process]) -> None:
    assert processes
    eventually(lambda: gone(processes), STOP_DEADLINE_S, f"still there: {processes}")


def test_it_meters_a_call_and_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    # A profile that does not exist and a proxy that nobody runs: the machine's owner has such.
    owners = {"AWS_PROFILE": "nobody", "HTTP_PROXY": "http://127.0.0.1:9"}
    with make_dev(tmp_path, **owners) as dev:
        answer = httpx.post(
            f"{dev.ready['urls']['intercept']}/v1/check",
            headers={"Authorization": f"Bearer {dev.ready['api_key']}"},
            json={"user_id": "ada", "amount_usd": "0.01"},
            timeout=10,
        )
        assert answer.json()["decision"] == "allow", answer.text
        commands = [line for line in dev.said().splitlines() if line.startswith("  export ")]
        commands += [line for line in dev.said().splitlines() if "/bin/tollkeeper" in line]
        script = "set -e\n" + "\n".join(commands).replace(".venv/bin/", f"{BIN}/")
        shown = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
        assert shown.returncode == 0, shown.stderr
        assert "limit reached" in shown.stdout
        family = dev.family()
        # redis and its guard, gateway, aws, stripe, provider, lambda and its workers, the guardian.
        assert len(family) >= 12
        os.kill(dev.process.pid, signal.SIGINT)
        assert dev.exit_code() == 0
        assert_gone(family)
        assert dev.ready["api_key"] in dev.said()
        assert "Stopped." in dev.said()
        assert "Traceback" not in dev.said()
    assert all(is_free(int(url.rpartition(":")[2])) for url in dev.ready["urls"].values())


def test_a_part_that_dies_ends_it_all(tmp_path: Path) -> None:
    with make_dev(tmp_path) as dev:
        family = dev.family()
        (redis,) = [p for p in family if "infra.local.redis_server" in p.cmdline()]
        redis.kill()
        assert dev.exit_code() == 1
        assert_gone(family)
        assert "✗ redis ended with exit code -9; its last lines" in dev.said()


GRANDCHILD = """
    import subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(child.pid, flush=True)
    time.sleep(600)
"""
SUPERVISOR = """
    import os, sys, time
    from pathlib import Path
    from infra.local.guardian import Guardian
    from infra.local.parts import Part, RunningPart
    part = RunningPart(
        Part("p", ["grandchild"], [], {"PYTHONPATH": sys.argv[1]}),
        root=Path(sys.argv[1]),
        guardian=Guardian(),
        on_line=lambda _, line: print(line, flush=True),
    )
    time.sleep(600)
"""


def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "grandchild.py").write_text(dedent(GRANDCHILD))
    with subprocess.Popen(
        [sys.executable, "-c", dedent(SUPERVISOR), str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    ) as supervisor:
        assert supervisor.stdout is not None
        grandchild = psutil.Process(int(supervisor.stdout.readline()))
        family = psutil.Process(supervisor.pid).children(recursive=True)
        assert grandchild in family
        supervisor.kill()
    assert_gone(family)


@contextmanager
def tiny_part(tmp_path: Path, code: str, *ports: int) -> Iterator[RunningPart]:
    (tmp_path / "tiny.py").write_text(dedent(code))
    guardian = Guardian()
    part = RunningPart(
        Part("tiny", ["tiny"], ports), root=tmp_path, guardian=guardian, on_line=lambda *_: None
    )
    try:
        yield part
    finally:
        part.ask_to_stop()
        part.wait_stopped()
        guardian.close()


def test_a_part_that_fails_says_why(tmp_path: Path) -> None:
    (port,) = choose_ports({"any": 0}).values()
    with (
        tiny_part(tmp_path, "print('no such luck'); raise SystemExit(3)", port) as part,
        pytest.raises(PartError, match=r"exit code 3; its last lines:\n    no such luck") as raised,
    ):
        part.wait_ready()
    assert not isinstance(raised.value, PortTakenError)


def test_a_part_whose_port_is_taken_is_told_apart(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        code = f"import socket; socket.create_server(('127.0.0.1', {port}))"
        with tiny_part(tmp_path, code, port) as part:
            with suppress(PortTakenError):
                # It may look ready: the squatter accepts.
                part.wait_ready()
            eventually(lambda: not part.running, STOP_DEADLINE_S, "still running")
            with pytest.raises(PortTakenError):
                part.check()


def test_a_port_that_is_free_again_was_taken_all_the_same(tmp_path: Path) -> None:
    (port,) = choose_ports({"any": 0}).values()
    code = "raise SystemExit('OSError: [Errno 98] Address already in use')"
    with tiny_part(tmp_path, code, port) as part, pytest.raises(PortTakenError):
        part.wait_ready()


def test_a_part_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    code = """
        import signal, socket, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        server = socket.create_server(("127.0.0.1", PORT))
        time.sleep(600)
    """
    (port,) = choose_ports({"any": 0}).values()
    with tiny_part(tmp_path, code.replace("PORT", str(port)), port) as part:
        part.wait_ready()
    assert not part.running
    assert is_free(port)


def test_friendly_ports_are_taken_where_they_are_free() -> None:
    (free,) = choose_ports({"any": 0}).values()
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = squatter.getsockname()[1]
        ports = choose_ports({"a": free, "b": taken, "c": 0})
        assert ports["a"] == free
        assert ports["b"] != taken
        assert len(set(ports.values())) == 3
        assert not is_free(taken)
