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
            pids = _call_all(f"http://127.0.0.1:{port}", server)
        finally:
            # At once after the last answer: what is not delivered yet has to go out on the way.
            server.send_signal(signal.SIGTERM)
            _, said = server.communicate(timeout=30)
    assert server.returncode == 0, said
    assert len(pids) == 2
    users = Counter(event["user_id"] for event in scripted.events)
    assert users == Counter({"parent": 1, **{f"u{n}": 1 for n in range(CALLS)}}), said
    assert not any(event.get("estimated") for event in scripted.events)


def _call_all(url: str, server: "subprocess.Popen[str]") -> set[str]:
    """The workers that answered."""
    with httpx.Client(timeout=30, trust_env=False) as client, ThreadPoolExecutor(8) as pool:
        deadline = time.monotonic() + 60
        while True:
            try:
                first = client.get(f"{url}/?u0")
                break
            except httpx.ConnectError:
                assert server.poll() is None, "gunicorn has ended"
                assert time.monotonic() < deadline, "gunicorn does not listen"
                time.sleep(0.1)
        rest = list(pool.map(lambda n: client.get(f"{url}/?u{n}"), range(1, CALLS)))
    assert {answer.status_code for answer in (first, *rest)} == {200}
    return {answer.headers["x-pid"] for answer in (first, *rest)}
