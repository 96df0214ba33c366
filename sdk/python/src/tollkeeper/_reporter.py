"""Delivers usage events in the background, so that no answer ever waits for the books."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tollkeeper._protocol import (
    ANSWER_BYTES_MAX,
    BATCH_BYTES_MAX,
    BATCH_MAX,
    Answer,
    NoAnswer,
    Refused,
    encode,
    verdicts,
)
from tollkeeper._spool import Segment, Spool
from tollkeeper._types import Json

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger("tollkeeper")

_RETRY_SECONDS = 0.25
_RETRY_SECONDS_MAX = 30.0
_ATTEMPT_SECONDS = 10.0
_GRACE_SECONDS = 0.25


@dataclass(frozen=True)
class Stats:
    """What became of the usage events of this process.

    `pending`: in memory and in the spool. `rejected`: refused for good by Tollkeeper. `dropped`:
    never sent, as too many were waiting, or until the close.
    """

    pending: int
    delivered: int
    rejected: int
    dropped: int


@dataclass(frozen=True)
class _Pending:
    event_id: str
    line: bytes
    segment: Segment | None


class Reporter:
    """A bounded queue and one thread that sends what is in it, in order and in batches.

    Its lock is reentrant and `put` only appends: the garbage collector may settle a forgotten
    stream at any moment, also while this very thread is in here.
    """

    def __init__(
        self, url: str, headers: dict[str, str], max_queue: int, spool_dir: str | Path | None
    ) -> None:
        self._url = f"{url}/v1/usage"
        self._headers = headers
        self._max_queue = max_queue
        self._spool = Spool(Path(spool_dir), max_queue) if spool_dir is not None else None
        self._forget()
        if self._spool is not None:
            with self._changed:
                self._spool.adopt()
                self._start()

    def _forget(self) -> None:
        """Begin with nothing: at the start, and in the child of a fork."""
        self._changed = threading.Condition(threading.RLock())
        self._pending: deque[_Pending] = deque()
        self._delivered = self._rejected = self._dropped = 0
        self._batch_max = BATCH_MAX
        self._hurried = 0
        self._closing = False
        self._deadline = float("inf")
        #: Of the thread that may go on; one that hung at a close finds another number here.
        self._turn = 0
        self._thread: threading.Thread | None = None
        self._http: httpx.Client

    def put(self, event: Json) -> None:
        """Queue one event; returns at once."""
        line = encode(event) or b""
        with self._changed:
            if len(line) > BATCH_BYTES_MAX:
                self._rejected += 1
                logger.error("usage lost: event %s is over 64 KiB", event["event_id"])
                return
            if len(self._pending) < self._max_queue:
                self._pending.append(_Pending(event["event_id"], line, self._keep(line)))
            else:
                self._put_aside(line)
            self._start()
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing is pending; False when the time is up first."""
        with self._changed:
            self._hurried += 1
            self._start()
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self._left, timeout_s)
            finally:
                self._hurried -= 1

    def close(self, timeout_s: float) -> int:
        """Deliver what is pending within the time; the number of events left undelivered.

        An event that is put later starts the thread again.
        """
        with self._changed:
            self._deadline = time.monotonic() + timeout_s
            self._closing = True
            self._changed.notify_all()
            thread, left = self._thread, self._left
        if thread is not None and thread.is_alive():
            if thread is not threading.current_thread():
                thread.join(timeout_s + _GRACE_SECONDS)
        elif left:
            self._run()  # at the interpreter's exit no thread can be started any more
        with self._changed:
            left = self._give_up()
        if left:
            kept = "they stay in the spool" if self._spool else "usage lost"
            logger.error("%s: %d events could not be delivered in time", kept, left)
        return left

    def _give_up(self) -> int:
        """Forget what is left, and the thread, should it hang; how many events that were."""
        left = self._left
        self._pending.clear()
        if self._spool is not None:
            self._spool.close()
        else:
            self._dropped += left
        self._turn += 1
        self._thread = None
        self._closing = False
        self._deadline = float("inf")
        self._changed.notify_all()
        return left

    def stats(self) -> Stats:
        """What became of the events so far."""
        with self._changed:
            return Stats(self._left, self._delivered, self._rejected, self._dropped)

    def after_fork(self) -> None:
        """In the child: what was pending is the parent's to deliver."""
        _left_to_the_parent.append(getattr(self, "_http", None))
        if self._spool is not None:
            self._spool.after_fork()
        self._forget()

    def _keep(self, line: bytes) -> Segment | None:
        if self._spool is None:
            return None
        try:
            return self._spool.append(line)
        except OSError as error:
            logger.warning("the spool takes nothing, usage stays in memory: %s", error)
            return None

    def _put_aside(self, line: bytes) -> None:
        """There is no room in memory."""
        why = f"{len(self._pending)} events are waiting"
        if self._spool is not None:
            try:
                self._spool.put_aside(line)
            except OSError as error:
                why = str(error)
            else:
                return
        self._dropped += 1
        logger.error("usage lost: %s", why)

    @property
    def _left(self) -> int:
        """How many events are not settled, in memory and on disk."""
        return len(self._pending) + (self._spool.waiting if self._spool else 0)

    def _refill(self) -> bool:
        """Whether anything is in memory, of what waits on disk if need be."""
        while not self._pending and self._spool is not None:
            try:
                taken = self._spool.take()
            except OSError as error:
                logger.warning("a part of the spool cannot be read: %s", error)
                continue
            if taken is None:
                return False
            lines, segment = taken
            for line in lines:
                event_id = str(json.loads(line)["event_id"])
                self._pending.append(_Pending(event_id, line, segment))
        return bool(self._pending)

    def _start(self) -> None:
        if self._left and (self._thread is None or not self._thread.is_alive()):
            thread = threading.Thread(target=self._run, name="tollkeeper-usage", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # the interpreter shuts down: `close` delivers
            self._thread = thread

    def _run(self) -> None:
        import httpx

        turn, wait_s = self._turn, _RETRY_SECONDS
        # A client of its own, not the loop's: at the exit of the interpreter a loop resolves no
        # names any more, and that is when the last usage is sent.
        with httpx.Client(headers=self._headers) as self._http:
            while batch := self._next_batch(turn):
                try:
                    progress = self._deliver(batch)
                except Refused as error:
                    progress = self._refused(batch, error)
                except Exception as error:  # losing usage is the worse mistake
                    logger.warning("usage is waiting to be delivered: %s", error)
                    progress = False
                if progress:
                    wait_s = _RETRY_SECONDS
                elif self._pause(wait_s):
                    wait_s = min(wait_s * 2, _RETRY_SECONDS_MAX)
                else:
                    return

    def _next_batch(self, turn: int) -> list[_Pending]:
        """The oldest events, which stay queued until they are settled; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: turn != self._turn or self._refill() or self._closing)
            batch: list[_Pending] = []
            size = 0
            # By index: a collected stream may append meanwhile, which an iterator would not bear.
            for index in range(
                min(len(self._pending), self._batch_max) if turn == self._turn else 0
            ):
                item = self._pending[index]
                size += len(item.line) + 1
                if batch and size > BATCH_BYTES_MAX:
                    break
                batch.append(item)
            return batch

    def _deliver(self, batch: list[_Pending]) -> bool:
        """Send a batch; whether anything in it is settled now."""
        body = b'{"events":[' + b",".join(item.line for item in batch) + b"]}"
        found = verdicts(self._post(body))
        settled = 0
        for item in batch:
            verdict = found.get(item.event_id, {})
            status = verdict.get("status")
            if status == "rejected":
                logger.error("usage lost: %s: %s", item.event_id, verdict.get("error"))
                self._settle(item, rejected=True)
            elif status == "accepted":
                self._settle(item, rejected=False)
            else:
                continue
            settled += 1
        self._batch_max = BATCH_MAX
        return settled > 0

    def _refused(self, batch: list[_Pending], error: Refused) -> bool:
        """A batch that is wrong as a whole is halved, until the event that spoils it is alone."""
        if len(batch) > 1:
            self._batch_max = len(batch) // 2
            return True
        logger.error("usage lost: %s: %s", batch[0].event_id, error)
        self._settle(batch[0], rejected=True)
        self._batch_max = BATCH_MAX
        return True

    def _settle(self, item: _Pending, *, rejected: bool) -> None:
        with self._changed:
            try:
                self._pending.remove(item)
            except ValueError:
                return  # given up at a close meanwhile
            if rejected:
                self._rejected += 1
            else:
                self._delivered += 1
            if item.segment is not None:
                try:
                    item.segment.settle()
                except OSError as error:
                    logger.warning("the spool cannot be shortened: %s", error)
            if not self._pending:
                self._changed.notify_all()

    def _post(self, body: bytes) -> Answer:
        import httpx

        left = min(_ATTEMPT_SECONDS, max(0.1, self._deadline - time.monotonic()))
        try:
            try:
                return self._attempt(body, left)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # A kept connection that the server had closed meanwhile.
                return self._attempt(body, left)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoAnswer(repr(error)) from error

    def _attempt(self, body: bytes, seconds: float) -> Answer:
        # The time-out holds for each read only, and a server may drip.
        end = time.monotonic() + seconds
        content = b""
        with self._http.stream("POST", self._url, content=body, timeout=seconds) as response:
            for part in response.iter_bytes():
                content += part
                if len(content) > ANSWER_BYTES_MAX or time.monotonic() > end:
                    raise NoAnswer("an answer without an end")
        return Answer(response.status_code, response.headers.get("content-type", ""), content)

    def _pause(self, seconds: float) -> bool:
        """Wait before the next attempt; False when there is no time for one."""
        end = time.monotonic() + seconds * random.uniform(0.5, 1.0)  # noqa: S311
        with self._changed:
            while (left := end - time.monotonic()) > 0:
                if self._closing or self._hurried:
                    # Somebody waits for it: soon, though not in a busy loop.
                    left = min(left, _RETRY_SECONDS, max(0.0, self._deadline - time.monotonic()))
                    end = time.monotonic() + left
                    self._changed.wait_for(lambda: False, left)
                else:
                    self._changed.wait(left)
            return not self._closing or time.monotonic() < self._deadline


#: Kept, as their finalizers would write to sockets that the parent still uses.
_left_to_the_parent: list[object] = []
