"""What a consumer is told before it is born, and what is known of it once it is dead."""

import os
import signal
import struct
from dataclasses import dataclass
from enum import StrEnum
from mmap import mmap
from typing import Self


class Point(StrEnum):
    """Where a consumer can be between two requests of its own."""

    BORN = "before its first receive"
    RECEIVED = "after receive, before settle"
    CHARGED = "between settle and archive"
    BETWEEN_OBJECTS = "between two objects of the archive"
    RECORDED = "between archive and delete"
    BETWEEN_DELETES = "between two deletes"
    ACKNOWLEDGED = "after the last delete of a batch"


_POINTS = tuple(Point)
_NOTES = struct.Struct("=BI")


@dataclass(frozen=True, slots=True)
class Life:
    """``point``: die where it is passed for the ``passes``-th time. ``after_s``: or die so much
    after birth, wherever that is. With neither it ends when the queue is empty.

    ``now_ms``: what its clock says at birth.
    """

    point: Point | None
    passes: int
    after_s: float | None
    now_ms: int


@dataclass(frozen=True, slots=True)
class Death:
    """``killed``: by SIGKILL; otherwise it found the queue empty and ended.

    ``last``: the point that it passed last. ``replayed``: settlements that were answered again.
    ``seconds``: from birth to death.
    """

    killed: bool
    last: Point
    replayed: int
    seconds: float


class Notes:
    """What a consumer leaves behind: a page that it shares with its launcher, and survives it."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._left = life.passes
        self._page = mmap(-1, _NOTES.size)

    def passes(self, point: Point, replayed: int = 0) -> None:
        """To be called at each point; does not return where the life is to end."""
        _, known = _NOTES.unpack_from(self._page)
        _NOTES.pack_into(self._page, 0, _POINTS.index(point), known + replayed)
        if point is self._life.point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def read(self, *, killed: bool, seconds: float) -> Death:
        """For the launcher, when the consumer is dead."""
        last, replayed = _NOTES.unpack_from(self._page)
        return Death(killed, _POINTS[last], replayed, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._page.close()
