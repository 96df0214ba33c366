"""Whatever is wrong with Tollkeeper's address: calls follow the policy, and usage waits."""

import asyncio
import json
import threading
import time
from contextlib import contextmanager

import pytest
from openai import AsyncOpenAI, OpenAI
from tollkeeper import AsyncTollkeeper, Tollkeeper, UnavailableError

from infra.local.provider import BackgroundServer
from tests.support.bad_server import server
from tests.support.scripted_tollkeeper import KEY, ScriptedTollkeeper

REQUEST = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "rivers?"}]}
#: A check's deadline, and what no call may take however slow the machine; the address is slower.
DEADLINE_S, MOST_S, SLOW_S = 0.3, 15.0, 30.0
ALLOW = {"decision": "allow", "reservation_id": "r", "reserved_usd": "much", "usage": None}
BLOCK = {"decision": "block", "reason": "because"}
stopped = threading.Event()


def http(status="200 OK", body=b"", kind="application/json", *headers):
    lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def says(answer):
    return lambda connection, _number: connection.sendall(answer)


def wrong(value):
    return says(http(body=json.dumps(value).encode()))


def slow(connection, _number):
    stopped.wait(SLOW_S)


def drips(connection, _number):
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    while not stopped.wait(0.05):
        connection.sendall(b" ")


def floods(connection, _number):
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    while not stopped.is_set():
        connection.sendall(b" " * 65_536)


def hangs_up(connection, _number):
    connection.close()


def breaks_off(connection, _number):
    connection.sendall(http(body=b"x" * 400)[:-200])
    connection.close()


WRONGS = {
    "slow": slow,
    "drips": drips,
    "floods": floods,
    "hangs up": hangs_up,
    "breaks off": breaks_off,
    "500": says(http("500 Internal Server Error", b"{}")),
    "no HTTP": says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "HTML": says(http(body=b"<html>Welcome to the hotel</html>", kind="text/html")),
    "empty": says(http()),
    "truncated JSON": says(http(body=b'{"decision": "allow", "reserv')),
    "not UTF-8": says(http(body=b'{"decision": "\xff\xfe"}')),
    "a list": wrong(["allow"]),
    "no decision": wrong({"ok": True}),
    "a wrong amount": wrong(ALLOW),
    "a wrong block": wrong(BLOCK),
    "redirect": says(http("302 Found", b"", "text/plain", "location: http://127.0.0.1:9/")),
    "redirect to itself": says(http("307 Temporary Redirect", b"", "text/plain", "location: /")),
}


@contextmanager
def address(kind):
    """An address that is wrong in this way."""
    if kind == "dead":
        with server(hangs_up) as (url, _):
            pass
        yield url
        return
    stopped.clear()
    with server(WRONGS[kind]) as (url, _):
        try:
            yield url
        finally:
            stopped.set()


@pytest.fixture(params=["dead", *WRONGS])
def bad_url(request):
    with address(request.param) as url:
        yield url


@pytest.fixture(scope="module")
def plain(shared_provider):
    with OpenAI(base_url=shared_provider.url + "/v1", api_key="sk-a", max_retries=0) as client:
        yield client


@pytest.fixture
def api_of_the_test():
    api = ScriptedTollkeeper(limit=1_000_000)
    with BackgroundServer(api.app()) as running:
        api.url = running.url
        yield api


def test_a_wrapped_call_follows_the_policy_within_its_deadline(bad_url, provider, plain):
    began, before = time.monotonic(), len(provider.calls)
    tk = Tollkeeper(bad_url, KEY, timeout_s=DEADLINE_S)
    answer = tk.wrap(plain.chat.completions.create)(**REQUEST, tollkeeper_user="ada")
    assert answer.choices[0].message.content
    strict = Tollkeeper(bad_url, KEY, timeout_s=DEADLINE_S, outage="block")
    with pytest.raises(UnavailableError):
        strict.wrap(plain.chat.completions.create)(**REQUEST, tollkeeper_user="ada")
    for ask in (tk.get_usage, tk.upgrade_link):
        with pytest.raises(UnavailableError):
            ask("ada")
    assert len(provider.calls) == before + 1
    assert tk.stats().pending == 1
    assert (tk.close(0.1), strict.close(0.1)) == (1, 0)
    assert time.monotonic() - began < MOST_S


def test_a_wrapped_call_in_a_loop_does_too(bad_url, provider):
    before = len(provider.calls)

    async def run():
        tk = AsyncTollkeeper(bad_url, KEY, timeout_s=DEADLINE_S)
        strict = AsyncTollkeeper(bad_url, KEY, timeout_s=DEADLINE_S, outage="block")
        client = AsyncOpenAI(base_url=provider.url + "/v1", api_key="sk-a", max_retries=0)
        async with client:
            stream = await tk.wrap(client.chat.completions.create)(
                **REQUEST, stream=True, tollkeeper_user="ada"
            )
            assert [chunk async for chunk in stream]
            with pytest.raises(UnavailableError):
                await strict.wrap(client.chat.completions.create)(**REQUEST, tollkeeper_user="ada")
        with pytest.raises(UnavailableError):
            await tk.get_usage("ada")
        assert tk.stats().pending == 1
        assert (await tk.close(0.1), await strict.close(0.1)) == (1, 0)

    began = time.monotonic()
    asyncio.run(run())
    assert len(provider.calls) == before + 1
    assert time.monotonic() - began < MOST_S


@pytest.mark.parametrize("kind", ["dead", "drips", "hangs up", "500", "HTML", "redirect", "a list"])
def test_usage_is_delivered_once_the_address_is_right_again(kind, monkeypatch, api_of_the_test):
    from tollkeeper import _reporter

    monkeypatch.setattr(_reporter, "_ATTEMPT_SECONDS", 0.3)
    api = api_of_the_test
    with address(kind) as url:
        tk = Tollkeeper(url, KEY, timeout_s=DEADLINE_S)
        for number in range(5):
            tk.report(user_id="ada", event_id=f"e{number}", cost_usd="0.01")
        assert not tk.flush(0.3)
    # The same address cannot be taken again for sure; its name can be another's.
    tk._core.reporter._url = f"{api.url}/v1/usage"
    assert tk.flush(10)
    assert tk.close() == 0
    assert sorted({e["event_id"] for e in api.events}) == [f"e{n}" for n in range(5)]


def test_in_an_outage_memory_has_its_bound_and_what_is_lost_is_counted(api, caplog):
    api.broken["/v1/usage"] = (500, {}, "application/json")
    tk = Tollkeeper(api.url, KEY, timeout_s=5, max_queue=20)
    for _ in range(100):
        tk.report(user_id="ada", cost_usd="0.01")
    assert (tk.stats().pending, tk.stats().dropped) == (20, 80)
    assert caplog.text.count("usage lost") == 80
    assert tk.close(0.1) == 20
    assert (tk.stats().pending, tk.stats().dropped) == (0, 100)


def test_after_a_close_nothing_goes_on_and_a_later_report_is_delivered(api):
    api.broken["/v1/usage"] = (500, {}, "application/json")
    tk = Tollkeeper(api.url, KEY, timeout_s=5)
    tk.report(user_id="ada", event_id="lost", cost_usd="0.01")
    assert tk.close(0.1) == 1
    assert not [t for t in threading.enumerate() if t.name.startswith("tollkeeper")]
    api.broken.clear()
    tk.report(user_id="ada", event_id="later", cost_usd="0.01")
    assert tk.close() == 0
    assert [e["event_id"] for e in api.events] == ["later"]


def test_a_close_gives_up_a_thread_that_hangs(api_of_the_test, monkeypatch):
    from tollkeeper import _reporter

    monkeypatch.setattr(_reporter, "_GRACE_SECONDS", 0.0)
    held, go = threading.Event(), threading.Event()

    def holds(connection, _number):
        held.set()
        go.wait(SLOW_S)
        body = json.dumps({"results": [{"event_id": "e", "status": "accepted"}]}).encode()
        connection.sendall(http("202 Accepted", body))

    with server(holds) as (url, _):
        tk = Tollkeeper(url, KEY, timeout_s=5)
        tk.report(user_id="ada", event_id="e", cost_usd="0.01")
        assert held.wait(10)
        hanging = tk._core.reporter._thread
        assert tk.close(0.1) == 1
        go.set()
        hanging.join(10)
        assert not hanging.is_alive()
    assert tk.stats().delivered == 0
    assert tk.stats().dropped == 1
