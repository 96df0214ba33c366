"""Usage events on disk until they are delivered: what a killed process had not sent yet.

A process appends to segments of its own, each locked while it lives. A segment is deleted once all
its events are settled. What a dead process left is adopted by the next one that starts; an event
that had arrived already counts once all the same, by its id.

Some segments are only on disk: what was adopted, and what came while memory was full. They wait,
and are read one by one when there is room.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import uuid
from collections import deque
from pathlib import Path

logger = logging.getLogger("tollkeeper")

_SEGMENT_BYTES_MAX = 1 << 20
#: What one process keeps on disk in an outage that does not end.
_SPOOL_BYTES_MAX = 256 << 20


class SpoolFullError(OSError):
    """No more is kept."""


class Segment:
    """One file, open and locked. Not safe across threads by itself."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd
        self.outstanding = 0
        self.size = 0
        self.sealed = False

    def append(self, line: bytes) -> None:
        """Write one event. It outlives the process from here on, though not the machine."""
        data = line + b"\n"
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:  # a full disk took a part: the next line must not be joined to it
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.size)
            raise
        self.size += len(line) + 1
        self.outstanding += 1

    def lines(self) -> list[bytes]:
        """The whole events in the file; the last line of a killed process may be torn."""
        data = bytearray()
        while part := os.pread(self._fd, _SEGMENT_BYTES_MAX, len(data)):
            data += part
        return [line for line in bytes(data).split(b"\n") if _is_event(line)]

    def settle(self) -> None:
        """One event fewer is waiting; the last one of a sealed segment ends it."""
        self.outstanding -= 1
        if self.outstanding > 0:
            return
        if self.sealed:
            self.remove()
        else:
            os.ftruncate(self._fd, 0)
            self.size = 0

    def remove(self) -> None:
        """Delete the file and let go of it."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        self.release()

    def release(self) -> None:
        """Let go of the file and leave it for another process."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Spool:
    """The segments of this process in one directory. The caller holds a lock around it.

    `segment_events_max`: no more are read into memory at once.
    """

    def __init__(self, directory: Path, segment_events_max: int) -> None:
        try:
            import fcntl  # noqa: F401  # asked for here, so that its lack is known at once
        except ImportError:
            raise ValueError("spool_dir needs a system with flock, which this one lacks") from None
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._events_max = segment_events_max
        self._forget()

    def _forget(self) -> None:
        #: Of events that are in memory too; and of those that are not.
        self._current: Segment | None = None
        self._overflow: Segment | None = None
        self._waiting: deque[Segment] = deque()
        self._all: list[Segment] = []

    @property
    def waiting(self) -> int:
        """How many events are only on disk."""
        overflow = self._overflow.outstanding if self._overflow else 0
        return overflow + sum(segment.outstanding for segment in self._waiting)

    def append(self, line: bytes) -> Segment:
        """Keep one event; the segment that is to be told when it is settled. Raises OSError."""
        segment = self._current
        if segment is None or segment.size >= _SEGMENT_BYTES_MAX:
            if segment is not None:
                self._seal(segment)
            segment = self._current = self._open_new()
        segment.append(line)
        return segment

    def put_aside(self, line: bytes) -> None:
        """Keep one event on disk only, until `take`. Raises OSError."""
        segment = self._overflow
        if segment is not None and (
            segment.size >= _SEGMENT_BYTES_MAX or segment.outstanding >= self._events_max
        ):
            self._waiting.append(segment)
            segment = self._overflow = None
        if segment is None:
            segment = self._overflow = self._open_new()
        segment.append(line)

    def adopt(self) -> None:
        """Have the events that dead processes left wait, oldest segments first."""
        for path in sorted(self._directory.glob("*.jsonl"), key=_age):
            segment = self._lock(path)
            if segment is None:
                continue
            segment.outstanding = len(segment.lines())
            segment.size = path.stat().st_size
            if segment.outstanding:
                self._all.append(segment)
                self._waiting.append(segment)
            else:
                segment.remove()

    def take(self) -> tuple[list[bytes], Segment] | None:
        """The events of the next segment that waits; None where none does.

        Raises OSError where it cannot be read: it is left to the next process.
        """
        if not self._waiting and self._overflow is not None:
            self._waiting.append(self._overflow)
            self._overflow = None
        if not self._waiting:
            return None
        segment = self._waiting.popleft()
        segment.sealed = True
        return segment.lines(), segment

    def close(self) -> None:
        """Leave what is not settled to the next process."""
        for segment in self._all:
            if segment.outstanding > 0:
                segment.release()
            else:
                segment.remove()
        self._forget()

    def after_fork(self) -> None:
        """In the child: the files are the parent's."""
        for segment in self._all:
            segment.release()
        self._forget()

    def _seal(self, segment: Segment) -> None:
        segment.sealed = True
        if segment.outstanding == 0:
            segment.remove()

    def _open_new(self) -> Segment:
        in_use = (self._current, self._overflow)
        self._all = [s for s in self._all if s.outstanding > 0 or s in in_use]
        if sum(segment.size for segment in self._all) > _SPOOL_BYTES_MAX:
            raise SpoolFullError(f"{self._directory} is full")
        path = self._directory / f"{os.getpid()}-{uuid.uuid4().hex}.jsonl"
        segment = self._lock(path, create=True)
        if segment is None:
            raise OSError(f"cannot lock {path}")
        self._all.append(segment)
        return segment

    def _lock(self, path: Path, *, create: bool = False) -> Segment | None:
        """The file if it is nobody else's. One that was deleted meanwhile is nobody's to take."""
        import fcntl

        flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        try:
            fd = os.open(path, flags | (os.O_CREAT | os.O_EXCL if create else 0), 0o600)
        except OSError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink > 0:
                return Segment(path, fd)
        except OSError:
            pass
        os.close(fd)
        return None


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _is_event(line: bytes) -> bool:
    try:
        event = json.loads(line)
    except ValueError:
        return False
    return isinstance(event, dict) and "event_id" in event
