"""One worker: a process that runs AWS's own runtime client, and the Runtime API it polls.

The protocol is Lambda's "Runtime API" (developer guide, "Using the Lambda runtime API"): the
process asks for the next invocation, works on it, posts the answer, and asks again. It has one
invocation at a time.
"""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from infra.local.lambdas.environment import runtime_command, worker_environment
from infra.local.lambdas.invocation import ANSWER_BYTES_MAX, STOPPED, Invocation, Result, failure
from infra.local.template import Function

_API = "/2018-06-01/runtime"
_LOG_LINE_BYTES_MAX = 1024 * 1024
# Lambda gives 10 s to a process that starts; a small machine on which a dozen start at once
# needs more.
_INIT_DEADLINE_S = 60.0
_LAST_LINES_WAIT_S = 1.0

Emit = Callable[[str], None]


class Owner(Protocol):
    """Who hands invocations to workers."""

    async def next_for(self, worker: "Worker") -> Invocation | None:
        """Wait for an invocation for this worker, which is idle; None when the worker is gone."""

    def gone(self, worker: "Worker", reason: Result) -> None:
        """The worker's process has ended; `reason` is for one who waits for its start."""


class Worker:
    """A process of one function, `was_ready` once it asked for its first invocation."""

    def __init__(
        self,
        function: Function,
        owner: Owner,
        slot: socket.socket,
        *,
        region: str,
        extra_environment: Mapping[str, str],
        emit: Emit,
    ) -> None:
        self.was_ready = False
        self.slot = slot
        self._function = function
        self._owner = owner
        self._emit = emit
        self._environment = worker_environment(
            function,
            region=region,
            runtime_api=f"127.0.0.1:{slot.getsockname()[1]}",
            extra=extra_environment,
        )
        self._process: asyncio.subprocess.Process | None = None
        self._current: Invocation | None = None
        self._killed_for: Result | None = None
        self._init_error: Result | None = None
        self._began = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Start the process and stay until it has ended and its last log line is out."""
        self._alarm = asyncio.get_running_loop().call_later(_INIT_DEADLINE_S, self._init_timed_out)
        self._process = await asyncio.create_subprocess_exec(
            *runtime_command(self._function),
            cwd=self._function.task_root,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LOG_LINE_BYTES_MAX,
        )
        if self._killed_for is not None:
            self._process.kill()
        assert self._process.stdout is not None  # noqa: S101 - PIPE above
        logs = asyncio.create_task(self._forward_logs(self._process.stdout))
        exit_code = await self._process.wait()
        # What it wrote last explains its end. A child of its own may hold the pipe open for ever.
        await asyncio.wait({logs}, timeout=_LAST_LINES_WAIT_S)
        logs.cancel()
        self._ended(exit_code)

    def kill(self, reason: Result) -> None:
        """End the process; whoever waits for its invocation gets `reason`."""
        if self._killed_for is None:
            self._killed_for = reason
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def take(self, invocation: Invocation) -> None:
        """Make the invocation this worker's own: from here on, its end is the invocation's."""
        self._current = invocation
        self._began = time.time()
        invocation.started.set()
        self._set_alarm(self._function.timeout_s, self._timed_out)

    async def runtime_api(self, request: Request) -> Response:
        """Answer the process: the routes of the Runtime API."""
        path = request.url.path.removeprefix(_API)
        parts = path.strip("/").split("/")
        match request.method, parts:
            case "GET", ["invocation", "next"]:
                return await self._next()
            case "POST", ["invocation", request_id, "response"]:
                return self._answered(request_id, Result(await request.body()))
            case "POST", ["invocation", request_id, "error"]:
                return self._answered(request_id, Result(await request.body(), is_error=True))
            case "POST", ["init" | "restore", "error"]:
                self._init_error = Result(await request.body(), is_error=True)
                return _accepted()
            case "GET", ["restore", "next"]:
                return Response()
            case _:
                return Response(status_code=404)

    async def _next(self) -> Response:
        self.was_ready = True
        self._set_alarm(None, None)
        invocation = await self._owner.next_for(self)
        if invocation is None:
            return _refused(410, "WorkerGone", "this process is not expected to ask")
        return Response(
            invocation.payload,
            media_type="application/json",
            headers={
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(
                    int((self._began + self._function.timeout_s) * 1000)
                ),
                "Lambda-Runtime-Invoked-Function-Arn": self._function.arn,
                "Lambda-Runtime-Trace-Id": invocation.trace_id,
            },
        )

    def _answered(self, request_id: str, result: Result) -> Response:
        invocation = self._current
        if invocation is None or invocation.request_id != request_id:
            return _refused(400, "InvalidRequestID", "no such invocation is under way")
        self._current = None
        self._set_alarm(None, None)
        if len(result.payload) > ANSWER_BYTES_MAX:
            invocation.finish(
                failure(
                    "Function.ResponseSizeTooLarge",
                    "Response payload size exceeded maximum allowed payload size "
                    f"({ANSWER_BYTES_MAX} bytes).",
                )
            )
            return _refused(413, "RequestEntityTooLarge", "the answer is too large")
        invocation.finish(result)
        return _accepted()

    def _timed_out(self) -> None:
        if self._current is not None:
            self.kill(
                failure(
                    "Sandbox.Timedout",
                    f"RequestId: {self._current.request_id} Error: Task timed out after "
                    f"{self._function.timeout_s}.00 seconds",
                )
            )

    def _init_timed_out(self) -> None:
        self.kill(failure("Sandbox.Timedout", f"not started within {_INIT_DEADLINE_S:.0f} s"))

    def _ended(self, exit_code: int) -> None:
        self._set_alarm(None, None)
        invocation = self._current
        request_id = invocation.request_id if invocation else "-"
        status = f"exit status {exit_code}" if exit_code >= 0 else f"signal: {-exit_code}"
        exited = failure(
            "Runtime.ExitError",
            f"RequestId: {request_id} Error: Runtime exited with error: {status}",
        )
        reason = self._killed_for or self._init_error or exited
        if invocation is not None:
            self._current = None
            invocation.finish(reason)
        # What failed at the start has been logged by the runtime client itself.
        if reason not in (self._init_error, STOPPED):
            self._emit(json.loads(reason.payload)["errorMessage"])
        self._owner.gone(self, reason)

    def _set_alarm(self, seconds: float | None, call: Callable[[], None] | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if seconds is not None and call is not None:
            self._alarm = asyncio.get_running_loop().call_later(seconds, call)

    async def _forward_logs(self, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:
                # Longer than any log line may be: the stream has dropped it and goes on behind it.
                self._emit(f"(a log line over {_LOG_LINE_BYTES_MAX} bytes was dropped)")
                continue
            if not line:
                return
            # The runtime client joins the lines of one error by carriage returns.
            for part in line.decode(errors="replace").rstrip("\n").split("\r"):
                self._emit(part)


def _accepted() -> Response:
    return Response(b'{"status":"OK"}', 202, media_type="application/json")


def _refused(status: int, error_type: str, message: str) -> Response:
    body = json.dumps({"errorType": error_type, "errorMessage": message})
    return Response(body, status, media_type="application/json")
