"""LiteLLM's real package, metered by its functions."""

import asyncio
import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest
from tollkeeper import AsyncTollkeeper, BlockedError, Tollkeeper

from infra.local.provider import LocalProvider
from tests.sdk.cost import invoiced, reported
from tests.support.scripted_tollkeeper import KEY, ScriptedTollkeeper

# Or importing it asks the internet for prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from tollkeeper.integrations.litellm import metered

# LiteLLM's own, which are not ours to mend.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:pydantic"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm"),
    # It keeps its clients for the process and closes none; they are collected here, not later.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

ASK = [{"role": "user", "content": "Tell me about the Nile, naïvely — 尼罗河"}]


@pytest.fixture(autouse=True)
def forget_its_clients() -> Iterator[None]:
    yield
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()


@pytest.fixture(params=["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"])
def call(request: Any, provider: LocalProvider) -> dict[str, Any]:
    base = provider.url + ("/v1" if request.param.startswith("openai") else "")
    return {
        "model": request.param, "messages": ASK, "api_base": base, "api_key": "sk-a",
        "max_tokens": 60,
    }  # fmt: skip


def events(tk: Tollkeeper, scripted: ScriptedTollkeeper) -> list[dict[str, Any]]:
    assert tk.flush(5)
    return scripted.events


def test_checked_before_and_settled_to_the_nano(
    tk: Tollkeeper, scripted: ScriptedTollkeeper, provider: LocalProvider, call: dict[str, Any]
) -> None:
    answer = metered(tk, litellm.completion)(**call, tollkeeper_user="ada", tollkeeper_tier="pro")
    assert answer.choices[0].message.content
    (check,) = scripted.checks
    vendor, _, model = call["model"].partition("/")
    assert (check["user_id"], check["tier"]) == ("ada", "pro")
    assert (check["provider"], check["model"], check["max_output_tokens"]) == (vendor, model, 60)
    assert check["input_tokens"] >= provider.calls[-1].input_tokens
    (event,) = events(tk, scripted)
    assert (event["reservation_id"], event["status"]) == ("res_1", "ok")
    assert "estimated" not in event
    assert reported(event) == invoiced(provider.calls[-1])


@pytest.mark.parametrize("asked", [None, {"include_usage": True}])
def test_a_stream_is_the_same_and_exact(
    tk: Tollkeeper,
    scripted: ScriptedTollkeeper,
    provider: LocalProvider,
    call: dict[str, Any],
    asked: dict[str, bool] | None,
) -> None:
    given = {**call, "stream": True, **({"stream_options": asked} if asked else {})}
    plain = [
        chunk.choices and chunk.choices[0].delta.content for chunk in litellm.completion(**given)
    ]
    stream = metered(tk, litellm.completion)(**given, tollkeeper_user="ada")
    seen = [chunk.choices and chunk.choices[0].delta.content for chunk in stream]
    assert seen == plain
    (event,) = events(tk, scripted)
    assert "estimated" not in event
    assert reported(event) == invoiced(provider.calls[-1])


def test_a_stream_that_is_broken_off_is_an_estimate(
    tk: Tollkeeper, scripted: ScriptedTollkeeper, call: dict[str, Any]
) -> None:
    for leave in ("close", "forget"):
        stream = metered(tk, litellm.completion)(**call, stream=True, tollkeeper_user="ada")
        for _ in range(5):
            next(stream)
        if leave == "close":
            stream.close()
        del stream
        gc.collect()
    told = events(tk, scripted)
    assert [event["estimated"] for event in told] == [True, True]
    for event in told:
        usage = event["usage"]
        assert (usage.get("completion_tokens") or usage["output_tokens"]) >= 1
        assert (usage.get("prompt_tokens") or usage["input_tokens"]) >= 1


def test_a_block_is_raised_before_the_model_is_asked(
    tk: Tollkeeper, scripted: ScriptedTollkeeper, provider: LocalProvider, call: dict[str, Any]
) -> None:
    scripted.limit = 0
    before = len(provider.calls)
    with tk.user("ada"), pytest.raises(BlockedError):
        metered(tk, litellm.completion)(**call)
    assert len(provider.calls) == before
    assert events(tk, scripted) == []


def test_a_model_that_refuses_costs_nothing(
    tk: Tollkeeper, scripted: ScriptedTollkeeper, call: dict[str, Any]
) -> None:
    with tk.user("ada"), pytest.raises(litellm.exceptions.AuthenticationError):
        metered(tk, litellm.completion)(**{**call, "api_key": "sk-invalid"})
    (event,) = events(tk, scripted)
    assert (event["status"], event.get("usage")) == ("error", None)
    assert event["reservation_id"] == "res_1"


def test_async_with_either_client(
    tk: Tollkeeper, scripted: ScriptedTollkeeper, provider: LocalProvider, call: dict[str, Any]
) -> None:
    async def ask() -> None:
        async with AsyncTollkeeper(scripted.url, KEY) as atk:
            for client in (tk, atk):
                acomplete = metered(client, litellm.acompletion)
                await acomplete(**call, tollkeeper_user="ada")
                stream = await acomplete(**call, stream=True, tollkeeper_user="ada")
                assert [chunk async for chunk in stream]
                broken = await acomplete(**call, stream=True, tollkeeper_user="ada")
                await broken.__anext__()
                await broken.aclose()

    scripted.limit = 100
    asyncio.run(ask())
    told = events(tk, scripted)
    assert [bool(e.get("estimated")) for e in told].count(True) == 2
    exact = [reported(e) for e in told if not e.get("estimated")]
    calls = [c for n, c in enumerate(provider.calls[-6:]) if n % 3 != 2]
    assert sorted(exact) == sorted(map(invoiced, calls))
