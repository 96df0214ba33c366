"""The chat's client for Tollkeeper over real HTTP."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import IO

import pytest

from examples.chat.metering import (
    BlockedError,
    Credit,
    Tollkeeper,
    TollkeeperError,
    UnavailableError,
    Window,
)
from infra.local.provider import BackgroundServer
from tests.support.scripted_tollkeeper import KEY, RESETS_AT, ScriptedTollkeeper

JSON = "application/json"
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedTollkeeper]:
    scripted = ScriptedTollkeeper()
    with BackgroundServer(scripted.app()) as running:
        scripted.url = running.url
        yield scripted


@pytest.fixture
def scripted(server: ScriptedTollkeeper) -> ScriptedTollkeeper:
    server.reset()
    return server


@pytest.fixture
def client(scripted: ScriptedTollkeeper) -> Iterator[Tollkeeper]:
    with Tollkeeper(scripted.url, KEY, retry_seconds=0.01) as made:
        yield made


def ask(client: Tollkeeper, **changes: object):
    call = {
        "user_id": "ada",
        "tier": "free",
        "provider": "openai",
        "model": "gpt-4o",
        "input_tokens": 10,
        "max_output_tokens": 100,
    }
    return client.check(**(call | changes))


def report(client: Tollkeeper, event_id: str = "e1") -> None:
    client.report(
        event_id=event_id,
        user_id="ada",
        provider="openai",
        model="gpt-4o",
        usage={"prompt_tokens": 1, "completion_tokens": 2},
        reservation_id="res_1",
    )


def test_check_that_allows(client: Tollkeeper, scripted: ScriptedTollkeeper) -> None:
    allowed = ask(client, request_id="r1")
    assert allowed.reservation_id == "res_1"
    assert allowed.reserved_usd == Decimal("0.03")
    assert allowed.expires_at == datetime.fromisoformat(RESETS_AT)
    assert not allowed.degraded
    assert allowed.usage is not None
    assert allowed.usage.windows["daily"] == Window(25, datetime.fromisoformat(RESETS_AT))
    assert scripted.checks == [
        {
            "user_id": "ada",
            "tier": "free",
            "provider": "openai",
            "model": "gpt-4o",
            "input_tokens": 10,
            "max_output_tokens": 100,
            "request_id": "r1",
        }
    ]


def test_every_check_has_a_request_id_of_its_own(
    client: Tollkeeper, scripted: ScriptedTollkeeper
) -> None:
    ask(client)
    ask(client, tier=None)
    first, second = scripted.checks
    assert first["request_id"] != second["request_id"]
    assert "tier" not in second


def test_check_that_blocks(client: Tollkeeper, scripted: ScriptedTollkeeper) -> None:
    scripted.limit = 0
    with pytest.raises(BlockedError) as caught:
        ask(client)
    blocked = caught.value
    assert (blocked.code, blocked.window) == ("limit", "daily")
    assert blocked.resets_at == datetime.fromisoformat(RESETS_AT)
    assert blocked.affordable_usd == Decimal("0.0004")
    assert blocked.upgrade_message == "You have reached today's limit."
    assert blocked.upgrade_url == f"{scripted.url}/upgrade"
    assert blocked.usage.windows["daily"].percent == 100


@pytest.mark.parametrize(
    "broken",
    [(500, {}, JSON), (503, {}, JSON), (429, {}, JSON), (200, {}, JSON), (200, [1], JSON)],
)
def test_outage_follows_the_policy(scripted: ScriptedTollkeeper, broken: tuple) -> None:
    scripted.broken["/v1/check"] = broken
    with Tollkeeper(scripted.url, KEY) as lenient:
        allowed = ask(lenient)
    assert (allowed.degraded, allowed.reservation_id) == (True, None)
    with Tollkeeper(scripted.url, KEY, outage="block") as strict, pytest.raises(UnavailableError):
        ask(strict)


def test_tollkeepers_own_block_outranks_the_clients_policy(
    client: Tollkeeper, scripted: ScriptedTollkeeper
) -> None:
    scripted.broken["/v1/check"] = (503, {"title": "Unavailable", "detail": "later"}, PROBLEM)
    with pytest.raises(UnavailableError, match="later"):
        ask(client)


def test_a_wrong_key_is_not_an_outage(scripted: ScriptedTollkeeper) -> None:
    with Tollkeeper(scripted.url, "tk_wrong") as wrong:
        with pytest.raises(TollkeeperError, match="401"):
            ask(wrong)
        with pytest.raises(TollkeeperError, match="401"):
            wrong.get_usage("ada")


def test_nobody_there_and_nobody_answering() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with Tollkeeper(f"http://127.0.0.1:{port}", KEY, timeout_seconds=0.2) as client:
            started = time.monotonic()
            assert ask(client).degraded
            assert time.monotonic() - started < 1
            with pytest.raises(UnavailableError):
                client.get_usage("ada")
    with Tollkeeper(f"http://127.0.0.1:{port}", KEY) as client:
        assert ask(client).degraded


def read_request(requests: IO[bytes]) -> None:
    headers = http.client.parse_headers(requests) if requests.readline() else {}
    requests.read(int(headers.get("content-length", 0)))


def test_a_kept_connection_that_was_closed_is_opened_again() -> None:
    body = b'{"decision": "allow", "reservation_id": "res_1"}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    served = 0

    def serve(listener: socket.socket) -> None:
        nonlocal served
        for _ in range(2):
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as requests:
                read_request(requests)
                connection.sendall(head % len(body) + body)
                served += 1
                # The next request on this connection meets its end instead of an answer.
                read_request(requests)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        with Tollkeeper(f"http://127.0.0.1:{listener.getsockname()[1]}", KEY) as client:
            answers = [ask(client), ask(client)]
        thread.join(5)
    assert [answer.degraded for answer in answers] == [False, False]
    assert served == 2


def test_usage_and_links(client: Tollkeeper, scripted: ScriptedTollkeeper) -> None:
    scripted.paid = True
    usage = client.get_usage("ada")
    assert (usage.tier, usage.credits) == ("free", (Credit("usd", 500, "$5.00"),))
    client.get_usage("a/b c?d=é")
    assert scripted.users == ["ada", "a/b c?d=é"]
    assert client.upgrade_link("ada", tier="free") == f"{scripted.url}/upgrade"
    assert scripted.links == [{"user_id": "ada", "tier": "free"}]


def test_reported_event(client: Tollkeeper, scripted: ScriptedTollkeeper) -> None:
    report(client)
    assert client.flush()
    (event,) = scripted.events
    at = datetime.fromisoformat(event.pop("at"))
    assert abs(at.timestamp() - time.time()) < 5
    assert event == {
        "event_id": "e1",
        "user_id": "ada",
        "reservation_id": "res_1",
        "provider": "openai",
        "model": "gpt-4o",
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
        "status": "ok",
    }


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_reports_wait_out_an_outage(
    client: Tollkeeper, scripted: ScriptedTollkeeper, status: int
) -> None:
    scripted.broken["/v1/usage"] = (status, {}, JSON)
    for event_id in ("e1", "e2", "e3"):
        report(client, event_id)
    assert not client.flush(0.1)
    del scripted.broken["/v1/usage"]
    assert client.flush()
    assert [event["event_id"] for event in scripted.events] == ["e1", "e2", "e3"]


def test_refused_events_are_said_to_be_lost(
    client: Tollkeeper, scripted: ScriptedTollkeeper, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.rejected.add("e1")
    report(client, "e1")
    report(client, "e2")
    assert client.flush()
    assert "usage lost: e1: no such model" in caplog.text
    assert "e2" not in caplog.text
    scripted.broken["/v1/usage"] = (422, {"title": "no"}, PROBLEM)
    report(client, "e3")
    assert client.flush()
    assert "1 events were refused: HTTP 422: no" in caplog.text


def test_leaving_the_block_flushes(scripted: ScriptedTollkeeper) -> None:
    with Tollkeeper(scripted.url, KEY) as client:
        for i in range(120):
            report(client, f"e{i}")
    assert [event["event_id"] for event in scripted.events] == [f"e{i}" for i in range(120)]
