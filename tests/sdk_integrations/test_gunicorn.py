"""gunicorn with --preload: the SDK is made and used before the fork, and loses nothing after it."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx

from infra.local.ports import choose_ports
from infra.local.provider import LocalProvider
from tests.support.scripted_tollkeeper import KEY, ScriptedTollkeeper

CALLS = 40


def test_workers_report_each_call_once_and_lose_none_at_the_end(
    scripted: ScriptedTollkeeper, provider: LocalProvider
) -> None:
    scripted.limit = 1_000
    port = choose_ports({"web": 0})["web"]
    environment = {
        **os.environ,
        "TOLLKEEPER_URL": scripted.url,
        "TOLLKEEPER_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{provider.url}/v1",
        "OPENAI_API_KEY": "sk-x",
    }
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--preload",
        "--no-control-socket",
        "--workers",
        "2",
        "--threads",
        "4",
    ]
    command += ["--bind", f"127.0.0.1:{port}", "tests.support.gunicorn_app:app"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as server:
        try:
            pids, calls = _call_all(f"http://127.0.0.1:{port}", server)
        finally:
            # At once after the last answer: what is not delivered yet has to go out on the way.
            server.send_signal(signal.SIGTERM)
            _, said = server.communicate(timeout=30)
    assert server.returncode == 0, said
    assert len(pids) == 2
    users = Counter(event["user_id"] for event in scripted.events)
    assert users == Counter({"parent": 1, **{f"u{n}": 1 for n in range(calls)}}), said
    assert not any(event.get("estimated") for event in scripted.events)


def _call_all(url: str, server: "subprocess.Popen[str]") -> tuple[set[str], int]:
    """The workers that answered, and how many calls there were.

    Who accepts a connection is the kernel's choice: it goes on until both workers have had one.
    """
    deadline = time.monotonic() + 60
    while True:
        try:
            pids = {_call(url, 0)}
            break
        except httpx.ConnectError:
            assert server.poll() is None, "gunicorn has ended"
            assert time.monotonic() < deadline, "gunicorn does not listen"
            time.sleep(0.1)
    calls = 1
    with ThreadPoolExecutor(8) as pool:
        while calls < CALLS or len(pids) < 2:
            assert time.monotonic() < deadline, f"one worker answered all {calls} calls"
            pids |= set(pool.map(lambda n: _call(url, n), range(calls, calls + 8)))
            calls += 8
    return pids, calls


def _call(url: str, n: int) -> str:
    answer = httpx.get(f"{url}/?u{n}", timeout=30, trust_env=False)
    assert answer.status_code == 200
    return answer.headers["x-pid"]
