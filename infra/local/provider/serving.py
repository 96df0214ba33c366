"""An ASGI app on a free port, in a thread of this process."""

import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp

_SHUTDOWN_SECONDS = 10.0


class BackgroundServer:
    """Serves `app` on the loopback for the length of a `with` block.

    `port` 0 takes a free one. Leaving the block waits for open answers for a second, cancels what
    is left, and joins the thread; no socket stays open.
    """

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        # asyncio turns Nagle's algorithm off only where the protocol is named: answers in two
        # writes would wait 40 ms for an acknowledgement otherwise.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self._socket.listen(128)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            app,
            log_level="critical",
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name=f"serve-{self.port}", daemon=True)

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def __enter__(self) -> Self:
        self._thread.start()
        # The socket listens already: a client that connects before the loop runs only waits.
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_SHUTDOWN_SECONDS)
        self._socket.close()
        if self._thread.is_alive():
            raise RuntimeError(f"the server on port {self.port} did not stop")
