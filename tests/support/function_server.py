"""A Lambda handler behind HTTP on loopback: real function URL events, one request at a time."""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from infra.local.lambdas.function_url import HttpRequest, build_event, read_answer
from tests.support.loopback import Answer, Request, serve

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

    def answer(got: Request) -> Answer:
        path, _, query = got.target.partition("?")
        request = HttpRequest(got.method, path, query, got.headers, got.body, "127.0.0.1")
        event = build_event(request, url_id="test", request_id="r", trace_id="t")
        returned = instance.submit(handler, event, Context()).result()
        given = read_answer(json.dumps(returned).encode())
        return Answer(given.status, given.headers, given.body)

    try:
        with serve(answer) as address:
            yield address
    finally:
        instance.submit(asyncio.set_event_loop, None).result()
        instance.shutdown()
        loop.close()
