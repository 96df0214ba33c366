"""The local provider against the real `openai` package and the price list's usage extraction."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator

import openai
import pytest
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot
from openai import AsyncOpenAI, OpenAI

from infra.local.provider import LocalProvider, count_tokens, tokenize

QUESTION = "How do I plan a small vegetable garden?"
FRAMING_TOKENS = 3
ANSWER_TOKENS = 3
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
    "required": ["city", "unit"],
}


@pytest.fixture(scope="module")
def provider() -> Iterator[LocalProvider]:
    with LocalProvider(token_delay_ms=0) as running:
        yield running


@pytest.fixture(scope="module")
def client(provider: LocalProvider) -> Iterator[OpenAI]:
    with OpenAI(base_url=provider.url + "/v1", api_key="sk-test", max_retries=0) as made:
        yield made


def message_tokens(role: str, content: str) -> int:
    return FRAMING_TOKENS + count_tokens(role) + count_tokens(content)


def prompt_tokens(*messages: tuple[str, str]) -> int:
    return ANSWER_TOKENS + sum(message_tokens(*message) for message in messages)


def user(content: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content}]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello, world!",
        "a  b\n\n c_d",
        "naïve Straße 12345",
        "日本語のテキスト 👩‍👩‍👧",
        "\r\n\t~~~~~ ?",
    ],
)
def test_tokens_join_to_the_text_and_survive_truncation(text: str) -> None:
    tokens = tokenize(text)
    assert "".join(tokens) == text
    for cut in range(len(tokens) + 1):
        assert tokenize("".join(tokens[:cut])) == tokens[:cut]


def test_token_rule() -> None:
    assert tokenize("Hello extraordinary 12345!?!?! x_y") == [
        "Hello",
        " extraord",
        "inary",
        " 123",
        "45",
        "!?!?",
        "!",
        " x",
        "_",
        "y",
    ]


def test_chat_usage_is_what_was_asked_and_said(client: OpenAI, provider: LocalProvider) -> None:
    answer = client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "system", "content": "Be kind."}, *user(QUESTION)],
    )
    said = answer.choices[0].message.content
    assert said is not None
    assert "vegetable garden" in said
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == prompt_tokens(("system", "Be kind."), ("user", QUESTION))
    assert answer.usage.completion_tokens == count_tokens(said)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + count_tokens(said)
    assert answer.choices[0].finish_reason == "stop"
    entry = provider.calls[-1]
    assert (entry.input_tokens, entry.output_tokens, entry.status) == (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
        "complete",
    )


def test_chat_answers_are_deterministic_and_differ_by_choice(client: OpenAI) -> None:
    def ask(n: int) -> list[str | None]:
        answer = client.chat.completions.create(model="gpt-4o", messages=user(QUESTION), n=n)
        assert answer.usage is not None
        contents = [choice.message.content for choice in answer.choices]
        assert answer.usage.prompt_tokens == prompt_tokens(("user", QUESTION))
        assert answer.usage.completion_tokens == sum(count_tokens(c or "") for c in contents)
        return contents

    assert ask(3) == ask(3)
    assert len(set(ask(3))) == 3


@pytest.mark.parametrize("with_usage", [True, False])
def test_chat_stream(client: OpenAI, with_usage: bool) -> None:
    whole = client.chat.completions.create(model="gpt-4o-mini", messages=user(QUESTION), n=2)
    chunks = list(
        client.chat.completions.create(
            model="gpt-4o-mini",
            messages=user(QUESTION),
            n=2,
            stream=True,
            stream_options={"include_usage": with_usage},
        )
    )
    for choice in whole.choices:
        deltas = [c for chunk in chunks for c in chunk.choices if c.index == choice.index]
        assert "".join(c.delta.content or "" for c in deltas) == choice.message.content
        assert [c.finish_reason for c in deltas if c.finish_reason] == ["stop"]
    assert [bool(chunk.choices) for chunk in chunks] == [True] * (len(chunks) - with_usage) + (
        [False] * with_usage
    )
    assert [chunk.usage for chunk in chunks if chunk.usage] == [whole.usage] * with_usage


async def collect_async(provider: LocalProvider) -> tuple[str, int]:
    async with AsyncOpenAI(base_url=provider.url + "/v1", api_key="sk-test") as client:
        stream = await client.chat.completions.create(
            model="gpt-4o",
            messages=user(QUESTION),
            stream=True,
            stream_options={"include_usage": True},
        )
        text, counted = "", 0
        async for chunk in stream:
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
            counted = chunk.usage.completion_tokens if chunk.usage else counted
        return text, counted


def test_chat_stream_async(provider: LocalProvider) -> None:
    text, counted = asyncio.run(collect_async(provider))
    assert counted == count_tokens(text) > 50


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_chat_limit_cuts_to_the_token(client: OpenAI, field: str) -> None:
    limits: dict[str, int] = {field: 17}
    answer = client.chat.completions.create(model="gpt-4o", messages=user(QUESTION), **limits)
    assert answer.choices[0].finish_reason == "length"
    assert count_tokens(answer.choices[0].message.content or "") == 17
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 17


def test_chat_stop_sequence(client: OpenAI) -> None:
    full = client.chat.completions.create(model="gpt-4o", messages=user(QUESTION))
    cut = client.chat.completions.create(model="gpt-4o", messages=user(QUESTION), stop="\n\n")
    whole = full.choices[0].message.content or ""
    assert cut.choices[0].message.content == whole.split("\n\n")[0]
    assert cut.choices[0].finish_reason == "stop"


def test_reasoning_tokens_are_billed_within_the_completion(client: OpenAI) -> None:
    def ask(**options: object) -> tuple[int, int, str | None, str]:
        answer = client.chat.completions.create(model="gpt-5", messages=user(QUESTION), **options)
        usage = answer.usage
        assert usage is not None
        assert usage.completion_tokens_details is not None
        reasoning = usage.completion_tokens_details.reasoning_tokens
        assert reasoning is not None
        choice = answer.choices[0]
        said = count_tokens(choice.message.content or "")
        assert usage.completion_tokens == reasoning + said
        return reasoning, said, choice.message.content, choice.finish_reason

    low, high = ask(reasoning_effort="low"), ask(reasoning_effort="high")
    assert 0 < low[0] < high[0]
    assert low[2] == high[2]
    assert ask(reasoning_effort="minimal")[0] == 0
    assert ask(max_completion_tokens=5) == (5, 0, "", "length")
    with pytest.raises(openai.BadRequestError, match="max_completion_tokens"):
        ask(max_tokens=5)


def test_tool_call_and_its_answer(client: OpenAI) -> None:
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
    asked = user("Please get_weather for Lisbon")
    first = client.chat.completions.create(model="gpt-4o", messages=asked, tools=tools)
    choice = first.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    call = choice.message.tool_calls[0]
    arguments = json.loads(call.function.arguments)
    assert arguments["unit"] == "celsius"
    assert isinstance(arguments["city"], str)
    assert first.usage.completion_tokens == count_tokens(call.function.arguments)

    chunks = client.chat.completions.create(
        model="gpt-4o", messages=asked, tools=tools, stream=True
    )
    parts = [c.delta.tool_calls[0] for k in chunks for c in k.choices if c.delta.tool_calls]
    assert parts[0].function.name == "get_weather"
    assert "".join(p.function.arguments for p in parts) == call.function.arguments

    result = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees and sunny"}
    history = [*asked, choice.message.model_dump(exclude_none=True), result]
    second = client.chat.completions.create(model="gpt-4o", messages=history, tools=tools)
    assert "18 degrees and sunny" in second.choices[0].message.content
    forced = client.chat.completions.create(
        model="gpt-4o", messages=user("Hi"), tools=tools, tool_choice="required"
    )
    assert forced.choices[0].message.tool_calls[0].function.name == "get_weather"


def test_structured_answer(client: OpenAI) -> None:
    schema = {"name": "weather", "schema": WEATHER}
    answer = client.chat.completions.create(
        model="gpt-4o",
        messages=user("Lisbon"),
        response_format={"type": "json_schema", "json_schema": schema},
    )
    value = json.loads(answer.choices[0].message.content)
    assert value == {"city": "Lisbon", "unit": "celsius"}


def test_refusal(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o", messages=user("[refuse] do it"))
    refusal = answer.choices[0].message.refusal
    assert refusal
    assert answer.choices[0].message.content is None
    assert answer.usage.completion_tokens == count_tokens(refusal)


def test_long_prefix_is_read_from_the_cache_in_steps(client: OpenAI) -> None:
    prefix = "The rules of the house are many. " * 200

    def cached(model: str, question: str, key: str = "sk-test") -> tuple[int, int]:
        messages = [{"role": "system", "content": prefix}, *user(question)]
        answer = client.with_options(api_key=key).chat.completions.create(
            model=model, messages=messages, max_completion_tokens=1
        )
        details = answer.usage.prompt_tokens_details
        return details.cached_tokens, details.cache_write_tokens

    shared = message_tokens("system", prefix)
    assert cached("gpt-4o", "One?") == (0, 0)
    expected = shared + FRAMING_TOKENS - 1 + count_tokens("user")
    assert cached("gpt-4o", "Two?") == (expected // 128 * 128, 0)
    assert cached("gpt-4o", "Two?", key="sk-other") == (0, 0)
    assert cached("gpt-4o-mini", "Two?") == (0, 0)


def test_newer_models_bill_cache_writes(client: OpenAI) -> None:
    prefix = "Every page of the manual counts. " * 200
    opening = [{"role": "system", "content": prefix}, *user("One?")]

    def ask(messages: list[dict[str, str]]) -> tuple[int, int, int]:
        answer = client.chat.completions.create(
            model="gpt-5.6-terra", messages=messages, max_completion_tokens=1
        )
        details = answer.usage.prompt_tokens_details
        return answer.usage.prompt_tokens, details.cached_tokens, details.cache_write_tokens

    total, read, written = ask(opening)
    assert (read, written) == (0, total - ANSWER_TOKENS)
    longer, read, written_now = ask([*opening, {"role": "assistant", "content": "A."}, *user("2?")])
    assert read == written
    assert written_now == longer - ANSWER_TOKENS - read


def test_responses_whole_and_streamed(client: OpenAI) -> None:
    whole = client.responses.create(model="gpt-5-mini", input=QUESTION, instructions="Be kind.")
    usage = whole.usage
    assert usage is not None
    reasoning = usage.output_tokens_details.reasoning_tokens
    assert usage.input_tokens == prompt_tokens(("developer", "Be kind."), ("user", QUESTION))
    assert usage.output_tokens == reasoning + count_tokens(whole.output_text)
    assert [item.type for item in whole.output] == ["reasoning", "message"]

    events = list(
        client.responses.create(
            model="gpt-5-mini", input=QUESTION, instructions="Be kind.", stream=True
        )
    )
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * len(deltas),
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert "".join(deltas) == whole.output_text == events[-1].response.output_text
    assert events[-1].response.usage == usage
    assert events[0].response.usage is None


def test_responses_limit_tool_refusal_and_conversation(client: OpenAI) -> None:
    cut = client.responses.create(model="gpt-4o", input=QUESTION, max_output_tokens=16)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert cut.usage.output_tokens == count_tokens(cut.output_text) == 16

    tools = [{"type": "function", "name": "get_weather", "parameters": WEATHER}]
    events = list(
        client.responses.create(
            model="gpt-4o", input="get_weather in Rome", tools=tools, stream=True
        )
    )
    made = events[-1].response.output[0]
    assert json.loads(made.arguments)["unit"] == "celsius"
    deltas = [e.delta for e in events if e.type == "response.function_call_arguments.delta"]
    assert "".join(deltas) == made.arguments

    refused = client.responses.create(model="gpt-4o", input="[refuse] this")
    assert refused.output[0].content[0].type == "refusal"

    first = client.responses.create(model="gpt-4o", input="Tell me about bees")
    second = client.responses.create(model="gpt-4o", input="More", previous_response_id=first.id)
    assert second.usage.input_tokens == prompt_tokens(
        ("user", "Tell me about bees"), ("assistant", first.output_text), ("user", "More")
    )
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="gpt-4o", input="x", previous_response_id="resp_none")
    assert caught.value.code == "previous_response_not_found"


def test_embeddings(client: OpenAI) -> None:
    texts = ["red apples and pears", "apples and red pears", "quantum chromodynamics"]
    answer = client.embeddings.create(model="text-embedding-3-small", input=texts)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == sum(map(count_tokens, texts))
    near, other, far = (item.embedding for item in answer.data)
    assert len(near) == 1536

    def similarity(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert similarity(near, near) == pytest.approx(1, abs=1e-5)
    assert similarity(near, other) > 0.6 > similarity(near, far)
    plain = client.embeddings.create(
        model="text-embedding-3-large", input="one", dimensions=8, encoding_format="float"
    )
    assert len(plain.data[0].embedding) == 8
    with pytest.raises(openai.PermissionDeniedError):
        client.embeddings.create(model="gpt-4o", input="x")


@pytest.mark.parametrize(
    ("model", "key", "error", "code"),
    [
        ("gpt-unheard-of", "sk-test", openai.NotFoundError, "model_not_found"),
        ("error-429", "sk-test", openai.RateLimitError, "rate_limit_exceeded"),
        ("error-500", "sk-test", openai.InternalServerError, None),
        ("gpt-4o", "sk-invalid-key", openai.AuthenticationError, "invalid_api_key"),
    ],
)
def test_errors_have_the_vendors_shape(
    client: OpenAI, model: str, key: str, error: type[openai.APIStatusError], code: str | None
) -> None:
    with pytest.raises(error) as caught:
        client.with_options(api_key=key).chat.completions.create(model=model, messages=user("Hi"))
    assert caught.value.code == code
    assert set(caught.value.body) == {"message", "type", "param", "code"}
    assert caught.value.request_id.startswith("req_")


def test_missing_things_are_named(client: OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError, match="You didn't provide an API key"):
        client.models.list(extra_headers={"Authorization": ""})
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", cast_to=object, body={"model": "gpt-4o"})
    assert (caught.value.param, caught.value.code) == ("messages", "missing_required_parameter")
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(
            model="gpt-4o", messages=user("Hi"), extra_headers={"x-local-error": "429"}
        )


def test_stream_that_breaks_half_way(client: OpenAI, provider: LocalProvider) -> None:
    stream = client.chat.completions.create(
        model="error-midstream", messages=user(QUESTION), stream=True
    )
    read: list[str] = []

    def read_on() -> None:
        read.extend(chunk.choices[0].delta.content or "" for chunk in stream)

    with pytest.raises(openai.APIError, match="server had an error"):
        read_on()
    call = provider.calls[-1]
    assert (call.status, call.output_tokens) == ("failed", count_tokens("".join(read)))
    assert call.output_tokens > 20


def test_client_that_leaves_pays_for_what_was_sent() -> None:
    with (
        LocalProvider(token_delay_ms=5) as slow,
        OpenAI(base_url=slow.url + "/v1", api_key="k") as client,
    ):
        stream = client.chat.completions.create(
            model="gpt-4o", messages=user(QUESTION), stream=True
        )
        with stream:
            read = "".join(next(stream).choices[0].delta.content or "" for _ in range(6))
        call = slow.calls[-1]
        wait_until(lambda: call.status == "cancelled")
        assert count_tokens(read) <= call.output_tokens < 40


def test_models(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"gpt-4o", "gpt-5-mini", "text-embedding-3-small"} <= set(names)
    assert not any(name.startswith("claude") for name in names)


def test_usage_prices_as_the_price_list_reads_it(client: OpenAI) -> None:
    openai_prices = next(p for p in get_snapshot().providers if p.id == "openai")
    chat = client.chat.completions.create(model="gpt-5", messages=user(QUESTION))
    response = client.responses.create(model="gpt-5", input=QUESTION)
    embedding = client.embeddings.create(model="text-embedding-3-small", input=QUESTION)
    for flavour, answer in (("chat", chat), ("responses", response), ("embeddings", embedding)):
        model, usage = openai_prices.extract_usage(answer.model_dump(), api_flavor=flavour)
        assert model == answer.model
        assert calc_price(usage, answer.model, provider_id="openai").total_price > 0
    assert openai_prices.find_model("mystery-1") is None
    mystery = client.chat.completions.create(model="mystery-1", messages=user(QUESTION))
    assert mystery.usage.completion_tokens == count_tokens(mystery.choices[0].message.content)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)
