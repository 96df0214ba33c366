"""However an answer ends in an event loop: reported once, as an estimate where nobody says."""

import asyncio
import gc

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from tollkeeper import AsyncTollkeeper

from tests.support.scripted_tollkeeper import KEY

ASK = [{"role": "user", "content": "Tell me about the Nile"}]
HOWS = ["break", "close", "forget", "never read", "raise", "cancel", "time out"]


class Endings:
    """One stream of each kind, and the ways to leave it."""

    def __init__(self, provider, tk):
        self.openai = AsyncOpenAI(base_url=provider.url + "/v1", api_key="sk-a", max_retries=0)
        self.anthropic = AsyncAnthropic(base_url=provider.url, api_key="sk-a", max_retries=0)
        self.tk = tk

    async def open(self, kind):
        if kind == "chat":
            create = self.tk.wrap(self.openai.chat.completions.create)
            return await create(model="gpt-4o-mini", messages=ASK, stream=True)
        if kind == "responses":
            create = self.tk.wrap(self.openai.responses.create)
            return await create(model="gpt-4o-mini", input="The Nile", stream=True)
        create = self.tk.wrap(self.anthropic.messages.create)
        return await create(model="claude-haiku-4-5", messages=ASK, max_tokens=90, stream=True)

    async def leave(self, kind, how):
        stream = await self.open(kind)
        if how == "never read":
            return
        for _ in range(8):
            await anext(stream)
        if how == "break":
            async for _ in stream:
                break
        elif how == "close":
            await stream.close()
        elif how == "raise":
            with pytest.raises(KeyError):
                async with stream:
                    raise KeyError
        elif how == "cancel":
            reading = asyncio.create_task(self.read(stream))
            await asyncio.sleep(0.02)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        elif how == "time out":
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(self.read(stream), 0.03)

    async def read(self, stream):
        async for _ in stream:
            pass

    async def close(self):
        await self.openai.close()
        await self.anthropic.close()


@pytest.mark.parametrize("kind", ["chat", "responses", "messages"])
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of the stream that is forgotten
def test_a_stream_that_is_left_is_an_estimate_once(api, provider, kind):
    provider.token_delay_ms = 5

    async def run():
        async with AsyncTollkeeper(api.url, KEY, timeout_s=5) as tk:
            endings = Endings(provider, tk)
            for how in HOWS:
                with tk.user(how):
                    await endings.leave(kind, how)
                gc.collect()
                await asyncio.sleep(0.01)
            await endings.close()

    asyncio.run(run())
    given = "prompt_tokens" if kind == "chat" else "input_tokens"
    came = "completion_tokens" if kind == "chat" else "output_tokens"
    assert sorted(event["user_id"] for event in api.events) == sorted(HOWS)
    for event in api.events:
        assert event["estimated"] is True
        assert event["status"] == "ok"
        assert event["reservation_id"]
        assert event["usage"][given] > 0
        assert event["usage"][came] >= (0 if event["user_id"] == "never read" else 2)
