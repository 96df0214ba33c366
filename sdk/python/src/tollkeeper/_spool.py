"""Usage events on disk until they are delivered: what a killed process had not sent yet.

A process appends to segments of its own, each locked while it lives. A segment is deleted once all
its events are settled. What a dead process left is adopted by the next one that starts; an event
that had arrived already counts once all the same, by its id.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger("tollkeeper")

_SEGMENT_BYTES_MAX = 1 << 20


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
        while data:
            data = data[os.write(self._fd, data) :]
        self.size += len(line) + 1
        self.outstanding += 1

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
    """The segments of this process in one directory. The caller holds a lock around it."""

    def __init__(self, directory: Path) -> None:
        try:
            import fcntl  # noqa: F401  # asked for here, so that its lack is known at once
        except ImportError:
            raise ValueError("spool_dir needs a system with flock, which this one lacks") from None
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._current: Segment | None = None
        self._all: list[Segment] = []

    def append(self, line: bytes) -> Segment:
        """Keep one event; the segment that is to be told when it is settled."""
        segment = self._current
        if segment is None or segment.size >= _SEGMENT_BYTES_MAX:
            if segment is not None:
                self._seal(segment)
            segment = self._current = self._open_new()
        segment.append(line)
        return segment

    def adopt(self) -> Iterator[tuple[bytes, Segment]]:
        """The events that dead processes left, oldest segments first."""
        for path in sorted(self._directory.glob("*.jsonl")):
            segment = self._lock(path)
            if segment is None:
                continue
            lines = [line for line in path.read_bytes().split(b"\n") if _is_event(line)]
            segment.outstanding, segment.sealed = len(lines), True
            if not lines:
                segment.remove()
                continue
            self._all.append(segment)
            for line in lines:
                yield line, segment

    def close(self) -> None:
        """Leave what is not settled to the next process."""
        for segment in self._all:
            if segment.outstanding > 0:
                segment.release()
            else:
                segment.remove()
        self._all, self._current = [], None

    def after_fork(self) -> None:
        """In the child: the files are the parent's."""
        for segment in self._all:
            segment.release()
        self._all, self._current = [], None

    def _seal(self, segment: Segment) -> None:
        segment.sealed = True
        if segment.outstanding == 0:
            segment.remove()
        self._all = [s for s in self._all if s.outstanding > 0]

    def _open_new(self) -> Segment:
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


def _is_event(line: bytes) -> bool:
    """Whether it is a whole event; the last line of a killed process may be torn."""
    try:
        event = json.loads(line)
    except ValueError:
        return False
    return isinstance(event, dict) and "event_id" in event
