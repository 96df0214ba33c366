"""Delivers usage events in the background, so that no answer ever waits for the books."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any

_BATCH_MAX = 100
_PENDING_MAX = 100_000
_RETRY_SECONDS_MAX = 30.0

logger = logging.getLogger(__name__)

Event = dict[str, Any]


class Undeliverable(Exception):  # noqa: N818  # it names the fate of a batch, not an error class
    """The batch will never be taken, however often it is sent."""


class Reporter:
    """A queue and one thread that hands events, in order and in batches, to `send`.

    `send` raises `Undeliverable` for a batch that is refused for good and any other exception for
    one to be sent again; events carry their own id, so sending one twice counts it once. Waits
    between attempts double from `retry_seconds` to half a minute.
    """

    def __init__(self, send: Callable[[list[Event]], None], retry_seconds: float = 0.25) -> None:
        self._send = send
        self._retry_seconds = retry_seconds
        self._pending: deque[Event] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._deadline = 0.0
        self._thread: threading.Thread | None = None

    def put(self, event: Event) -> None:
        """Queue one event; returns at once."""
        with self._changed:
            if self._closing.is_set():
                logger.error("usage lost: an event was reported after the end")
                return
            if len(self._pending) >= _PENDING_MAX:
                logger.error("usage lost: %d events are waiting", len(self._pending))
                return
            self._pending.append(event)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="usage", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until nothing is pending; False when the time is up first."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending, timeout_seconds)

    def close(self, timeout_seconds: float) -> int:
        """Deliver what is pending within the time; the number of events left undelivered."""
        with self._changed:
            self._deadline = time.monotonic() + timeout_seconds
            self._closing.set()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_seconds)
        left = len(self._pending)
        if left:
            logger.error("usage lost: %d events could not be delivered before the exit", left)
        return left

    def _run(self) -> None:
        wait_seconds = self._retry_seconds
        while batch := self._next_batch():
            try:
                self._send(batch)
            except Undeliverable as error:
                logger.error("usage lost: %d events were refused: %s", len(batch), error)
            except Exception as error:
                # Whatever it was, the events stay queued: losing usage is the worse mistake.
                logger.warning("usage is waiting, next attempt in %.1f s: %s", wait_seconds, error)
                if not self._pause(wait_seconds):
                    return
                wait_seconds = min(wait_seconds * 2, _RETRY_SECONDS_MAX)
                continue
            wait_seconds = self._retry_seconds
            self._drop(len(batch))

    def _next_batch(self) -> list[Event]:
        """The oldest events, which stay queued until they are delivered; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._closing.is_set())
            return list(islice(self._pending, _BATCH_MAX))

    def _drop(self, count: int) -> None:
        with self._changed:
            for _ in range(count):
                self._pending.popleft()
            self._changed.notify_all()

    def _pause(self, seconds: float) -> bool:
        """Wait before the next attempt; False when there is no time for one."""
        if not self._closing.is_set():
            self._closing.wait(seconds)
            return True
        time.sleep(max(0.0, min(seconds, self._deadline - time.monotonic())))
        return time.monotonic() < self._deadline
