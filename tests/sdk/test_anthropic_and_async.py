"""Anthropic, and both vendors' async clients."""

import asyncio
import gc

import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI
from tollkeeper import AsyncTollkeeper, BlockedError

from tests.sdk.cost import invoiced, reported
from tests.support.scripted_tollkeeper import KEY

CLAUDE = "claude-haiku-4-5"
ASK = [{"role": "user", "content": "Tell me about the Nile"}]
MESSAGE = {"model": CLAUDE, "messages": ASK, "max_tokens": 60}


def shape(event):
    return {k: v for k, v in event.to_dict().items() if k not in ("message", "id")}


def test_messages_streams_and_the_helper(tk, api, provider):
    with Anthropic(base_url=provider.url, api_key="sk-a", max_retries=0) as plain:
        client = tk.wrap_client(plain)
        assert isinstance(client, Anthropic)
        with tk.user("ada"):
            answer = client.messages.create(**MESSAGE)
            seen = [shape(event) for event in client.messages.create(**MESSAGE, stream=True)]
            with client.messages.stream(**MESSAGE) as stream:
                assert "".join(stream.text_stream) == answer.content[0].text
            client.messages.create(**MESSAGE, thinking={"type": "enabled", "budget_tokens": 30})
        with tk.wrap(plain.messages.stream)(**MESSAGE, tollkeeper_user="bob") as stream:
            stream.until_done()
        expected = [shape(event) for event in plain.messages.create(**MESSAGE, stream=True)]
    assert seen == expected
    assert tk.flush(5)
    assert [e["user_id"] for e in api.events] == ["ada"] * 4 + ["bob"]
    assert [reported(e) for e in api.events] == [invoiced(c) for c in provider.calls[-6:-1]]
    assert not any(event.get("estimated") for event in api.events)
    assert api.checks[0]["max_output_tokens"] == 60


def test_a_message_that_breaks_off_keeps_the_reported_input(tk, api, provider):
    provider.token_delay_ms = 3
    with Anthropic(base_url=provider.url, api_key="sk-a", max_retries=0) as plain:
        create = tk.wrap(plain.messages.create)
        pieces = 0
        for event in create(**MESSAGE, stream=True, tollkeeper_user="ada"):
            pieces += event.type == "content_block_delta"
            if pieces == 10:
                break
        gc.collect()
        assert tk.flush(5)
    (event,) = api.events
    assert event["estimated"] is True
    assert event["usage"]["input_tokens"] == provider.calls[-1].input_tokens
    assert event["usage"]["output_tokens"] >= 10


def test_async_clients(api, provider):
    async def run():
        async with AsyncTollkeeper(api.url, KEY, timeout_s=5) as tk:
            openai = AsyncOpenAI(base_url=provider.url + "/v1", api_key="sk-a", max_retries=0)
            anthropic = AsyncAnthropic(base_url=provider.url, api_key="sk-a", max_retries=0)
            create = tk.wrap(openai.chat.completions.create)
            request = {"model": "gpt-4o-mini", "messages": ASK}
            await create(**request, tollkeeper_user="ada")
            async for chunk in await create(**request, stream=True, tollkeeper_user="ada"):
                assert chunk.usage is None
            claude = tk.wrap_client(anthropic)
            with tk.user("ada"):
                await claude.messages.create(**MESSAGE)
                async with claude.messages.stream(**MESSAGE) as stream:
                    await stream.get_final_message()
            assert (await tk.get_usage("ada")).tier == "free"
            assert await tk.upgrade_link("ada") == f"{api.url}/upgrade"
            async with tk.meter(user="ada", amount_usd="0.01") as meter:
                meter.report(cost_usd="0.004")
            await openai.close()
            await anthropic.close()

    asyncio.run(run())
    assert [reported(e) for e in api.events[:4]] == [invoiced(c) for c in provider.calls[-4:]]
    assert api.events[4]["cost_usd"] == "0.004"
    assert not any(event.get("estimated") for event in api.events)


def test_a_cancelled_task_and_a_cancelled_stream_are_estimated(api, provider):
    provider.token_delay_ms = 20

    async def run():
        plain = AsyncOpenAI(base_url=provider.url + "/v1", api_key="sk-a")
        async with AsyncTollkeeper(api.url, KEY, timeout_s=5) as tk, plain:
            create = tk.wrap(plain.chat.completions.create)
            request = {"model": "gpt-4o-mini", "messages": ASK, "tollkeeper_user": "ada"}
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(create(**request), 0.3)
            seen = asyncio.Event()

            async def read():
                async for chunk in await create(**request, stream=True):
                    if chunk.choices[0].delta.content:
                        seen.set()

            task = asyncio.create_task(read())
            await seen.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert [event["estimated"] for event in api.events] == [True, True]
    assert all(event["usage"]["completion_tokens"] > 0 for event in api.events)


def test_a_block_in_an_event_loop(api, provider):
    api.limit = 0

    async def run():
        async with AsyncTollkeeper(api.url, KEY, timeout_s=5) as tk:
            with pytest.raises(BlockedError):
                async with tk.meter(user="ada", model="gpt-4o-mini"):
                    pass

    asyncio.run(run())
    assert api.events == []


def test_many_tasks_are_each_reported_once(api):
    async def run():
        async with AsyncTollkeeper(api.url, KEY, timeout_s=20) as tk:

            async def one(number):
                async with tk.meter(user=f"u{number}", amount_usd="0.01") as meter:
                    meter.report(cost_usd="0.001")

            await asyncio.gather(*(one(n) for n in range(1_000)))

    asyncio.run(run())
    assert sorted(e["user_id"] for e in api.events) == sorted(f"u{n}" for n in range(1_000))
