"""Asks Tollkeeper, within a deadline that holds for the request as a whole.

All requests run in one event loop of its own thread. So a deadline can end a request wherever it
is (an `httpx` time-out holds for each read, and a server that drips would outlast it), any number
of threads and event loops share the connections, and sync and async callers share this code.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

from tollkeeper._protocol import ANSWER_BYTES_MAX, Answer, NoAnswer, Request, encode

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger("tollkeeper")

#: Outages in a row after which nobody waits for the deadline any more.
_BREAKER_FAILURES = 3
_BREAKER_SECONDS = 5.0
#: More requests wait their turn here: the pool's own queue slows down with its length.
_CONNECTIONS_MAX = 32


class Breaker:
    """Open after some outages in a row: requests fail at once, but for one trial every 5 s."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._next_trial = 0.0

    def admits(self) -> bool:
        """Whether a request may be tried now."""
        with self._lock:
            if self._failures < _BREAKER_FAILURES:
                return True
            now = time.monotonic()
            if now < self._next_trial:
                return False
            self._next_trial = now + _BREAKER_SECONDS
            return True

    def succeeded(self) -> None:
        """An answer came."""
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        """None came."""
        with self._lock:
            self._failures += 1
            self._next_trial = time.monotonic() + _BREAKER_SECONDS


class Engine:
    """The thread with the loop; it starts with the first request."""

    def __init__(self, url: str, headers: dict[str, str], timeout_s: float) -> None:
        self._url = url
        self._headers = headers
        self._timeout_s = timeout_s
        self.breaker = Breaker()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._http: httpx.AsyncClient | None = None
        self._turns: asyncio.Semaphore | None = None

    def submit(self, request: Request) -> Future[Answer]:
        """Begin a request; the future is done within the deadline, with NoAnswer at the worst."""
        if not self.breaker.admits():
            refused: Future[Answer] = Future()
            refused.set_exception(NoAnswer("no answer lately, not asked again yet"))
            return refused
        try:
            loop = self._running()
            deadline = time.monotonic() + self._timeout_s
            return asyncio.run_coroutine_threadsafe(self._ask(request, deadline), loop)
        except RuntimeError as error:  # no thread starts while the interpreter shuts down
            failed: Future[Answer] = Future()
            failed.set_exception(NoAnswer(str(error)))
            return failed

    async def _ask(self, request: Request, deadline: float) -> Answer:
        try:
            answer = await asyncio.wait_for(self._send(request), deadline - time.monotonic())
        except asyncio.TimeoutError as error:
            self.breaker.failed()
            raise NoAnswer(f"no answer within {self._timeout_s} s") from error
        except NoAnswer:
            self.breaker.failed()
            raise
        if answer.status >= 500:
            self.breaker.failed()
        else:
            self.breaker.succeeded()
        return answer

    async def _send(self, request: Request) -> Answer:
        import httpx

        http, turns = self._http, self._turns
        if http is None or turns is None:
            raise NoAnswer("closed meanwhile")
        content = encode(request.body)
        url = self._url + request.path
        try:
            async with turns:
                try:
                    return await _attempt(http, request.method, url, content)
                except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                    # A kept connection that the server had closed meanwhile. Every request here
                    # carries an id or changes nothing, so a second one is safe.
                    return await _attempt(http, request.method, url, content)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise NoAnswer(repr(error)) from error

    async def _warm_up(self) -> tuple[httpx.AsyncClient, asyncio.Semaphore]:
        """The connections, in the loop's own thread, which alone uses them.

        Imports and certificates take tenths of a second on a small machine, once: the deadline of
        the first check is not spent on them.
        """
        import anyio
        import httpx

        await anyio.sleep(0)  # loads what httpx needs of it for asyncio
        # No time-out of its own: `_ask` has the deadline.
        http = httpx.AsyncClient(headers=self._headers, timeout=None)  # noqa: S113
        return http, asyncio.Semaphore(_CONNECTIONS_MAX)

    def warm_up(self) -> None:
        """Have thread and connections ready; whoever has no time to wait for that calls it."""
        self._running()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run, args=(loop,), name="tollkeeper-check", daemon=True
                )
                self._thread.start()
                warm_up = asyncio.run_coroutine_threadsafe(self._warm_up(), loop)
                self._http, self._turns = warm_up.result()
                self._loop = loop
            return self._loop

    def close(self) -> None:
        """Close connections and thread. A later request starts them anew."""
        with self._lock:
            loop, thread, http = self._loop, self._thread, self._http
            self._loop = self._thread = self._http = None
        if loop is None or thread is None:
            return

        async def end() -> None:
            if http is not None:
                await http.aclose()

        try:
            asyncio.run_coroutine_threadsafe(end(), loop).result(1.0)
        except Exception as error:  # whatever it is, the thread has to end
            logger.debug("closing: %r", error)
        loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread():
            thread.join(1.0)

    def after_fork(self) -> None:
        """In the child, where the thread does not run: the parent's sockets are left alone."""
        _left_to_the_parent.append((self._loop, self._http))
        self._lock = threading.Lock()
        self.breaker = Breaker()
        self._loop = self._thread = self._http = None


async def _attempt(http: httpx.AsyncClient, method: str, url: str, body: bytes | None) -> Answer:
    content = b""
    async with http.stream(method, url, content=body) as response:
        async for part in response.aiter_bytes():
            content += part
            if len(content) > ANSWER_BYTES_MAX:
                raise NoAnswer("an answer without an end")
    return Answer(response.status_code, response.headers.get("content-type", ""), content)


#: Kept, as their finalizers would write to sockets that the parent still uses.
_left_to_the_parent: list[object] = []


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        # A closed transport lets go of its socket one turn of the loop later.
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()
