"""An HTTP server on loopback whose answers a test gives."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """``target``: path and query as they came. ``headers``: in order, names in lower case."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(frozen=True)
class Answer:
    """Content-Length comes by itself where it is not among the headers."""

    status: int = 200
    headers: Iterable[tuple[str, str]] = ()
    body: bytes = b""


@contextmanager
def serve(answer: Callable[[Request], Answer], port: int = 0) -> Iterator[str]:
    """Serve on a free port, or on ``port``; yields the address. A thread for each request."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = [(name.lower(), value) for name, value in self.headers.items()]
            given = answer(Request(self.command, self.path, headers, body))
            sent = [*given.headers]
            if not any(name.lower() == "content-length" for name, _ in sent):
                sent.append(("Content-Length", str(len(given.body))))
            try:
                self.send_response(given.status)
                for name, value in sent:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(given.body)
            except BrokenPipeError:
                return  # who asked has given up

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
