"""Server-sent events, read along while their bytes go by."""

from __future__ import annotations

import re

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_LINE_END = re.compile(rb"\r\n|\n|\r")
#: Beyond this it is no event, and nothing is worth holding back or remembering.
_EVENT_BYTES_MAX = 16 << 20


class EventSplitter:
    """Cuts a stream of bytes behind each event; the pieces joined are the stream again."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The events that are whole now, each with the blank line that ends it."""
        seen = max(0, len(self._buffer) - 3)
        self._buffer += data
        events: list[bytes] = []
        start = 0
        for match in _BLANK_LINE.finditer(self._buffer, seen):
            events.append(self._buffer[start : match.end()])
            start = match.end()
        self._buffer = self._buffer[start:]
        if len(self._buffer) > _EVENT_BYTES_MAX:
            events.append(self.rest())
        return events

    def rest(self) -> bytes:
        """What came after the last whole event."""
        rest, self._buffer = self._buffer, b""
        return rest


def event_data(event: bytes) -> bytes:
    """The data of one event; empty where it has none."""
    lines = (line for line in _LINE_END.split(event) if line.startswith(b"data:"))
    return b"\n".join(line[6:] if line[5:6] == b" " else line[5:] for line in lines)
