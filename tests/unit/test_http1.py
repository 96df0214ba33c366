"""Answers as servers send them, whole and in pieces, and what is none."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from tollkeeper_core.adapters.http1 import Connection, Deadline, Reply, WireError, request_bytes

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = (
    b"Transfer-Encoding: Chunked\r\n\r\n5;name=x\r\nhello\r\nA\r\n, world!!!\r\n0\r\nA: b\r\n\r\n"
)

Answer = Callable[[bytes], Reply]


@pytest.fixture
def answer() -> Iterator[Answer]:
    """What a connection makes of bytes that come one by one, from a server that then hangs up."""
    threads = []

    def read(sent: bytes) -> Reply:
        ours, theirs = socket.socketpair()

        def serve() -> None:
            with theirs, suppress(OSError):  # who has read enough hangs up
                theirs.recv(65_536)
                for byte in sent:
                    theirs.sendall(bytes([byte]))

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        with ours:
            return Connection(ours).ask(b"POST / HTTP/1.1\r\n\r\n", Deadline(5))

    yield read
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("sent", "reply"),
    [
        (OK + b"Content-Length: 2\r\n\r\n{}", Reply(200, b"{}", True)),
        (OK + b"content-length:0\r\n\r\n", Reply(200, b"", True)),
        (OK + b"Content-Length: 2\r\nConnection: Close\r\n\r\n{}", Reply(200, b"{}", False)),
        (OK + CHUNKED, Reply(200, b"hello, world!!!", True)),
        (OK + b"\r\nuntil it is closed", Reply(200, b"until it is closed", False)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Reply(204, b"", True)),
        (b"HTTP/1.1 401\r\nContent-Length: 2\r\n\r\nno", Reply(401, b"no", True)),
        (
            b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\n1",
            Reply(200, b"1", True),
        ),
    ],
)
def test_an_answer_however_it_comes(answer: Answer, sent: bytes, reply: Reply) -> None:
    assert answer(sent) == reply


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 two OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        OK + b"Content-Length: 3\r\n\r\n{}",
        OK + b"Content-Length: -2\r\n\r\n{}",
        OK + b"Content-Length: +2\r\n\r\n{}",
        OK + b"Content-Length: 0x2\r\n\r\n{}",
        OK + CHUNKED[:-4],
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n\r\n",
    ],
)
def test_what_is_no_whole_answer(answer: Answer, sent: bytes) -> None:
    with pytest.raises(WireError):
        answer(sent)


def test_closed_before_it_answered_may_be_asked_again(answer: Answer) -> None:
    with pytest.raises(ConnectionError):
        answer(b"")


def test_a_head_without_end(answer: Answer) -> None:
    with pytest.raises(WireError, match="too long"):
        answer(OK + b"A: " + b"b" * 70_000)


def test_what_comes_unasked_is_not_the_next_answer() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(OK + b"Content-Length: 2\r\n\r\n{}" + OK + b"Content-Length: 2\r\n\r\n[]")
        assert Connection(ours).ask(b"POST / HTTP/1.1\r\n\r\n", Deadline(5)).keeps is False


def test_a_request_is_one_text_and_a_header_one_line() -> None:
    headers = {"Authorization": "Bearer t"}
    assert request_bytes("/pipeline", "redis.example", headers, b"[]") == (
        b"POST /pipeline HTTP/1.1\r\nHost: redis.example\r\nContent-Length: 2\r\n"
        b"Accept-Encoding: identity\r\nAuthorization: Bearer t\r\n\r\n[]"
    )
    for token in ("t\n", "t\r\nX: y", "t\r"):
        with pytest.raises(ValueError, match="end of a line"):
            request_bytes("/", "redis.example", {"Authorization": token}, b"")
