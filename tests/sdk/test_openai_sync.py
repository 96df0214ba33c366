"""The real openai package against the provider: what is reported is what the provider counted."""

import gc

import openai
import pytest
from openai import OpenAI
from tollkeeper import BlockedError, Tollkeeper, TollkeeperError

from infra.local.provider import LocalProvider
from tests.sdk.cost import invoiced, reported
from tests.support.scripted_tollkeeper import ScriptedTollkeeper

MODEL = "gpt-4o-mini"
ASK = [{"role": "user", "content": "Tell me about the Nile, naïvely — 尼罗河"}]


@pytest.fixture
def plain(provider: LocalProvider):
    with OpenAI(base_url=provider.url + "/v1", api_key="sk-a", max_retries=0) as client:
        yield client


def only_event(tk: Tollkeeper, api: ScriptedTollkeeper):
    assert tk.flush(5)
    (event,) = api.events
    return event


def without_names(value):
    """An answer without what differs between two answers: ids and times."""
    if isinstance(value, dict):
        return {k: without_names(v) for k, v in value.items() if k not in VARYING}
    return [without_names(v) for v in value] if isinstance(value, list) else value


VARYING = {"id", "created", "created_at", "completed_at", "item_id", "call_id", "obfuscation"}
VARYING |= {"message_id", "request_id"}


def test_a_chat_completion(tk, api, provider, plain):
    client = tk.wrap_client(plain)
    assert isinstance(client, OpenAI)
    with tk.user("ada", tier="free"):
        answer = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=50)
    event = only_event(tk, api)
    expected = plain.chat.completions.create(model=MODEL, messages=ASK, max_tokens=50)
    assert type(answer) is type(expected)
    assert without_names(answer.to_dict()) == without_names(expected.to_dict())
    assert (event["user_id"], event["status"]) == ("ada", "ok")
    assert event["reservation_id"] == "res_1"
    assert event["usage"] == answer.usage.to_dict()
    assert "estimated" not in event
    assert reported(event) == invoiced(provider.calls[-2])
    (check,) = api.checks
    assert (check["user_id"], check["tier"], check["max_output_tokens"]) == ("ada", "free", 50)
    assert check["input_tokens"] >= provider.calls[-2].input_tokens


@pytest.mark.parametrize("asked", [None, False, True])
def test_a_stream_shows_the_same_chunks(tk, api, provider, plain, asked):
    options = {} if asked is None else {"stream_options": {"include_usage": asked}}
    request = {"model": MODEL, "messages": ASK, "stream": True, "n": 2, **options}
    create = tk.wrap(plain.chat.completions.create)
    seen = [c.to_dict() for c in create(**request, tollkeeper_user="ada")]
    event = only_event(tk, api)
    expected = [c.to_dict() for c in plain.chat.completions.create(**request)]
    assert without_names(seen) == without_names(expected)
    assert event["usage"]["completion_tokens"] == provider.calls[-2].output_tokens
    assert "estimated" not in event
    assert reported(event) == invoiced(provider.calls[-2])


@pytest.mark.parametrize("how", ["break", "close", "forget", "never_read", "raise"])
def test_a_stream_that_nobody_finishes_is_settled_on_an_estimate(tk, api, provider, plain, how):
    provider.token_delay_ms = 5
    create = tk.wrap(plain.chat.completions.create)
    stream = create(model=MODEL, messages=ASK, stream=True, tollkeeper_user="ada")
    if how != "never_read":
        chunks = [next(stream) for _ in range(8)]
        assert len(chunks) == 8
    if how == "close":
        stream.close()
    elif how == "raise":
        with pytest.raises(KeyError), stream:
            raise KeyError
    elif how == "break":
        for _ in stream:
            break
    del stream
    gc.collect()
    event = only_event(tk, api)
    assert event["estimated"] is True
    assert event["status"] == "ok"
    minimum = 0 if how == "never_read" else 7
    assert event["usage"]["completion_tokens"] >= minimum
    assert event["usage"]["prompt_tokens"] >= provider.calls[-1].input_tokens


def test_an_error_in_mid_stream_is_an_estimate_of_what_came(tk, api, provider, plain):
    create = tk.wrap(plain.chat.completions.create)
    with pytest.raises(openai.APIError):
        list(create(model="error-midstream", messages=ASK, stream=True, tollkeeper_user="ada"))
    event = only_event(tk, api)
    assert event["estimated"] is True
    sent = provider.calls[-1].output_tokens
    assert event["usage"]["completion_tokens"] >= sent > 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["error-429", "error-500", "no-such-model"])
def test_a_refusal_of_the_provider_costs_nothing(tk, api, plain, model, stream):
    create = tk.wrap(plain.chat.completions.create)
    with pytest.raises(openai.APIStatusError):
        create(model=model, messages=ASK, stream=stream, tollkeeper_user="ada")
    event = only_event(tk, api)
    assert event["status"] == "error"
    assert event["reservation_id"] == "res_1"
    assert "usage" not in event
    assert "cost_usd" not in event


def test_no_connection_costs_nothing_and_a_time_out_an_estimate(tk, api, provider, plain):
    dead = OpenAI(base_url="http://127.0.0.1:9/v1", api_key="sk-a", max_retries=0)
    with pytest.raises(openai.APIConnectionError):
        tk.wrap(dead.chat.completions.create)(model=MODEL, messages=ASK, tollkeeper_user="ada")
    assert only_event(tk, api)["status"] == "error"
    dead.close()
    provider.token_delay_ms = 50
    slow = plain.with_options(timeout=0.2)
    with pytest.raises(openai.APITimeoutError):
        tk.wrap(slow.chat.completions.create)(model=MODEL, messages=ASK, tollkeeper_user="ada")
    assert tk.flush(5)
    event = api.events[-1]
    assert event["estimated"] is True
    assert 10 <= event["usage"]["completion_tokens"] <= 50
    assert event["usage"]["prompt_tokens"] > 0


def test_tools_caches_reasoning_and_refusals_cost_what_the_invoice_says(tk, api, provider, plain):
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    long = [{"role": "user", "content": "the Nile and the Amazon " * 600}]
    requests = [
        {"model": MODEL, "messages": [{"role": "user", "content": "weather"}], "tools": [tool]},
        {"model": MODEL, "messages": long},
        {"model": MODEL, "messages": long},
        {"model": "o3-mini", "messages": ASK},
        {"model": MODEL, "messages": [{"role": "user", "content": "[refuse] this"}]},
        {"model": MODEL, "messages": ASK, "max_tokens": 3},
        {"model": MODEL, "messages": ASK, "n": 3},
    ]
    client = tk.wrap_client(plain)
    with tk.user("ada"):
        for request in requests:
            client.chat.completions.create(**request)
            list(client.chat.completions.create(**request, stream=True))
    assert tk.flush(5)
    calls = provider.calls[-2 * len(requests) :]
    assert any(call.cache.read for call in calls)
    assert any(call.reasoning_tokens for call in calls)
    assert [reported(event) for event in api.events] == [invoiced(call) for call in calls]
    assert not any(event.get("estimated") for event in api.events)


def test_with_options_raw_responses_and_helpers_stay_metered(tk, api, provider, plain):
    client = tk.wrap_client(plain).with_options(timeout=30)
    with tk.user("ada"):
        raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=ASK)
        assert raw.parse().usage is not None
        raw = client.chat.completions.with_raw_response.create(
            model=MODEL, messages=ASK, stream=True
        )
        assert [c.usage for c in raw.parse()][-1] is None
        with client.chat.completions.with_streaming_response.create(
            model=MODEL, messages=ASK
        ) as response:
            response.read()
        chat = client.chat if hasattr(client.chat.completions, "stream") else client.beta.chat
        with chat.completions.stream(model=MODEL, messages=ASK) as stream:
            stream.get_final_completion()
    assert tk.flush(5)
    calls = provider.calls[-4:]
    assert [reported(event) for event in api.events] == [invoiced(call) for call in calls]
    assert not any(event.get("estimated") for event in api.events)


def test_responses_and_embeddings(tk, api, provider, plain):
    client = tk.wrap_client(plain)
    with tk.user("ada"):
        client.responses.create(model=MODEL, input="Tell me about the Nile")
        seen = [e.to_dict() for e in client.responses.create(model=MODEL, input="Hi", stream=True)]
        client.embeddings.create(model="text-embedding-3-small", input=["a b c", "Nile"])
    expected = [e.to_dict() for e in plain.responses.create(model=MODEL, input="Hi", stream=True)]
    assert without_names(seen) == without_names(expected)
    assert tk.flush(5)
    assert [reported(e) for e in api.events] == [invoiced(c) for c in provider.calls[-4:-1]]
    assert not any(event.get("estimated") for event in api.events)


def test_a_responses_stream_that_breaks_off(tk, api, provider, plain):
    provider.token_delay_ms = 2
    with tk.user("ada"):
        stream = tk.wrap_client(plain).responses.create(model=MODEL, input="Nile", stream=True)
    for event in stream:
        if event.type == "response.output_text.delta":
            break
    stream.close()
    event = only_event(tk, api)
    assert event["estimated"] is True
    assert event["usage"]["output_tokens"] >= 1


def test_a_block_reaches_the_caller_and_nothing_is_sent(tk, api, provider, plain):
    api.limit = 0
    before = len(provider.calls)
    with pytest.raises(BlockedError) as caught:
        tk.wrap(plain.chat.completions.create)(model=MODEL, messages=ASK, tollkeeper_user="ada")
    assert caught.value.upgrade_url == caught.value.checkout_url == f"{api.url}/upgrade"
    assert caught.value.resets_at.tzinfo is not None
    assert caught.value.usage.daily_percent == 100
    assert len(provider.calls) == before
    assert tk.flush(5)
    assert api.events == []


def test_a_call_of_nobody_is_an_error_and_other_functions_too(tk, api, plain):
    with pytest.raises(TollkeeperError, match="whose call"):
        tk.wrap_client(plain).chat.completions.create(model=MODEL, messages=ASK)
    with pytest.raises(TypeError):
        tk.wrap(len)
    with pytest.raises(TypeError):
        tk.wrap_client(object())
