"""LangChain's real packages, metered by the callback."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_openai import ChatOpenAI
from tollkeeper import AsyncTollkeeper, BlockedError, Tollkeeper
from tollkeeper.integrations.langchain import (
    AsyncTollkeeperCallback,
    TollkeeperCallback,
)

from infra.local.provider import LocalProvider
from tests.support.scripted_tollkeeper import KEY, ScriptedTollkeeper

QUESTION = "How do I plan a small vegetable garden?"
Model = Callable[..., ChatOpenAI]


@pytest.fixture
def model(provider: LocalProvider, tk: Tollkeeper) -> Model:
    def build(**changes: Any) -> ChatOpenAI:
        given = {
            "model": "gpt-4o-mini",
            "base_url": f"{provider.url}/v1",
            "api_key": "sk-x",
            "max_completion_tokens": 300,
            "max_retries": 0,
            "stream_usage": True,
            "callbacks": [TollkeeperCallback(tk)],
        }
        return ChatOpenAI(**{**given, **changes})

    return build


def events(scripted: ScriptedTollkeeper, count: int = 1) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 5
    while len(scripted.events) < count:
        assert time.monotonic() < deadline, "not reported in time"
        time.sleep(0.005)
    assert len(scripted.events) == count
    return scripted.events


def expect_exact(event: dict[str, Any], provider: LocalProvider) -> None:
    call = provider.calls[-1]
    assert (event["provider"], event["status"]) == ("openai", "ok")
    assert "estimated" not in event
    usage = event["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (
        call.input_tokens,
        call.output_tokens,
    )


def test_checked_before_and_settled_after(
    model: Model, tk: Tollkeeper, provider: LocalProvider, scripted: ScriptedTollkeeper
) -> None:
    with tk.user("ada", tier="pro"):
        assert model().invoke(QUESTION).content
    (check,) = scripted.checks
    assert (check["user_id"], check["tier"]) == ("ada", "pro")
    assert (check["provider"], check["model"]) == ("openai", "gpt-4o-mini")
    assert check["max_output_tokens"] == 300
    (event,) = events(scripted)
    assert event["reservation_id"] == "res_1"
    assert check["input_tokens"] >= provider.calls[-1].input_tokens
    expect_exact(event, provider)


def test_the_run_s_metadata_names_the_user(model: Model, scripted: ScriptedTollkeeper) -> None:
    config: Any = {"metadata": {"tollkeeper_user": "bob", "tollkeeper_tier": "pro"}}
    model().invoke(QUESTION, config=config)
    (event,) = events(scripted)
    assert event["user_id"] == "bob"
    assert scripted.checks[0]["tier"] == "pro"


def test_a_stream_is_settled_at_what_was_reported(
    model: Model, tk: Tollkeeper, provider: LocalProvider, scripted: ScriptedTollkeeper
) -> None:
    with tk.user("ada"):
        assert len(list(model().stream(QUESTION))) > 10
    expect_exact(events(scripted)[0], provider)


def test_a_stream_without_usage_is_estimated(
    model: Model, tk: Tollkeeper, provider: LocalProvider, scripted: ScriptedTollkeeper
) -> None:
    with tk.user("ada"):
        list(model(stream_usage=False).stream(QUESTION))
    (event,) = events(scripted)
    assert event["estimated"] is True
    produced = event["usage"]["completion_tokens"]
    assert produced == pytest.approx(provider.calls[-1].output_tokens, rel=0.5)


def test_a_stream_that_is_broken_off_is_estimated(
    model: Model, tk: Tollkeeper, scripted: ScriptedTollkeeper
) -> None:
    with tk.user("ada"):
        stream = model().stream(QUESTION)
        said = "".join(str(next(stream).content) for _ in range(20))
        stream.close()  # type: ignore[attr-defined]  # a generator, which its type does not say
    (event,) = events(scripted)
    assert event["estimated"] is True
    assert 0 < event["usage"]["completion_tokens"] <= len(said)
    assert event["usage"]["prompt_tokens"] > 0


def test_blocked_asks_no_model(
    model: Model, tk: Tollkeeper, provider: LocalProvider, scripted: ScriptedTollkeeper
) -> None:
    scripted.limit = 0
    before = len(provider.calls)
    with tk.user("ada"), pytest.raises(BlockedError, match="limit"):
        model().invoke(QUESTION)
    with tk.user("ada"), pytest.raises(BlockedError):
        list(model().stream(QUESTION))
    assert len(provider.calls) == before
    tk.flush()
    assert scripted.events == []


def test_a_model_that_fails_costs_nothing(
    model: Model, tk: Tollkeeper, scripted: ScriptedTollkeeper
) -> None:
    with tk.user("ada"), pytest.raises(Exception, match="500"):
        model(model="error-500").invoke(QUESTION)
    (event,) = events(scripted)
    assert (event["status"], event["reservation_id"]) == ("error", "res_1")
    assert event.get("cost_usd", "0") == "0"
    assert "usage" not in event


def test_an_answer_from_langchain_s_cache_costs_nothing(
    model: Model, tk: Tollkeeper, provider: LocalProvider, scripted: ScriptedTollkeeper
) -> None:
    cached = model(cache=InMemoryCache())
    with tk.user("ada"):
        cached.invoke(QUESTION)
        before = len(provider.calls)
        cached.invoke(QUESTION)
    assert len(provider.calls) == before
    first, second = events(scripted, 2)
    assert first["usage"]["completion_tokens"] > 0
    assert (second["cost_usd"], second["reservation_id"]) == ("0", "res_2")


@pytest.fixture
def async_tk(scripted: ScriptedTollkeeper) -> Iterator[AsyncTollkeeper]:
    return AsyncTollkeeper(scripted.url, KEY)


def test_async(
    model: Model,
    async_tk: AsyncTollkeeper,
    provider: LocalProvider,
    scripted: ScriptedTollkeeper,
) -> None:
    async def run() -> None:
        asked = model(callbacks=[AsyncTollkeeperCallback(async_tk)])
        async with async_tk:
            with async_tk.user("ada"):
                await asked.ainvoke(QUESTION)
                async for _ in asked.astream(QUESTION):
                    pass
                scripted.limit = 0
                with pytest.raises(BlockedError):
                    await asked.ainvoke(QUESTION)

    asyncio.run(run())
    both = events(scripted, 2)
    for event, call in zip(both, provider.calls[-2:], strict=True):
        assert event["usage"]["completion_tokens"] == call.output_tokens
        assert event["user_id"] == "ada"


def test_async_cancelled_in_the_middle_is_estimated(
    model: Model, async_tk: AsyncTollkeeper, provider: LocalProvider, scripted: ScriptedTollkeeper
) -> None:
    async def run() -> None:
        # LangChain keeps one connection pool an address, and the last test's event loop is gone.
        address = f"{provider.url}/v1/"
        asked = model(base_url=address, callbacks=[AsyncTollkeeperCallback(async_tk)])
        async with async_tk:
            begun = asyncio.Event()

            async def read() -> None:
                async for _ in asked.astream(QUESTION):
                    begun.set()
                    await asyncio.sleep(0.001)

            with async_tk.user("ada"):
                task = asyncio.create_task(read())
            await asyncio.wait(
                {task, asyncio.create_task(begun.wait())}, return_when="FIRST_COMPLETED"
            )
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    (event,) = events(scripted)
    assert event["estimated"] is True
    assert event["usage"]["prompt_tokens"] > 0


def test_anthropic_s_caches_are_told_apart(tk: Tollkeeper, scripted: ScriptedTollkeeper) -> None:
    """As langchain-anthropic hands them over: the input includes them, by the time they live."""
    from uuid import uuid4

    callback, run = TollkeeperCallback(tk), uuid4()
    metadata = {"ls_provider": "anthropic", "ls_model_name": "claude-haiku-4-5"}
    message = AIMessage(
        "Hello",
        usage_metadata={
            "input_tokens": 1_000,
            "output_tokens": 20,
            "total_tokens": 1_020,
            "input_token_details": {
                "cache_read": 400,
                "cache_creation": 0,
                "ephemeral_5m_input_tokens": 100,  # type: ignore[typeddict-unknown-key]
                "ephemeral_1h_input_tokens": 200,
            },
        },
    )
    with tk.user("ada"):
        callback.on_chat_model_start({}, [[HumanMessage(QUESTION)]], run_id=run, metadata=metadata)
    result = LLMResult(generations=[[ChatGeneration(message=message)]])
    callback.on_llm_end(result, run_id=run)
    (event,) = events(scripted)
    assert event["usage"] == {
        "input_tokens": 300,
        "output_tokens": 20,
        "cache_read_input_tokens": 400,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
    }
