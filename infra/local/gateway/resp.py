"""Redis' wire protocol, version 2: one pipelined connection that all requests share.

A Redis answers in the order it is asked, and no command that blocks is ever sent here, so one
connection serves any number of requests at once and a batch written in one piece stays together.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import cast

CONNECT_DEADLINE_S = 2.0

Command = Sequence[bytes]


class RedisUnavailableError(Exception):
    """Redis cannot be reached, or went away before it answered."""


class Status(bytes):
    """A simple string, such as OK."""


class ErrorReply(bytes):
    """An error, beginning with its code."""


class NilArray:
    """The absent array, which only RESP tells from an absent string."""


NIL_ARRAY = NilArray()

Reply = bytes | int | None | NilArray | list["Reply"]


def encode(command: Command) -> bytes:
    """A command as Redis reads it."""
    parts = [b"*%d\r\n" % len(command)]
    parts.extend(b"$%d\r\n%b\r\n" % (len(part), part) for part in command)
    return b"".join(parts)


class ReplyParser:
    """Turns a stream of bytes, cut anywhere, into replies."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._open_arrays: list[tuple[list[Reply], int]] = []

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that `data` completes."""
        buffer = self._buffer
        buffer += data
        replies: list[Reply] = []
        position = 0
        while (line_end := buffer.find(b"\r\n", position)) >= 0:
            kind = buffer[position]
            value: Reply
            after = line_end + 2
            if kind == 0x24:  # $
                length = int(buffer[position + 1 : line_end])
                if length < 0:
                    value = None
                else:
                    after = line_end + 4 + length
                    if len(buffer) < after:
                        break
                    value = bytes(buffer[line_end + 2 : after - 2])
            elif kind == 0x3A:  # :
                value = int(buffer[position + 1 : line_end])
            elif kind == 0x2A:  # *
                length = int(buffer[position + 1 : line_end])
                if length > 0:
                    self._open_arrays.append(([], length))
                    position = after
                    continue
                value = [] if length == 0 else NIL_ARRAY
            else:
                text = buffer[position + 1 : line_end]
                value = ErrorReply(text) if kind == 0x2D else Status(text)
            position = after
            self._place(value, replies)
        del buffer[:position]
        return replies

    def _place(self, value: Reply, replies: list[Reply]) -> None:
        while self._open_arrays:
            items, length = self._open_arrays[-1]
            items.append(value)
            if len(items) < length:
                return
            self._open_arrays.pop()
            value = items
        replies.append(value)


class _Batch:
    """Commands that were written together, and their replies so far."""

    __slots__ = ("answered", "replies", "size")

    def __init__(self, size: int, answered: "asyncio.Future[list[Reply]]") -> None:
        self.size = size
        self.answered = answered
        self.replies: list[Reply] = []


class RedisConnection(asyncio.Protocol):
    """A connection that opens on first use and again after it was lost."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._transport: asyncio.WriteTransport | None = None
        self._connecting = asyncio.Lock()
        self._parser = ReplyParser()
        self._waiting: deque[_Batch] = deque()

    async def send(self, commands: Sequence[Command]) -> list[Reply]:
        """Write all commands in one piece and wait for their replies.

        Raises `RedisUnavailableError` when Redis cannot be reached, or when the connection ends
        before the last reply: whether the commands ran is not known then.
        """
        transport = self._transport or await self._connect()
        answered = asyncio.get_running_loop().create_future()
        self._waiting.append(_Batch(len(commands), answered))
        transport.write(b"".join(map(encode, commands)))
        replies: list[Reply] = await answered
        return replies

    def close(self) -> None:
        """Close; requests that wait get `RedisUnavailableError`."""
        if self._transport is not None:
            self._transport.abort()

    async def _connect(self) -> asyncio.WriteTransport:
        async with self._connecting:
            if self._transport is None:
                loop = asyncio.get_running_loop()
                try:
                    async with asyncio.timeout(CONNECT_DEADLINE_S):
                        await loop.create_connection(lambda: self, self._host, self._port)
                except OSError as error:
                    raise RedisUnavailableError(f"cannot connect to Redis: {error}") from error
            if self._transport is None:
                # Lost again before this task ran on.
                raise RedisUnavailableError("the connection to Redis was lost")
            return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with a clean parser: the last connection may have ended inside a reply."""
        self._transport = cast(asyncio.WriteTransport, transport)
        self._parser = ReplyParser()

    def data_received(self, data: bytes) -> None:
        """Hand out the replies in the order of the commands."""
        for reply in self._parser.feed(data):
            batch = self._waiting[0]
            batch.replies.append(reply)
            if len(batch.replies) == batch.size:
                self._waiting.popleft()
                # A caller that was cancelled waits no more; its replies still come and are dropped.
                if not batch.answered.done():
                    batch.answered.set_result(batch.replies)

    def connection_lost(self, _error: Exception | None) -> None:
        """Fail everything that waits; the next request opens a new connection."""
        self._transport = None
        while self._waiting:
            answered = self._waiting.popleft().answered
            if not answered.done():
                answered.set_exception(RedisUnavailableError("the connection to Redis was lost"))
