"""Every example of examples/sdk runs as it stands."""

import asyncio
import gc
import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from infra.local.provider import LocalProvider
from tests.support.scripted_tollkeeper import KEY, ScriptedTollkeeper


@pytest.fixture(autouse=True)
def environment(
    monkeypatch: pytest.MonkeyPatch, provider: LocalProvider, scripted: ScriptedTollkeeper
) -> None:
    for name, value in {
        "TOLLKEEPER_URL": scripted.url,
        "TOLLKEEPER_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{provider.url}/v1",
        "OPENAI_API_KEY": "sk-x",
        "ANTHROPIC_BASE_URL": provider.url,
        "ANTHROPIC_API_KEY": "sk-x",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }.items():
        monkeypatch.setenv(name, value)


def expect_metered(scripted: ScriptedTollkeeper, count: int = 1) -> None:
    deadline = time.monotonic() + 5
    while len(scripted.events) < count:
        assert time.monotonic() < deadline, "not reported in time"
        time.sleep(0.005)
    assert len(scripted.checks) == len(scripted.events) == count
    assert {event["user_id"] for event in scripted.events} == {"ada"}
    assert all(event["status"] == "ok" for event in scripted.events)
    assert not any("estimated" in event for event in scripted.events)


def test_openai_chat(scripted: ScriptedTollkeeper) -> None:
    from examples.sdk import openai_chat

    assert "rivers" in openai_chat.main()
    expect_metered(scripted)
    scripted.limit = 0
    assert openai_chat.main() == f"You have reached today's limit. {scripted.url}/upgrade"


def test_openai_stream(scripted: ScriptedTollkeeper) -> None:
    from examples.sdk import openai_stream

    assert "rivers" in "".join(openai_stream.main())
    expect_metered(scripted)


def test_openai_responses(scripted: ScriptedTollkeeper) -> None:
    from examples.sdk import openai_responses

    assert "rivers" in asyncio.run(openai_responses.main())
    expect_metered(scripted)


def test_anthropic_messages(scripted: ScriptedTollkeeper) -> None:
    from examples.sdk import anthropic_messages

    assert "rivers" in anthropic_messages.main()
    expect_metered(scripted)


def test_embeddings(scripted: ScriptedTollkeeper) -> None:
    from examples.sdk import embeddings

    assert embeddings.main() > 100
    expect_metered(scripted)


def test_meter(scripted: ScriptedTollkeeper) -> None:
    from examples.sdk import meter

    assert "rivers" in meter.main()
    expect_metered(scripted)


def test_lambda_handler(scripted: ScriptedTollkeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    from examples.sdk import lambda_handler

    made: list[Any] = []
    for name in ("Tollkeeper", "OpenAI"):
        kind = getattr(lambda_handler, name)
        monkeypatch.setattr(lambda_handler, name, lambda k=kind: made.append(k()) or made[-1])
    handler = lambda_handler.make_handler()
    answer: Any = handler({"user": "ada", "text": "Name three rivers."}, None)
    assert "rivers" in answer["said"]
    # Delivered before it returned: nothing to wait for.
    assert len(scripted.events) == 1
    expect_metered(scripted)
    scripted.limit = 0
    assert handler({"user": "ada", "text": "More."}, None)["upgrade_url"]
    for client in made:  # Lambda ends the process, with its sockets; a test does not
        client.close()


def test_fastapi(scripted: ScriptedTollkeeper) -> None:
    from examples.sdk import fastapi_app

    headers = {"x-user": "ada"}
    with TestClient(fastapi_app.create_app()) as client:
        assert "rivers" in client.post("/chat", params={"text": "rivers"}, headers=headers).text
        expect_metered(scripted)
        scripted.limit = 0
        blocked = client.post("/chat", params={"text": "rivers"}, headers=headers)
    assert (blocked.status_code, blocked.json()["tollkeeper"]) == (402, "blocked")


def test_flask(scripted: ScriptedTollkeeper) -> None:
    from examples.sdk import flask_app

    client = flask_app.create_app().test_client()
    answer = client.post("/chat", data="Name three rivers.", headers={"x-user": "ada"})
    assert "rivers" in answer.get_json()["said"]
    expect_metered(scripted)


def test_langchain(scripted: ScriptedTollkeeper) -> None:
    from examples.sdk import langchain_chain

    assert "rivers" in langchain_chain.main()
    expect_metered(scripted)


@pytest.mark.filterwarnings("ignore::UserWarning:pydantic", "ignore:unclosed:ResourceWarning")
def test_litellm_completion(scripted: ScriptedTollkeeper) -> None:
    from examples.sdk import litellm_completion

    assert "rivers" in litellm_completion.main()
    expect_metered(scripted)
    scripted.limit = 0
    assert litellm_completion.main() == f"You have reached today's limit. {scripted.url}/upgrade"
    litellm_completion.litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()
