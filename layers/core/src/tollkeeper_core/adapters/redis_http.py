"""A lean transport under the ``upstash-redis`` client: pooled connections and a hard deadline.

The client's own transport (httpx, no time-out, an automatic re-send three seconds later) is right
for scripts at a desk and wrong for a check that a user waits for: it takes longer to build than a
check takes, waits for ever, and may repeat a command that has no id. This one keeps connections
open, bounds each request as a whole (connect, TLS, send, every read), and leaves repeating to the
caller. One exception: a kept connection that the server had closed meanwhile is found dead on its
first use, before it carried an answer; the request then goes out again on a new one, inside the
same deadline. That is safe because every script is idempotent by an id.
"""

import http.client
import io
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit

from upstash_redis import Redis
from upstash_redis.errors import UpstashError
from upstash_redis.http import make_headers

from tollkeeper_core.adapters.circuit import Circuit
from tollkeeper_core.domain.ledger import LedgerUnavailableError

_IDLE_CONNECTIONS_MAX = 8


class _Deadline:
    """A point in time that every wait of one request is held against."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left_s(self) -> float:
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline passed")
        return left


class _BoundedSocket(io.RawIOBase):
    """What http.client takes for a socket: every read and write waits until the deadline at most.

    A plain socket time-out bounds each ``recv``; a server that sends a byte now and then could
    stretch one answer without end. And http.client writes a request's head and its body apart: two
    packets, which wake the server twice. Here they wait for ``send``, which lets them go as one.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._written: list[bytes] = []
        self.deadline = _Deadline(0.001)

    def sendall(self, data: bytes) -> None:
        self._written.append(data)

    def send(self) -> None:
        whole = b"".join(self._written)
        self._written.clear()
        self._sock.settimeout(self.deadline.left_s())
        self._sock.sendall(whole)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self.deadline.left_s())
        return self._sock.recv_into(buffer)

    def makefile(self, *_args: Any, **_kwargs: Any) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        self._sock.close()
        super().close()


class _Reader(io.RawIOBase):
    """One answer's view of the socket: closing it leaves the connection open."""

    def __init__(self, sock: _BoundedSocket) -> None:
        self._bounded = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._bounded.readinto(buffer)


class PooledHttp:
    """Sends the client's requests. Safe across threads; a connection carries one at a time."""

    def __init__(
        self,
        url: str,
        deadline_s: float,
        new_token: Callable[[], str] | None = None,
        circuit: Circuit | None = None,
        idle_max: int = _IDLE_CONNECTIONS_MAX,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http(s) URL: {url!r}")
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._deadline_s = deadline_s
        self._new_token = new_token
        self._circuit = circuit
        self._idle_max = idle_max
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def execute(
        self, url: str, headers: dict[str, str], command: list[Any], from_pipeline: bool = False
    ) -> Any:
        """The result of one command; for a pipeline a list of results and UpstashErrors.

        Raises UpstashError where Redis refused the command, LedgerUnavailableError for the rest.
        """
        circuit = self._circuit
        if circuit is None:
            return self._execute(url, headers, command, from_pipeline)
        if not circuit.admits():
            raise LedgerUnavailableError("Redis has not answered lately, and is left in peace")
        try:
            result = self._execute(url, headers, command, from_pipeline)
        except LedgerUnavailableError:
            circuit.failed()
            raise
        except UpstashError:
            circuit.succeeded()
            raise
        circuit.succeeded()
        return result

    def _execute(
        self, url: str, headers: dict[str, str], command: list[Any], from_pipeline: bool
    ) -> Any:
        path, body = urlsplit(url).path or "/", json.dumps(command).encode()
        status, answer = self._post(path, headers, body)
        if status == 401 and self._new_token is not None:
            # The token was reset. The client's headers are these very ones: it is done for good.
            headers["Authorization"] = f"Bearer {self._new_token()}"
            status, answer = self._post(path, headers, body)
        if from_pipeline and status == 200 and isinstance(answer, list):
            return [_result(item) if "error" not in item else _refusal(item) for item in answer]
        if isinstance(answer, dict) and status in (200, 400):
            if "error" in answer:
                raise _refusal(answer)
            return _result(answer)
        raise LedgerUnavailableError(f"Redis answered HTTP {status}")

    def close(self) -> None:
        """Close every idle connection."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _post(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        deadline = _Deadline(self._deadline_s)
        try:
            while True:
                with self._lock:
                    kept = self._idle.pop() if self._idle else None
                connection = kept or self._connect(deadline)
                try:
                    return self._ask(connection, deadline, path, headers, body)
                except (ConnectionError, http.client.BadStatusLine):
                    connection.close()
                    if kept is None:
                        raise
                except BaseException:
                    connection.close()
                    raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            kind = type(error).__name__
            raise LedgerUnavailableError(f"Redis did not answer: {kind}: {error}") from error

    def _connect(self, deadline: _Deadline) -> http.client.HTTPConnection:
        sock = socket.create_connection((self._host, self._port), timeout=deadline.left_s())
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock.settimeout(deadline.left_s())
                sock = self._tls.wrap_socket(sock, server_hostname=self._host)
        except BaseException:
            sock.close()
            raise
        connection = http.client.HTTPConnection(self._host, self._port)
        connection.sock = cast("socket.socket", _BoundedSocket(sock))
        return connection

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        deadline: _Deadline,
        path: str,
        headers: dict[str, str],
        body: bytes,
    ) -> tuple[int, Any]:
        bounded = cast("_BoundedSocket", connection.sock)
        bounded.deadline = deadline
        connection.request("POST", path, body, {**headers, "Content-Type": "application/json"})
        bounded.send()
        response = connection.getresponse()
        text = response.read()
        # Before the connection is kept: whoever cannot read the answer closes it.
        answer = json.loads(text) if text else None
        if response.will_close:
            connection.close()
        else:
            with self._lock:
                keep = len(self._idle) < self._idle_max
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()
        return response.status, answer


class LeanRedis(Redis):
    """The ``upstash-redis`` client over PooledHttp: its commands, none of its waiting.

    It does not call its parent's constructor, which would build an httpx client (80 ms on a small
    machine) only for it to be thrown away; ``tests/contract`` holds the fields that are set here
    against the installed version.
    """

    def __init__(
        self,
        url: str,
        token: str,
        deadline_s: float,
        new_token: Callable[[], str] | None = None,
        circuit: Circuit | None = None,
        *,
        idle_max: int = _IDLE_CONNECTIONS_MAX,
    ) -> None:
        self._url = url.rstrip("/")
        self._read_your_writes = True
        self._sync_token = ""
        self._allow_telemetry = False
        self._headers = make_headers(token, None, allow_telemetry=False)
        self._http = cast("Any", PooledHttp(self._url, deadline_s, new_token, circuit, idle_max))


def _result(answer: dict[str, Any]) -> Any:
    return answer["result"]


def _refusal(answer: dict[str, Any]) -> UpstashError:
    return UpstashError(str(answer["error"]))
