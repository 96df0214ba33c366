"""As much of HTTP/1.1 as a small JSON API speaks, on one socket and under one deadline (RFC 9112).

``http.client`` reads a head by the rules of e-mail, which takes a tenth of a check; and it sends a
request's head and body apart, two packets that wake the server twice.
"""

import socket
import time
from collections.abc import Mapping
from typing import NamedTuple

_READ_BYTES = 65_536
_HEAD_BYTES_MAX = 65_536
_LINE = b"\r\n"


class WireError(Exception):
    """What came is no whole answer in HTTP/1."""


class Deadline:
    """A point in time that every wait of one request is held against."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left_s(self) -> float:
        """Raises TimeoutError once there is nothing left."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline passed")
        return left


class Reply(NamedTuple):
    """``keeps``: the connection may carry another request."""

    status: int
    body: bytes
    keeps: bool


def request_bytes(path: str, host: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A POST. Raises ValueError for a header of more than one line."""
    named = {"Host": host, "Content-Length": str(len(body)), "Accept-Encoding": "identity"}
    lines = [f"{name}: {value}" for name, value in (*named.items(), *headers.items())]
    head = "\r\n".join([f"POST {path} HTTP/1.1", *lines])
    if head.count("\n") > len(lines) or head.count("\r") > len(lines):
        raise ValueError("a header holds the end of a line")
    return head.encode("latin-1") + b"\r\n\r\n" + body


class Connection:
    """Carries one request at a time. A plain time-out would bound each read; a server that sends a
    byte now and then could stretch one answer without end.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._read = bytearray()

    def close(self) -> None:
        """Whatever is under way is lost."""
        self._sock.close()

    def ask(self, request: bytes, deadline: Deadline) -> Reply:
        """Raises WireError, OSError: ConnectionError where it was closed before it answered."""
        self._sock.settimeout(deadline.left_s())
        self._sock.sendall(request)
        if not self._more(deadline):
            raise ConnectionResetError("closed without an answer")
        status, fields = self._head(deadline)
        while status < 200:
            status, fields = self._head(deadline)
        body, ends = self._body(status, fields, deadline)
        keeps = ends and not self._read and fields.get(b"connection", b"").lower() != b"close"
        return Reply(status, body, keeps)

    def _head(self, deadline: Deadline) -> tuple[int, Mapping[bytes, bytes]]:
        first, *lines = self._until(_LINE + _LINE, deadline).split(_LINE)
        version, _, rest = first.partition(b" ")
        if version != b"HTTP/1.1" or not rest[:3].isdigit():
            raise WireError(f"not HTTP/1.1: {first[:40]!r}")
        fields = (line.partition(b":") for line in lines)
        return int(rest[:3]), {name.lower(): value.strip() for name, _, value in fields}

    def _body(
        self, status: int, fields: Mapping[bytes, bytes], deadline: Deadline
    ) -> tuple[bytes, bool]:
        """The body, and whether it ends before the connection does."""
        if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
            return self._chunks(deadline), True
        if length := fields.get(b"content-length"):
            return self._exactly(_size(length, 10), deadline), True
        if status in (204, 304):
            return b"", True
        while self._more(deadline):
            pass
        return bytes(self._read), False

    def _chunks(self, deadline: Deadline) -> bytes:
        parts = []
        while size := _size(self._until(_LINE, deadline).partition(b";")[0], 16):
            parts.append(self._exactly(size, deadline))
            self._until(_LINE, deadline)
        while self._until(_LINE, deadline):
            pass  # trailers
        return b"".join(parts)

    def _until(self, end: bytes, deadline: Deadline) -> bytes:
        while (at := self._read.find(end)) < 0:
            if len(self._read) > _HEAD_BYTES_MAX:
                raise WireError("the head is too long")
            if not self._more(deadline):
                raise WireError("closed within the head")
        found = bytes(self._read[:at])
        del self._read[: at + len(end)]
        return found

    def _exactly(self, size: int, deadline: Deadline) -> bytes:
        while len(self._read) < size:
            if not self._more(deadline):
                raise WireError("closed within the body")
        found = bytes(self._read[:size])
        del self._read[:size]
        return found

    def _more(self, deadline: Deadline) -> bool:
        """Read what is there, once something is; False at the end."""
        self._sock.settimeout(deadline.left_s())
        data = self._sock.recv(_READ_BYTES)
        self._read += data
        return bool(data)


def _size(text: bytes, base: int) -> int:
    digits = text.strip()
    if not digits.isalnum():  # int() would take a sign and underscores
        raise WireError("a length that is none")
    try:
        return int(digits, base)
    except ValueError:
        raise WireError("a length that is none") from None
