"""The transport under the client, against servers that misbehave."""

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.domain.ledger import LedgerUnavailableError

from tests.support.bad_server import server
from tests.support.redis_stack import RedisStack

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"result":"OK"}'


def drip(connection: socket.socket, _: int) -> None:
    for byte in OK:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def hang(_connection: socket.socket, _: int) -> None:
    time.sleep(1.5)


@pytest.mark.parametrize("answer", [drip, hang])
def test_the_deadline_bounds_the_request_as_a_whole(
    answer: Callable[[socket.socket, int], None],
) -> None:
    with server(answer) as (url, seen), LeanRedis(url, "t", 0.3) as client:
        begun = time.monotonic()
        with pytest.raises(LedgerUnavailableError, match="did not answer"):
            client.get("k")
        assert time.monotonic() - begun < 1.0  # far below what the answer would have taken
        assert len(seen) == 1  # and it was not sent twice


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops",
        b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n",
        b'HTTP/1.1 429 Slow\r\nContent-Length: 13\r\n\r\n{"error":"m"}',
        b'HTTP/1.1 401 No\r\nContent-Length: 13\r\n\r\n{"error":"u"}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<htm>",
        b"nonsense\r\n\r\n",
    ],
)
def test_what_is_no_answer_of_redis_is_unavailable(answer: bytes) -> None:
    with (
        server(lambda c, _: c.sendall(answer)) as (url, _),
        LeanRedis(url, "t", 2.0) as client,
        pytest.raises(LedgerUnavailableError),
    ):
        client.get("k")


def test_a_connection_is_kept_and_one_found_dead_is_replaced_once() -> None:
    closed = threading.Event()

    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(OK)
        if number == 1:
            connection.shutdown(socket.SHUT_RDWR)
            closed.set()

    with server(answer) as (url, seen), LeanRedis(url, "t", 2.0) as client:
        assert client.get("a") == "OK"
        assert client.get("b") == "OK"
        assert closed.wait(2)
        assert client.get("c") == "OK"
        assert len(seen) == 3


def test_a_new_connection_that_breaks_is_not_tried_again() -> None:
    def answer(connection: socket.socket, _: int) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    with server(answer) as (url, seen), LeanRedis(url, "t", 2.0) as client:
        with pytest.raises(LedgerUnavailableError):
            client.get("k")
        assert len(seen) == 1


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        LeanRedis(f"http://127.0.0.1:{port}", "t", 2.0) as client,
        pytest.raises(LedgerUnavailableError, match="ConnectionRefused"),
    ):
        client.get("k")


def test_a_token_that_was_reset_is_read_again_once(redis: RedisStack) -> None:
    asked: list[int] = []

    def token() -> str:
        asked.append(1)
        return redis.token

    with LeanRedis(redis.url, "old", 2.0, token) as client:
        assert client.set("k", "v") is True
        assert client.get("k") == "v"
        pipeline = client.pipeline()
        pipeline.get("k")
        assert pipeline.exec() == ["v"]
    assert len(asked) == 1


def test_a_token_that_stays_wrong_is_unavailable(redis: RedisStack) -> None:
    with (
        LeanRedis(redis.url, "old", 2.0, lambda: "older") as client,
        pytest.raises(LedgerUnavailableError, match="401"),
    ):
        client.get("k")


class Counting:
    """A socket that keeps what is sent."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.sent: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)
        self._sock.sendall(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def test_head_and_body_of_a_request_go_out_as_one(redis: RedisStack) -> None:
    """Apart they are two packets, and the server is woken by the first to wait for the second."""
    with LeanRedis(redis.url, redis.token, 10.0) as client:
        client.set("one", "1")
        (kept,) = client._http._idle
        kept._sock = counting = Counting(kept._sock)
        assert client.get("one") == "1"
    (whole,) = counting.sent
    assert whole.startswith(b"POST / HTTP/1.1\r\n")
    assert whole.endswith(b'["GET", "one"]')
