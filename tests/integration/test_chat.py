"""The chat app with real vendor packages, the local provider, and a scripted Tollkeeper."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from examples.chat import ChatConfig, create_app
from examples.chat.llm import find_model
from infra.local.provider import BackgroundServer, LocalProvider, count_tokens
from tests.support.scripted_tollkeeper import KEY, RESETS_AT, ScriptedTollkeeper

JSON = "application/json"
QUESTION = "How do I plan a small vegetable garden?"


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedTollkeeper]:
    scripted = ScriptedTollkeeper()
    with BackgroundServer(scripted.app()) as running:
        scripted.url = running.url
        yield scripted


@pytest.fixture
def scripted(server: ScriptedTollkeeper) -> Iterator[ScriptedTollkeeper]:
    server.reset()
    yield server
    # Every call that was allowed is settled, and none of it reaches into the next test.
    wait_for(lambda: len(server.events) >= len(server.checks))


@pytest.fixture(scope="module")
def provider() -> Iterator[LocalProvider]:
    with LocalProvider(token_delay_ms=0) as running:
        yield running


@contextmanager
def chat_server(
    provider_url: str, scripted: ScriptedTollkeeper, **options: Any
) -> Iterator[httpx.Client]:
    config = ChatConfig(
        provider_url=provider_url,
        tollkeeper_url=options.pop("tollkeeper_url", scripted.url),
        api_key=KEY,
        embed_url=scripted.url,
        **options,
    )
    with (
        BackgroundServer(create_app(config)) as running,
        httpx.Client(base_url=running.url, trust_env=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def chat(provider: LocalProvider, server: ScriptedTollkeeper) -> Iterator[httpx.Client]:
    with chat_server(provider.url, server) as client:
        yield client


@dataclass
class Answer:
    status: int
    events: list[tuple[str, Any]]

    @property
    def text(self) -> str:
        return "".join(data for kind, data in self.events if kind == "text")

    @property
    def ending(self) -> tuple[str, Any]:
        return self.events[-1]


def body(text: str = QUESTION, **changes: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"user": "ada", "tier": "free", "model": "gpt-4o", "messages": messages} | changes


def read_event(block: str) -> tuple[str, Any]:
    kind, data = block.split("\n")
    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def say(chat: httpx.Client, **changes: Any) -> Answer:
    response = chat.post("/api/chat", json=body(**changes))
    blocks = response.text.split("\n\n")[:-1] if response.status_code == 200 else []
    return Answer(response.status_code, [read_event(block) for block in blocks])


def opened(chat: httpx.Client, **changes: Any) -> AbstractContextManager[httpx.Response]:
    return chat.stream("POST", "/api/chat", json=body(**changes))


def wait_for(read: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 5
    while not (value := read()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.005)
    return value


@pytest.mark.parametrize(
    ("model", "vendor", "output_key"),
    [
        ("gpt-4o", "openai", "completion_tokens"),
        ("gpt-5-mini", "openai", "completion_tokens"),
        ("claude-sonnet-5", "anthropic", "output_tokens"),
    ],
)
def test_checked_before_and_reported_after(
    chat: httpx.Client,
    provider: LocalProvider,
    scripted: ScriptedTollkeeper,
    model: str,
    vendor: str,
    output_key: str,
) -> None:
    answer = say(chat, model=model)
    assert answer.status == 200
    assert "vegetable garden" in answer.text
    assert answer.ending == ("done", {})

    (check,) = scripted.checks
    assert (check["user_id"], check["tier"]) == ("ada", "free")
    assert (check["provider"], check["model"]) == (vendor, model)
    offered = find_model(model)
    assert offered is not None
    assert check["max_output_tokens"] == offered.max_output_tokens

    (event,) = wait_for(lambda: scripted.events)
    call = provider.calls[-1]
    assert (event["user_id"], event["reservation_id"]) == ("ada", "res_1")
    assert (event["provider"], event["model"], event["status"]) == (vendor, model, "ok")
    assert "estimated" not in event
    assert event["usage"][output_key] == call.output_tokens
    assert call.output_tokens == count_tokens(answer.text) + call.reasoning_tokens
    input_key = "prompt_tokens" if vendor == "openai" else "input_tokens"
    assert event["usage"][input_key] == call.input_tokens


def test_the_whole_conversation_is_sent_and_estimated(
    chat: httpx.Client, provider: LocalProvider, scripted: ScriptedTollkeeper
) -> None:
    say(chat)
    history = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "Begin with the soil. " * 30},
        {"role": "user", "content": "And then?"},
    ]
    say(chat, messages=history)
    first, second = scripted.checks
    counted = provider.calls[-1].input_tokens
    assert second["input_tokens"] > first["input_tokens"]
    assert counted <= second["input_tokens"] < 3 * counted


def test_blocked_says_how_to_go_on_and_calls_no_model(
    chat: httpx.Client, provider: LocalProvider, scripted: ScriptedTollkeeper
) -> None:
    scripted.limit = 0
    before = len(provider.calls)
    response = chat.post("/api/chat", json=body())
    assert response.status_code == 402
    answer = response.json()
    assert answer["usage"]["windows"]["daily"] == {"percent": 100, "resets_at": RESETS_AT}
    del answer["usage"]
    assert answer == {
        "code": "limit",
        "upgrade_message": "You have reached today's limit.",
        "upgrade_url": f"{scripted.url}/upgrade",
        "resets_at": RESETS_AT,
    }
    assert len(provider.calls) == before
    assert scripted.events == []
    scripted.paid = True
    assert say(chat).ending == ("done", {})


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-5"])
def test_a_browser_that_leaves_pays_for_what_was_produced(
    scripted: ScriptedTollkeeper, model: str
) -> None:
    with LocalProvider(token_delay_ms=25) as slow, chat_server(slow.url, scripted) as chat:
        with opened(chat, model=model) as response:
            lines = (line for line in response.iter_lines() if line == "event: text")
            for _ in range(10):
                next(lines)
        (event,) = wait_for(lambda: scripted.events)
        call = slow.calls[-1]
        wait_for(lambda: call.status == "cancelled")
    assert event["estimated"] is True
    assert event["status"] == "ok"
    usage = event["usage"]
    produced = usage.get("completion_tokens", usage.get("output_tokens"))
    assert 5 < produced <= 1.5 * call.output_tokens
    if model.startswith("claude"):
        assert usage["input_tokens"] == call.input_tokens
    else:
        # Nobody says: what a check reserves is an estimate from above.
        assert call.input_tokens <= usage["prompt_tokens"] < 3 * call.input_tokens


def test_a_browser_that_leaves_during_the_check_frees_the_reservation(
    chat: httpx.Client, scripted: ScriptedTollkeeper
) -> None:
    content = json.dumps(body()).encode()
    scripted.hold_checks = True
    with socket.create_connection((chat.base_url.host, chat.base_url.port or 0)) as browser:
        head = f"POST /api/chat HTTP/1.1\r\nhost: chat\r\ncontent-length: {len(content)}\r\n\r\n"
        browser.sendall(head.encode() + content)
        wait_for(lambda: scripted.checks)
    scripted.hold_checks = False
    (event,) = wait_for(lambda: scripted.events)
    assert event["reservation_id"] == "res_1"
    # The model was asked by then, and nobody read what it says: an estimate.
    assert event["estimated"] is True
    assert event["usage"]["completion_tokens"] < 100


def test_without_tollkeeper_the_chat_goes_on_and_nothing_is_lost(
    provider: LocalProvider, scripted: ScriptedTollkeeper
) -> None:
    scripted.broken["/v1/check"] = (502, {}, JSON)
    scripted.broken["/v1/usage"] = (502, {}, JSON)
    with chat_server(provider.url, scripted) as chat:
        answer = say(chat)
        assert answer.ending == ("done", {})
        assert answer.text
        assert chat.get("/api/usage", params={"user": "ada"}).status_code == 200
        assert scripted.events == []
        scripted.broken.clear()
        (event,) = wait_for(lambda: scripted.events)
    assert "reservation_id" not in event
    assert event["usage"]["completion_tokens"] == count_tokens(answer.text)


def test_without_tollkeeper_a_strict_chat_says_so(
    provider: LocalProvider, scripted: ScriptedTollkeeper
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gone = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with chat_server(provider.url, scripted, tollkeeper_url=gone, outage="block") as chat:
        response = chat.post("/api/chat", json=body())
        assert (response.status_code, response.json()) == (
            503,
            {"detail": "Tollkeeper did not answer"},
        )
        assert chat.get("/api/usage", params={"user": "ada"}).status_code == 503


def test_a_model_that_refuses_the_call_costs_nothing(
    provider: LocalProvider, scripted: ScriptedTollkeeper
) -> None:
    with chat_server(provider.url, scripted, provider_key="sk-invalid") as chat:
        assert say(chat).ending == ("failed", {"charged": False})
        (event,) = wait_for(lambda: scripted.events)
    assert event["status"] == "error"
    assert not {"usage", "cost_usd"} & set(event)
    assert event["reservation_id"] == "res_1"


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-5"])
def test_a_model_that_breaks_off_is_paid_for_its_part(
    scripted: ScriptedTollkeeper, model: str
) -> None:
    with LocalProvider(token_delay_ms=50) as dying, chat_server(dying.url, scripted) as chat:
        begun = threading.Event()
        events: list[str] = []

        def read() -> None:
            with opened(chat, model=model) as response:
                for line in response.iter_lines():
                    events.append(line)
                    begun.set()

        reader = threading.Thread(target=read)
        reader.start()
        assert begun.wait(5)
        wait_for(lambda: sum(line == "event: text" for line in events) > 3)
        dying.__exit__(None, None, None)
        reader.join(5)
        (event,) = wait_for(lambda: scripted.events)
    assert events[-3:] == ["event: failed", 'data: {"charged": true}', ""]
    assert (event["status"], event["estimated"]) == ("ok", True)


def test_the_last_reports_are_flushed_at_the_end(
    provider: LocalProvider, scripted: ScriptedTollkeeper
) -> None:
    scripted.limit = 9
    before = set(threading.enumerate())
    with chat_server(provider.url, scripted) as chat:
        for _ in range(8):
            say(chat, model="gpt-4o-mini")
    assert len({event["event_id"] for event in scripted.events}) == 8
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-5"])
def test_an_end_in_the_middle_of_an_answer_settles_it(
    scripted: ScriptedTollkeeper, model: str
) -> None:
    with LocalProvider(token_delay_ms=50) as slow, ExitStack() as browser:
        config = ChatConfig(slow.url, scripted.url, KEY, scripted.url)
        with BackgroundServer(create_app(config)) as running:
            client = browser.enter_context(httpx.Client(base_url=running.url, trust_env=False))
            lines = browser.enter_context(opened(client, model=model)).iter_lines()
            next(line for line in lines if line == "event: text")
        (event,) = scripted.events
    assert (event["status"], event["estimated"]) == ("ok", True)


def test_usage_and_upgrade_link(chat: httpx.Client, scripted: ScriptedTollkeeper) -> None:
    scripted.paid = True
    usage = chat.get("/api/usage", params={"user": "ada/é"}).json()
    assert scripted.users == ["ada/é"]
    assert usage["credits"] == [{"currency": "usd", "balance_minor": 500, "display": "$5.00"}]
    assert usage["windows"]["monthly"] == {"percent": 0, "resets_at": RESETS_AT}
    link = chat.post("/api/upgrade-link", json={"user": "ada", "tier": "free"})
    assert link.json() == {"upgrade_url": f"{scripted.url}/upgrade"}
    assert scripted.links == [{"user_id": "ada", "tier": "free", "reason": "buy_credits"}]


@pytest.mark.parametrize(
    "changes",
    [
        {"user": ""},
        {"user": "x" * 129},
        {"tier": "gold"},
        {"model": "gpt-9"},
        {"messages": []},
        {"messages": [{"role": "system", "content": "obey"}]},
        {"messages": [{"role": "user", "content": " "}]},
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        {"messages": [{"role": "user", "content": "a"}] * 101},
        {"messages": ["hello"]},
    ],
)
def test_nonsense_is_refused_before_anything_is_asked(
    chat: httpx.Client, scripted: ScriptedTollkeeper, changes: dict[str, Any]
) -> None:
    response = chat.post("/api/chat", json=body(**changes))
    assert response.status_code == 400
    assert response.json()["detail"]
    assert scripted.checks == []


def test_too_long_a_conversation_is_refused(chat: httpx.Client) -> None:
    messages = [{"role": "user", "content": "x" * 100_001}]
    assert chat.post("/api/chat", json=body(messages=messages)).status_code == 413
    assert chat.post("/api/chat", content=b"{").status_code == 400
    assert chat.post("/api/chat", json=[1]).status_code == 400


def test_page_and_configuration(chat: httpx.Client, scripted: ScriptedTollkeeper) -> None:
    page = chat.get("/")
    policy = page.headers["content-security-policy"]
    assert f"script-src 'self' {scripted.url};" in policy
    assert f"frame-src {scripted.url};" in policy
    assert "unsafe" not in policy
    config = chat.get("/api/config").json()
    assert config["embed_script"] == f"{scripted.url}/embed.js"
    assert config["default_model"] in [model["name"] for model in config["models"]]
    for path in ("app.js", "style.css", "icon.svg"):
        assert chat.get(f"/static/{path}").status_code == 200
