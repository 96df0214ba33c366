"""LiteLLM's real package, metered by the logger."""

import asyncio
import gc
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tollkeeper import AsyncTollkeeper, BlockedError, Tollkeeper

from infra.local.provider import LocalProvider
from tests.support.scripted_tollkeeper import KEY, ScriptedTollkeeper

# Read when it is imported: without it, it downloads its price list.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
litellm = pytest.importorskip("litellm")
pytestmark = pytest.mark.filterwarnings("ignore")  # LiteLLM's own

from tollkeeper.integrations.litellm import TollkeeperLogger  # noqa: E402

MESSAGES = [{"role": "user", "content": "How do I plan a small vegetable garden?"}]


@pytest.fixture
def logger(tk: Tollkeeper) -> Iterator[TollkeeperLogger]:
    logger = TollkeeperLogger(tk)
    litellm.callbacks.append(logger)
    yield logger
    litellm.callbacks.remove(logger)
    # LiteLLM copies it into lists of its own when it is first called.
    for name in ("success_callback", "failure_callback", "input_callback"):
        for several in (getattr(litellm, name), getattr(litellm, f"_async_{name}", [])):
            if logger in several:
                several.remove(logger)


def asked(provider: LocalProvider, model: str = "openai/gpt-4o-mini", **more: Any) -> Any:
    base = provider.url if model.startswith("anthropic") else f"{provider.url}/v1"
    return {"model": model, "api_base": base, "api_key": "sk-x", "messages": MESSAGES,
            "max_tokens": 300} | more  # fmt: skip


def events(scripted: ScriptedTollkeeper, count: int = 1) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 10
    while len(scripted.events) < count:
        assert time.monotonic() < deadline, "not reported in time"
        time.sleep(0.005)
    assert len(scripted.events) == count
    return scripted.events


async def settled(scripted: ScriptedTollkeeper, count: int = 1) -> list[dict[str, Any]]:
    # LiteLLM logs in a task of the same loop.
    return await asyncio.to_thread(events, scripted, count)


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_async_calls_are_checked_and_settled(
    logger: TollkeeperLogger,
    tk: Tollkeeper,
    provider: LocalProvider,
    scripted: ScriptedTollkeeper,
    model: str,
    stream: bool,
) -> None:
    async def run() -> None:
        with tk.user("ada", tier="pro"):
            answer = await litellm.acompletion(**asked(provider, model, stream=stream))
        if stream:
            async for _ in answer:
                pass
        await settled(scripted)

    asyncio.run(run())
    (check,) = scripted.checks
    vendor, _, name = model.partition("/")
    assert (check["user_id"], check["tier"]) == ("ada", "pro")
    assert (check["provider"], check["model"]) == (vendor, name)
    assert check["max_output_tokens"] == 300
    (event,) = events(scripted)
    call = provider.calls[-1]
    assert (event["provider"], event["reservation_id"]) == (vendor, "res_1")
    assert "estimated" not in event
    names = ("prompt_tokens", "completion_tokens")
    if vendor == "anthropic":
        names = ("input_tokens", "output_tokens")
    assert [event["usage"][name] for name in names] == [call.input_tokens, call.output_tokens]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_sync_calls_go_through_the_logger(
    logger: TollkeeperLogger,
    tk: Tollkeeper,
    provider: LocalProvider,
    scripted: ScriptedTollkeeper,
    stream: bool,
) -> None:
    with tk.user("ada"):
        answer = logger.completion(**asked(provider, stream=stream))
        if stream:
            for _ in answer:
                pass
        (event,) = events(scripted)
        assert event["usage"]["completion_tokens"] == provider.calls[-1].output_tokens
        scripted.limit = 0
        before = len(provider.calls)
        with pytest.raises(BlockedError):
            logger.completion(**asked(provider))
    assert len(provider.calls) == before


def test_blocked_asks_no_model(
    logger: TollkeeperLogger, provider: LocalProvider, scripted: ScriptedTollkeeper, tk: Tollkeeper
) -> None:
    scripted.limit = 0
    before = len(provider.calls)
    metadata = {"tollkeeper_user": "bob"}
    with pytest.raises(BlockedError):
        asyncio.run(litellm.acompletion(**asked(provider, metadata=metadata)))
    assert len(provider.calls) == before
    tk.flush()
    assert scripted.events == []


def test_a_failure_costs_nothing(
    logger: TollkeeperLogger, provider: LocalProvider, scripted: ScriptedTollkeeper
) -> None:
    async def run() -> None:
        call = asked(provider, "openai/error-500", metadata={"tollkeeper_user": "ada"})
        with pytest.raises(litellm.InternalServerError):
            await litellm.acompletion(**call, max_retries=0)
        await settled(scripted)

    asyncio.run(run())
    (event,) = events(scripted)
    assert (event["status"], event["reservation_id"]) == ("error", "res_1")
    assert "usage" not in event


def test_a_stream_that_is_dropped_is_estimated(
    logger: TollkeeperLogger, provider: LocalProvider, scripted: ScriptedTollkeeper
) -> None:
    async def run() -> None:
        call = asked(provider, metadata={"tollkeeper_user": "ada"}, stream=True)
        stream = await litellm.acompletion(**call)
        async for _ in stream:
            break
        await stream.aclose()
        del stream, _
        await asyncio.sleep(0)
        gc.collect()
        await settled(scripted)

    asyncio.run(run())
    (event,) = events(scripted)
    assert event["estimated"] is True
    assert event["usage"]["prompt_tokens"] > 0
    assert 0 <= event["usage"]["completion_tokens"] <= 300


def test_embeddings_and_an_async_client(
    provider: LocalProvider, scripted: ScriptedTollkeeper
) -> None:
    async def run() -> None:
        async with AsyncTollkeeper(scripted.url, KEY) as tk:
            logger = TollkeeperLogger(tk)
            litellm.callbacks.append(logger)
            try:
                with tk.user("ada"):
                    await litellm.aembedding(
                        model="openai/text-embedding-3-small",
                        api_base=f"{provider.url}/v1",
                        api_key="sk-x",
                        input=["a river"],
                    )
                await settled(scripted)
            finally:
                litellm.callbacks.remove(logger)
            with pytest.raises(TypeError, match="not an AsyncTollkeeper"):
                logger.completion(**asked(provider))

    asyncio.run(run())
    assert scripted.checks[0]["max_output_tokens"] == 0
    (event,) = events(scripted)
    assert event["usage"]["prompt_tokens"] == provider.calls[-1].input_tokens
