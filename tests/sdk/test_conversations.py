"""What the ledger holds after a conversation is what the price list makes of its usage."""

import asyncio
import operator
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from tollkeeper import AsyncTollkeeper, Tollkeeper

from tests.sdk.conversations import CONVERSATIONS
from tests.sdk.conversations.conversation import Conversation
from tests.sdk.real_tollkeeper import KEY, RealTollkeeper, config, real_tollkeeper
from tests.support.redis_stack import RedisStack
from tests.support.vendor_http import vendor_http

SYNC = {"openai": openai.OpenAI, "anthropic": anthropic.Anthropic}
ASYNC = {"openai": openai.AsyncOpenAI, "anthropic": anthropic.AsyncAnthropic}


@pytest.fixture(scope="module")
def real(redis_stack: RedisStack) -> Iterator[RealTollkeeper]:
    with real_tollkeeper(redis_stack, config("1000000")) as real:
        yield real


@pytest.fixture(scope="module")
def tk(real: RealTollkeeper) -> Iterator[Tollkeeper]:
    with Tollkeeper(real.url, KEY, timeout_s=10) as tk:
        yield tk


@pytest.fixture(scope="module")
def async_tk(real: RealTollkeeper) -> Iterator[AsyncTollkeeper]:
    tk = AsyncTollkeeper(real.url, KEY, timeout_s=10)
    yield tk
    asyncio.run(tk.close())


def seen_of(call: Any, conversation: Conversation) -> Any:
    """What the caller gets, field by field."""
    try:
        answer = call(**conversation.request)
        if conversation.request.get("stream"):
            return [one.to_dict() for one in answer]
        return answer.to_dict()
    except (openai.APIError, anthropic.APIError) as error:
        return type(error), str(error), error.body


async def seen_of_async(call: Any, conversation: Conversation) -> Any:
    try:
        answer = await call(**conversation.request)
        if conversation.request.get("stream"):
            return [one.to_dict() async for one in answer]
        return answer.to_dict()
    except (openai.APIError, anthropic.APIError) as error:
        return type(error), str(error), error.body


def talk(tk: Tollkeeper, conversation: Conversation) -> tuple[Any, Any]:
    """What the caller sees of it unwrapped, and wrapped."""
    with (
        vendor_http.Client(transport=conversation.transport()) as http,
        SYNC[conversation.vendor](
            api_key="sk-a", base_url=conversation.base_url, http_client=http, max_retries=0
        ) as client,
    ):
        method = operator.attrgetter(conversation.path)(client)
        with tk.user(conversation.name):
            return seen_of(method, conversation), seen_of(tk.wrap(method), conversation)


async def talk_async(tk: AsyncTollkeeper, conversation: Conversation) -> tuple[Any, Any]:
    async with (
        vendor_http.AsyncClient(transport=conversation.transport()) as http,
        ASYNC[conversation.vendor](
            api_key="sk-a", base_url=conversation.base_url, http_client=http, max_retries=0
        ) as client,
    ):
        method = operator.attrgetter(conversation.path)(client)
        with tk.user(f"async {conversation.name}"):
            plain = await seen_of_async(method, conversation)
            return plain, await seen_of_async(tk.wrap(method), conversation)


def assert_charged(real: RealTollkeeper, user: str, conversation: Conversation) -> None:
    (event,) = real.settle()
    assert event["user_id"] == user
    assert not event["estimated"]
    counters = real.counters(user)
    assert counters.total_nano == conversation.cost_nano
    assert counters.held_total_nano == 0


def test_there_are_enough_of_them_and_each_is_another() -> None:
    assert len({conversation.name for conversation in CONVERSATIONS}) == len(CONVERSATIONS) >= 60
    assert sum(conversation.cost_nano > 0 for conversation in CONVERSATIONS) >= 60
    assert sum(conversation.streams for conversation in CONVERSATIONS) >= 30


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=str)
def test_the_ledger_holds_what_the_provider_says(
    real: RealTollkeeper, tk: Tollkeeper, conversation: Conversation
) -> None:
    plain, wrapped = talk(tk, conversation)
    assert tk.flush(10)
    assert wrapped == plain
    assert_charged(real, conversation.name, conversation)


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=str)
def test_the_ledger_holds_it_in_an_event_loop_too(
    real: RealTollkeeper, async_tk: AsyncTollkeeper, conversation: Conversation
) -> None:
    async def run() -> tuple[Any, Any]:
        seen = await talk_async(async_tk, conversation)
        assert await async_tk.flush(10)
        return seen

    plain, wrapped = asyncio.run(run())
    assert wrapped == plain
    assert_charged(real, f"async {conversation.name}", conversation)
