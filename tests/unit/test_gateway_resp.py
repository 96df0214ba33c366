"""The gateway's side of the Redis protocol."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.gateway.replies import resp2_body
from infra.local.gateway.resp import (
    NIL_ARRAY,
    ErrorReply,
    RedisConnection,
    RedisUnavailableError,
    Reply,
    ReplyParser,
    Status,
    encode,
)

LINE = st.binary(max_size=20).filter(lambda text: b"\r" not in text and b"\n" not in text)
REPLIES = st.recursive(
    st.none()
    | st.just(NIL_ARRAY)
    | st.integers(-(2**63), 2**63 - 1)
    | st.binary(max_size=60)
    | LINE.map(Status)
    | LINE.map(ErrorReply),
    lambda items: st.lists(items, max_size=5),
    max_leaves=20,
)


def kinds(reply: Reply) -> object:
    """The reply with its types, so that a status is told from the same text as a string."""
    if isinstance(reply, list):
        return [kinds(item) for item in reply]
    return type(reply), reply


@given(st.lists(REPLIES, max_size=6), st.data())
def test_replies_come_out_the_same_wherever_the_stream_is_cut(
    replies: list[Reply], data: st.DataObject
) -> None:
    stream = resp2_body(replies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parser = ReplyParser()
    parsed: list[Reply] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        parsed += parser.feed(stream[start:end])
    assert list(map(kinds, parsed)) == list(map(kinds, replies))


def test_nothing_comes_out_before_a_reply_is_whole() -> None:
    parser = ReplyParser()
    stream = b"*2\r\n$3\r\nabc\r\n:7\r\n"
    assert [parser.feed(bytes([byte])) for byte in stream[:-1]] == [[]] * (len(stream) - 1)
    assert parser.feed(stream[-1:]) == [[b"abc", 7]]


@pytest.mark.parametrize(
    ("command", "wire"),
    [
        ([b"PING"], b"*1\r\n$4\r\nPING\r\n"),
        (
            [b"SET", b"", b"a\r\nb\x00\xff"],
            b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$6\r\na\r\nb\x00\xff\r\n",
        ),
    ],
)
def test_commands_are_length_prefixed_and_binary_safe(command: list[bytes], wire: bytes) -> None:
    assert encode(command) == wire


def test_a_reply_that_was_cut_off_does_not_spoil_the_next_connection() -> None:
    async def run() -> list[Reply]:
        replies = iter([b"*2\r\n$5\r\nab", b"+PONG\r\n"])

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"PING\r\n")
            writer.write(next(replies))
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            redis = RedisConnection("127.0.0.1", server.sockets[0].getsockname()[1])
            with pytest.raises(RedisUnavailableError, match="was lost"):
                await redis.send([[b"PING"]])
            return await redis.send([[b"PING"]])

    assert asyncio.run(run()) == [b"PONG"]
