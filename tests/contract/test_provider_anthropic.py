"""The local provider against the real `anthropic` package and the price list's extraction."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot

from infra.local.provider import LocalProvider, count_tokens
from infra.local.provider.cache import CacheUse, PromptCache
from infra.local.provider.prompt import Block

MODEL = "claude-sonnet-5"
QUESTION = "How do I plan a small vegetable garden?"
FRAMING_TOKENS = 3
ANSWER_TOKENS = 3
LONG = "The rules of the house are many. " * 200
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.fixture(scope="module")
def provider() -> Iterator[LocalProvider]:
    with LocalProvider(token_delay_ms=0) as running:
        yield running


@pytest.fixture(scope="module")
def client(provider: LocalProvider) -> Iterator[Anthropic]:
    with Anthropic(base_url=provider.url, api_key="sk-ant-test", max_retries=0) as made:
        yield made


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


def cached(text: str, ttl: str = "5m") -> dict[str, Any]:
    return {"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": ttl}}


def message_tokens(role: str, *texts: str) -> int:
    return FRAMING_TOKENS + count_tokens(role) + sum(map(count_tokens, texts))


def test_message_usage_is_what_was_asked_and_said(client: Anthropic) -> None:
    message = client.messages.create(
        model=MODEL, max_tokens=1000, system="Be kind.", messages=user(QUESTION)
    )
    text = message.content[0].text
    assert "vegetable garden" in text
    assert message.usage.input_tokens == (
        ANSWER_TOKENS + message_tokens("system", "Be kind.") + message_tokens("user", QUESTION)
    )
    assert message.usage.output_tokens == count_tokens(text)
    assert message.stop_reason == "end_turn"
    counted = client.messages.count_tokens(model=MODEL, system="Be kind.", messages=user(QUESTION))
    assert counted.input_tokens == message.usage.input_tokens


def test_stream_has_the_documented_events(client: Anthropic) -> None:
    whole = client.messages.create(model=MODEL, max_tokens=1000, messages=user(QUESTION))
    events = list(
        client.messages.create(model=MODEL, max_tokens=1000, messages=user(QUESTION), stream=True)
    )
    deltas = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert [event.type for event in events] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * len(deltas),
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert "".join(deltas) == whole.content[0].text
    assert events[0].message.usage.input_tokens == whole.usage.input_tokens
    assert events[0].message.stop_reason is None
    assert events[-2].delta.stop_reason == "end_turn"
    assert events[-2].usage.output_tokens == whole.usage.output_tokens == len(deltas)


def test_stream_pings(client: Anthropic) -> None:
    body = {"model": MODEL, "max_tokens": 2, "messages": user("Hi"), "stream": True}
    raw = client.messages.with_raw_response.create(**body)
    events = [line for line in raw.text().splitlines() if line.startswith("event: ")]
    assert events[:3] == ["event: message_start", "event: content_block_start", "event: ping"]
    assert raw.headers["request-id"].startswith("req_")


def test_stream_helper_async(provider: LocalProvider) -> None:
    async def ask() -> tuple[str, int]:
        async with (
            AsyncAnthropic(base_url=provider.url, api_key="k") as client,
            client.messages.stream(model=MODEL, max_tokens=1000, messages=user(QUESTION)) as stream,
        ):
            text = "".join([part async for part in stream.text_stream])
            final = await stream.get_final_message()
            assert final.content[0].text == text
            return text, final.usage.output_tokens

    text, counted = asyncio.run(ask())
    assert counted == count_tokens(text) > 50


def test_limit_and_stop_sequence(client: Anthropic) -> None:
    cut = client.messages.create(model=MODEL, max_tokens=9, messages=user(QUESTION))
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 9)
    assert count_tokens(cut.content[0].text) == 9
    stopped = client.messages.create(
        model=MODEL, max_tokens=1000, messages=user(QUESTION), stop_sequences=["\n\n"]
    )
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "\n\n")
    assert "\n\n" not in stopped.content[0].text


def test_thinking_counts_as_output(client: Anthropic) -> None:
    options = {
        "model": MODEL,
        "max_tokens": 4000,
        "messages": user(QUESTION),
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    message = client.messages.create(**options)
    thinking, text = message.content
    assert message.usage.output_tokens_details.thinking_tokens == count_tokens(thinking.thinking)
    assert message.usage.output_tokens == count_tokens(thinking.thinking) + count_tokens(text.text)
    with client.messages.stream(**options) as stream:
        streamed = stream.get_final_message()
    assert [block.type for block in streamed.content] == ["thinking", "text"]
    assert streamed.content[0].thinking == thinking.thinking
    assert streamed.content[0].signature == thinking.signature
    assert streamed.usage.output_tokens == message.usage.output_tokens


def test_tool_use_and_its_answer(client: Anthropic) -> None:
    tools = [{"name": "get_weather", "input_schema": SCHEMA}]
    asked = user("Please get_weather for Lisbon")
    options = {"model": MODEL, "max_tokens": 1000, "tools": tools}
    first = client.messages.create(messages=asked, **options)
    use = first.content[0]
    assert (first.stop_reason, use.type, use.name) == ("tool_use", "tool_use", "get_weather")
    assert isinstance(use.input["city"], str)
    written = json.dumps(use.input, separators=(",", ":"))
    assert first.usage.output_tokens == count_tokens(written)
    with client.messages.stream(messages=asked, **options) as stream:
        assert stream.get_final_message().content[0].input == use.input
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "18 degrees and sunny"}
    history = [*asked, {"role": "assistant", "content": first.content}, *user([result])]
    second = client.messages.create(messages=history, **options)
    assert "18 degrees and sunny" in second.content[0].text
    forced = client.messages.create(messages=user("Hi"), tool_choice={"type": "any"}, **options)
    assert forced.stop_reason == "tool_use"


def test_refusal(client: Anthropic) -> None:
    message = client.messages.create(model=MODEL, max_tokens=99, messages=user("[refuse] it"))
    assert message.stop_reason == "refusal"
    assert message.usage.output_tokens == count_tokens(message.content[0].text)


def test_cache_writes_then_reads(client: Anthropic) -> None:
    def ask(question: str, key: str = "sk-ant-test") -> anthropic.types.Usage:
        return (
            client.with_options(api_key=key)
            .messages.create(
                model=MODEL, max_tokens=1, system=[cached(LONG)], messages=user(question)
            )
            .usage
        )

    prefix = message_tokens("system", LONG)
    rest = ANSWER_TOKENS + message_tokens("user", "One?")
    first, second, stranger = ask("One?"), ask("Two?"), ask("Two?", key="sk-ant-other")
    assert (first.cache_creation_input_tokens, first.cache_read_input_tokens) == (prefix, 0)
    assert first.cache_creation.ephemeral_5m_input_tokens == prefix
    assert first.input_tokens == rest
    assert (second.cache_creation_input_tokens, second.cache_read_input_tokens) == (0, prefix)
    assert second.input_tokens == rest
    assert stranger.cache_read_input_tokens == 0


def test_cache_lifetimes_are_told_apart(client: Anthropic) -> None:
    usage = client.messages.create(
        model=MODEL,
        max_tokens=1,
        system=[cached("An hour. " + LONG, ttl="1h"), cached("Five minutes. " + LONG)],
        messages=user("One?"),
    ).usage
    hour = FRAMING_TOKENS - 1 + count_tokens("system") + count_tokens("An hour. " + LONG)
    assert usage.cache_creation.ephemeral_1h_input_tokens == hour
    short = count_tokens("Five minutes. " + LONG) + 1
    assert usage.cache_creation.ephemeral_5m_input_tokens == short
    assert usage.cache_creation_input_tokens == hour + short
    with pytest.raises(anthropic.BadRequestError, match="ttl='1h'"):
        client.messages.create(
            model=MODEL,
            max_tokens=1,
            system=[cached("a"), cached("b", ttl="1h")],
            messages=user("One?"),
        )


def test_short_prefixes_are_not_cached(client: Anthropic) -> None:
    for _ in range(2):
        usage = client.messages.create(
            model=MODEL, max_tokens=1, system=[cached("Be kind.")], messages=user("One?")
        ).usage
        assert (usage.cache_creation_input_tokens, usage.cache_read_input_tokens) == (0, 0)


def test_cache_expires_and_a_read_refreshes_it() -> None:
    now = 0.0
    cache = PromptCache(clock=lambda: now)
    blocks = [Block(("a",) * 2000, "5m")]

    def use() -> CacheUse:
        return cache.use_breakpoints("scope", blocks, minimum_tokens=1024)

    assert use() == CacheUse(written=2000)
    now = 299.0
    assert use() == CacheUse(read=2000)
    now = 598.0
    assert use() == CacheUse(read=2000)
    now = 898.0
    assert use() == CacheUse(written=2000)


def test_cache_looks_back_twenty_blocks() -> None:
    cache = PromptCache()
    head = Block(("a",) * 2000, "5m")
    filler = Block(("b",))

    def use(blocks: list[Block]) -> CacheUse:
        return cache.use_breakpoints("scope", blocks, minimum_tokens=1024)

    use([head])
    plain = Block(head.tokens)
    within = [plain, *[filler] * 19, Block(("c",), "5m")]
    beyond = [plain, *[filler] * 20, Block(("d",), "5m")]
    assert use(within) == CacheUse(read=2000, written=20)
    assert use(beyond) == CacheUse(written=2021)


@pytest.mark.parametrize(
    ("model", "key", "error", "kind"),
    [
        ("claude-unheard-of", "k", anthropic.NotFoundError, "not_found_error"),
        ("gpt-4o", "k", anthropic.NotFoundError, "not_found_error"),
        ("error-429", "k", anthropic.RateLimitError, "rate_limit_error"),
        ("error-500", "k", anthropic.InternalServerError, "api_error"),
        ("error-529", "k", anthropic.APIStatusError, "overloaded_error"),
        (MODEL, "sk-invalid", anthropic.AuthenticationError, "authentication_error"),
    ],
)
def test_errors_have_the_vendors_shape(
    client: Anthropic, model: str, key: str, error: type[anthropic.APIStatusError], kind: str
) -> None:
    with pytest.raises(error) as caught:
        client.with_options(api_key=key).messages.create(
            model=model, max_tokens=1, messages=user("Hi")
        )
    body = caught.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] == kind
    assert body["request_id"] == caught.value.request_id


def test_missing_things_are_named(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: Field required"):
        client.post("/v1/messages", cast_to=object, body={"model": MODEL, "messages": user("x")})
    with pytest.raises(anthropic.BadRequestError, match="messages: Field required"):
        client.post("/v1/messages", cast_to=object, body={"model": MODEL, "max_tokens": 1})


def test_stream_that_breaks_half_way(client: Anthropic, provider: LocalProvider) -> None:
    read: list[str] = []
    stream = client.messages.create(
        model="error-midstream", max_tokens=1000, messages=user(QUESTION), stream=True
    )

    def read_on() -> None:
        read.extend(event.delta.text for event in stream if event.type == "content_block_delta")

    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        read_on()
    call = provider.calls[-1]
    assert (call.status, call.output_tokens) == ("failed", count_tokens("".join(read)))
    assert call.output_tokens > 20


def test_models(client: Anthropic) -> None:
    names = [model.id for model in client.models.list()]
    assert MODEL in names
    assert not any(name.startswith("gpt") for name in names)


def test_usage_prices_as_the_price_list_reads_it(client: Anthropic) -> None:
    prices = next(p for p in get_snapshot().providers if p.id == "anthropic")
    text = "Priced. " + LONG
    for read in (False, True):
        message = client.messages.create(
            model=MODEL,
            max_tokens=1000,
            system=[cached(text, ttl="1h"), cached("And more. " + LONG)],
            messages=user(QUESTION),
        )
        model, usage = prices.extract_usage(message.model_dump())
        written = 0 if read else message.usage.cache_creation_input_tokens
        assert model == MODEL
        assert usage.output_tokens == count_tokens(message.content[0].text)
        assert (
            usage.input_tokens
            == client.messages.count_tokens(
                model=MODEL,
                system=[cached(text), cached("And more. " + LONG)],
                messages=user(QUESTION),
            ).input_tokens
        )
        assert usage.reported_value("cache_write_tokens") == written
        assert (usage.reported_value("cache_read_tokens") > 2000) is read
        assert calc_price(usage, MODEL, provider_id="anthropic").total_price > 0
