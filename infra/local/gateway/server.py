"""Serving the gateway: on this thread's event loop, or on a thread of its own."""

import asyncio
import contextlib
import http.client
import json
import secrets
import socket
import threading
from collections.abc import Generator
from types import TracebackType
from typing import Self, cast

import uvicorn

from .app import STATS_PATH, GatewayApp, GatewaySettings
from .resp import RedisConnection
from .stats import Stats

HOST = "127.0.0.1"
# Idle callers keep their connection, as with the real service: a benchmark measures requests, not
# handshakes.
KEEP_ALIVE_S = 300
SHUTDOWN_GRACE_S = 2
BACKLOG = 2048
STATS_DEADLINE_S = 10


class GatewayServer(uvicorn.Server):
    """Serves until `should_exit`; whoever runs it decides about signals."""

    def __init__(self, listener: socket.socket, redis_port: int, settings: GatewaySettings) -> None:
        self._listener = listener
        self._redis = RedisConnection(HOST, redis_port)
        config = uvicorn.Config(
            GatewayApp(self._redis, settings),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals alone: uvicorn would raise them again when it has stopped."""
        yield

    async def run_until_exit(self) -> None:
        """Serve the listener, then close the connection to Redis."""
        try:
            await self.serve([self._listener])
        finally:
            self._redis.close()


def listen(port: int = 0) -> socket.socket:
    """A socket that listens on loopback; raises `OSError` when the port is taken."""
    # asyncio turns Nagle's algorithm off only where the protocol is named, which create_server()
    # does not do: every answer would wait 40 ms for the caller's delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


class Gateway:
    """A gateway on a thread of its own, in front of the Redis on `redis_port`.

    A context manager, or `start()` and `stop()`. It listens as soon as it is started.
    """

    def __init__(
        self,
        redis_port: int,
        *,
        port: int = 0,
        token: str | None = None,
        read_only_token: str | None = None,
        max_request_bytes: int | None = None,
    ) -> None:
        self.token = token or secrets.token_urlsafe(24)
        settings = GatewaySettings(self.token, read_only_token)
        if max_request_bytes is not None:
            settings = GatewaySettings(self.token, read_only_token, max_request_bytes)
        self._settings = settings
        self._redis_port = redis_port
        self._wanted_port = port
        self._server: GatewayServer | None = None
        self._thread: threading.Thread | None = None
        self.port = port

    @property
    def url(self) -> str:
        """What `UPSTASH_REDIS_REST_URL` would hold."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> Self:
        """Start the thread; raises `OSError` when the port is taken."""
        if self._thread is not None:
            raise RuntimeError("this gateway is already started")
        listener = listen(self._wanted_port)
        self.port = listener.getsockname()[1]
        # The listener's backlog holds requests that come before the loop runs: nothing to wait for.
        server = self._server = GatewayServer(listener, self._redis_port, self._settings)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(server.run_until_exit()), name="gateway", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Answer what is under way, close, and wait for the thread; safe to call twice."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
        self._server = self._thread = None

    def stats(self) -> Stats:
        """The counts since the start or the last `reset_stats()`."""
        return cast(Stats, self._local("GET", STATS_PATH))

    def reset_stats(self) -> None:
        """Begin to count at zero."""
        self._local("POST", f"{STATS_PATH}/reset")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _local(self, method: str, path: str) -> object:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=STATS_DEADLINE_S)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {self.token}"})
            response = connection.getresponse()
            body: object = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: {response.status} {body}")
        return body
