"""A Lambda handler behind HTTP on loopback: real function URL events, one request at a time."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from infra.local.lambdas.function_url import HttpRequest, build_event, read_answer

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


@dataclass(frozen=True)
class Context:
    """What Powertools reads of a Lambda context."""

    function_name: str = "test"
    memory_limit_in_mb: int = 128
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:000000000000:function:test"
    aws_request_id: str = "00000000-0000-0000-0000-000000000000"


def url_event(
    method: str,
    address: str,
    *,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The event of a request to https://page.test."""
    path, _, query = address.partition("?")
    given = {"host": "page.test", **(headers or {})}
    request = HttpRequest(method, path, query, list(given.items()), body, "127.0.0.1")
    return build_event(request, url_id="test", request_id="r", trace_id="t")


@contextmanager
def serve_function(handler: Handler) -> Iterator[str]:
    """Serve ``handler``; yields its address."""
    loop = asyncio.new_event_loop()
    # A Lambda instance has one thread, whose event loop Mangum finds.
    instance = ThreadPoolExecutor(1, initializer=asyncio.set_event_loop, initargs=(loop,))

    class Front(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            path, _, query = self.path.partition("?")
            length = int(self.headers.get("content-length", "0"))
            request = HttpRequest(
                self.command,
                path,
                query,
                [(name.lower(), value) for name, value in self.headers.items()],
                self.rfile.read(length),
                "127.0.0.1",
            )
            event = build_event(request, url_id="test", request_id="r", trace_id="t")
            returned = instance.submit(handler, event, Context()).result()
            answer = read_answer(json.dumps(returned).encode())
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            if not any(name.lower() == "content-length" for name, _ in answer.headers):
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Front) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            instance.submit(asyncio.set_event_loop, None).result()
            instance.shutdown()
            loop.close()
