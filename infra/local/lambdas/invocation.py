"""One invocation of a function and what comes of it."""

import asyncio
import json
import secrets
import time
import uuid
from dataclasses import dataclass, field

# Lambda's limit for synchronous payloads; what a function answers may be 100 bytes longer, and
# its error message gives that number (Lambda developer guide, "Quotas").
PAYLOAD_BYTES_MAX = 6 * 1024 * 1024
ANSWER_BYTES_MAX = PAYLOAD_BYTES_MAX + 100


def new_trace_id() -> str:
    """An X-Ray trace header that samples nothing."""
    root = f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
    return f"Root={root};Parent={secrets.token_hex(8)};Sampled=0"


class ThrottledError(Exception):
    """Every worker of the function was busy for as long as a caller may wait."""


@dataclass(frozen=True, slots=True)
class Result:
    """What an invocation answers: JSON, and whether it describes an error of the function."""

    payload: bytes
    is_error: bool = False


def failure(error_type: str, message: str) -> Result:
    """The answer of an invocation that the service itself ended."""
    answer = {"errorType": error_type, "errorMessage": message}
    return Result(json.dumps(answer).encode(), is_error=True)


STOPPED = failure("ServiceStopped", "the local Lambda service stops")


@dataclass(slots=True, eq=False)
class Invocation:
    """A payload on its way through a function; `result` is set exactly once."""

    payload: bytes = b"{}"
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    trace_id: str = field(default_factory=new_trace_id)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    result: asyncio.Future[Result] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def finish(self, result: Result) -> None:
        """Answer, unless that was done: a time-out and the worker's answer may race."""
        if not self.result.done():
            self.result.set_result(result)
