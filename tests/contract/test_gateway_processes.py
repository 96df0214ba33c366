"""The Redis and the gateway as processes: start, stop, restart, and no orphans."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]  # it has no stubs
import pytest
from redis import Redis

from infra.local import redis_server
from infra.local.gateway import Gateway
from infra.local.redis_server import HOST, RedisServer, RedisStartError

DEADLINE_S = 15


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the deadline passed"
        time.sleep(0.01)


def ended(pid: int) -> bool:
    """Whether the process is gone, or only waits for its parent to notice."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def can_connect(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) == 0


@contextmanager
def running(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A Python process and the first line that it prints; killed at the end at the latest."""
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_redis_starts_on_a_free_port_and_stops() -> None:
    before = set(psutil.Process().children())
    with RedisServer() as server:
        with Redis(host=HOST, port=server.port) as client:
            assert client.ping()
            assert client.config_get("bind") == {"bind": HOST}
            assert client.config_get("save") == {"save": ""}
            scratch = Path(client.config_get("dir")["dir"])
        assert server.running()
        assert scratch.is_dir()
        pid = server.pid
    assert not server.running()
    assert ended(pid)
    assert not scratch.exists()
    assert not can_connect(server.port)
    assert set(psutil.Process().children()) == before
    server.stop()


def test_a_server_can_be_started_again_but_not_twice() -> None:
    server = RedisServer()
    with server:
        with pytest.raises(RuntimeError, match="already started"):
            server.start()
        assert server.running()
    with server:
        assert can_connect(server.port)


def test_data_survive_in_a_data_directory_even_a_kill(tmp_path: Path) -> None:
    data = tmp_path / "redis data"
    with RedisServer(data_dir=data) as server, Redis(host=HOST, port=server.port) as client:
        client.set("k", "v")
        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: not server.running())
    with RedisServer(data_dir=data) as server, Redis(host=HOST, port=server.port) as client:
        assert client.get("k") == b"v"
        client.set("k", "w")
    with RedisServer(data_dir=data) as server, Redis(host=HOST, port=server.port) as client:
        assert client.get("k") == b"w"


def test_a_taken_port_is_a_clear_error_when_it_was_asked_for() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RedisStartError, match=f"port {port} .* is taken") as refused:
            RedisServer(port).start()
        assert "Address already in use" in str(refused.value)


def test_a_redis_that_holds_the_port_already_is_not_taken_for_ours() -> None:
    with RedisServer() as first, pytest.raises(RedisStartError, match="is taken"):
        RedisServer(first.port).start()


def test_a_port_that_was_grabbed_meanwhile_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choose = redis_server._free_port
    with socket.create_server((HOST, 0)) as taken:
        offered = iter([taken.getsockname()[1], taken.getsockname()[1]])
        monkeypatch.setattr(redis_server, "_free_port", lambda: next(offered, None) or choose())
        with RedisServer() as server:
            assert server.port != taken.getsockname()[1]
            assert can_connect(server.port)


def test_what_redis_says_is_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "appendonly.aof").write_bytes(b"nonsense")
    with pytest.raises(RedisStartError, match="Bad file format reading the append only file"):
        RedisServer(data_dir=tmp_path).start()


def test_redis_does_not_outlive_an_owner_that_is_killed() -> None:
    owner = textwrap.dedent(
        """
        from infra.local.redis_server import RedisServer
        with RedisServer() as server:
            print(server.pid, server._scratch.name, flush=True)
            input()
        """
    )
    with running("-c", owner) as (process, line):
        pid, scratch = int(line.split()[0]), Path(line.split()[1])
        assert not ended(pid)
        assert scratch.is_dir()
        process.kill()
        eventually(lambda: ended(pid))
        eventually(lambda: not scratch.exists())


def test_redis_outlives_the_thread_that_started_it() -> None:
    server = RedisServer()
    try:
        starter = threading.Thread(target=server.start)
        starter.start()
        starter.join()
        with Redis(host=HOST, port=server.port) as client:
            assert client.ping()
    finally:
        server.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_redis_in_the_foreground(number: signal.Signals, tmp_path: Path) -> None:
    with running("-m", "infra.local.redis_server", "--dir", str(tmp_path)) as (process, line):
        port = int(line.rpartition(":")[2])
        with Redis(host=HOST, port=port) as client:
            client.set("k", "v")
        process.send_signal(number)
        assert process.wait(DEADLINE_S) == 0
        assert not can_connect(port)
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert (tmp_path / "appendonly.aof").exists()


def test_redis_in_the_foreground_says_why_it_cannot_start() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        with running("-m", "infra.local.redis_server", "--port", port) as (process, _):
            assert process.wait(DEADLINE_S) == 1
            assert process.stderr is not None
            assert f"port {port}" in process.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_gateway_in_the_foreground(number: signal.Signals) -> None:
    with RedisServer() as server:
        arguments = ["--redis-port", str(server.port), "--token", "t", "--read-only-token", "r"]
        with running("-m", "infra.local.gateway", *arguments) as (process, url):
            with httpx.Client(base_url=url, headers={"Authorization": "Bearer t"}) as client:
                assert client.get("/set/k/v").json() == {"result": "OK"}
                assert client.get("/get/k?_token=r").json() == {"result": "v"}
                assert client.get("/del/k?_token=r").status_code == 400
                process.send_signal(number)
                assert process.wait(DEADLINE_S) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""


def test_the_gateway_in_the_foreground_says_when_its_port_is_taken() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ["--port", port, "--redis-port", "1", "--token", "t"]
        with running("-m", "infra.local.gateway", *arguments) as (process, _):
            assert process.wait(DEADLINE_S) == 1
            assert process.stderr is not None
            assert f"cannot listen on {HOST}:{port}" in process.stderr.read()


def test_a_gateway_stops_with_callers_connected_and_gives_its_port_back() -> None:
    with RedisServer() as server:
        threads = set(threading.enumerate())
        gateway = Gateway(server.port, token="t").start()
        with httpx.Client(headers={"Authorization": "Bearer t"}) as client:
            assert client.get(f"{gateway.url}/ping").json() == {"result": "PONG"}
            began = time.monotonic()
            gateway.stop()
            assert time.monotonic() - began < 2
            assert not can_connect(gateway.port)
            assert set(threading.enumerate()) == threads
            with Gateway(server.port, port=gateway.port, token="t"):
                assert client.get(f"{gateway.url}/ping").json() == {"result": "PONG"}
        gateway.stop()


def test_answers_do_not_wait_for_delayed_acknowledgements() -> None:
    with (
        RedisServer() as server,
        Gateway(server.port, token="t") as gateway,
        httpx.Client(base_url=gateway.url, headers={"Authorization": "Bearer t"}) as client,
    ):
        client.get("/ping")
        began = time.monotonic()
        for _ in range(50):
            client.get("/ping")
        # 40 ms each where Nagle's algorithm is on: 2 s.
        assert time.monotonic() - began < 1
