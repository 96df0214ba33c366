"""A lean transport under the ``upstash-redis`` client: pooled connections and a hard deadline.

The client's own transport (httpx, no time-out, an automatic re-send three seconds later) is right
for scripts at a desk and wrong for a check that a user waits for: it takes longer to build than a
check takes, waits for ever, and may repeat a command that has no id. This one keeps connections
open, bounds each request as a whole (connect, TLS, send, every read), and leaves repeating to the
caller. One exception: a kept connection that the server had closed meanwhile is found dead on its
first use, before it carried an answer; the request then goes out again on a new one, inside the
same deadline. That is safe because every script is idempotent by an id.
"""

import json
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit

from upstash_redis import Redis
from upstash_redis.errors import UpstashError
from upstash_redis.http import make_headers

from tollkeeper_core.adapters.circuit import Circuit
from tollkeeper_core.adapters.http1 import Connection, Deadline, WireError, request_bytes
from tollkeeper_core.domain.ledger import LedgerUnavailableError

_IDLE_CONNECTIONS_MAX = 8


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
        self._authority = parts.netloc.rpartition("@")[2]
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._deadline_s = deadline_s
        self._new_token = new_token
        self._circuit = circuit
        self._idle_max = idle_max
        self._idle: list[Connection] = []
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
        deadline = Deadline(self._deadline_s)
        try:
            wanted = {**headers, "Content-Type": "application/json"}
            request = request_bytes(path, self._authority, wanted, body)
            while True:
                with self._lock:
                    kept = self._idle.pop() if self._idle else None
                connection = kept or self._connect(deadline)
                try:
                    return self._ask(connection, request, deadline)
                except ConnectionError:
                    connection.close()
                    if kept is None:
                        raise
                except BaseException:
                    connection.close()
                    raise
        except (OSError, WireError, ValueError) as error:
            kind = type(error).__name__
            raise LedgerUnavailableError(f"Redis did not answer: {kind}: {error}") from error

    def _connect(self, deadline: Deadline) -> Connection:
        sock = socket.create_connection((self._host, self._port), timeout=deadline.left_s())
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock.settimeout(deadline.left_s())
                sock = self._tls.wrap_socket(sock, server_hostname=self._host)
        except BaseException:
            sock.close()
            raise
        return Connection(sock)

    def _ask(self, connection: Connection, request: bytes, deadline: Deadline) -> tuple[int, Any]:
        reply = connection.ask(request, deadline)
        # Before the connection is kept: whoever cannot read the answer closes it.
        answer = json.loads(reply.body) if reply.body else None
        with self._lock:
            keep = reply.keeps and len(self._idle) < self._idle_max
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()
        return reply.status, answer


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
