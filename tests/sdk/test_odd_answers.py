"""Answers that a provider seldom gives: what they cost is charged, estimated where nobody says."""

import json
import time

import httpx
import pytest
from anthropic import Anthropic
from openai import APIError, InternalServerError, OpenAI

from tests.support.vendor_http import vendor_http

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "rivers?"}]}
COUNTED = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
COMPLETION = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Nile"}, "finish_reason": "stop"}
    ],
    "usage": COUNTED,
}
CHUNK = {
    "id": "c1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "delta": {"content": "The Nile and the "}, "finish_reason": None}],
}
ERROR = {"error": {"message": "overloaded", "type": "server_error"}}
MESSAGE_START = {
    "type": "message_start",
    "message": {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 1},
    },
}
MESSAGE_DELTA = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn", "stop_sequence": None},
    "usage": {"output_tokens": 7},
}


STREAM = {"content-type": "text/event-stream"}


def sse(*events):
    pieces = (f"data: {json.dumps(event)}\n\n".encode() for event in events)
    return httpx.Response(200, content=pieces, headers=STREAM)


def named_sse(*events):
    """Anthropic's; its package brings an HTTP client of its own."""
    pieces = (f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)
    return vendor_http.Response(200, content=pieces, headers=STREAM)


def whole(body, status=200):
    return httpx.Response(status, json=body)


def broken(kind, after_s=0.0):
    def raises(request):
        time.sleep(after_s)
        raise kind("broken", request=request)

    return raises


@pytest.fixture
def events(tk, api):
    """Delivered, by status."""

    def delivered():
        assert tk.flush(5)
        return api.events

    return delivered


def script(http, *answers):
    """A client of this HTTP package that gets these answers, one a request."""
    left = list(answers)

    def answer(request):
        one = left.pop(0)
        return one(request) if callable(one) else one

    return http.Client(transport=http.MockTransport(answer))


@pytest.fixture
def openai_of(tk):
    made = []

    def of(*answers, retries=0):
        plain = OpenAI(
            base_url="http://p/v1",
            api_key="k",
            max_retries=retries,
            http_client=script(httpx, *answers),
        )
        made.append(plain)
        return tk.wrap_client(plain)

    with tk.user("ada"):
        yield of
    for client in made:
        client.close()


@pytest.fixture
def anthropic_of(tk):
    made = []

    def of(*answers):
        plain = Anthropic(
            base_url="http://p",
            api_key="k",
            max_retries=0,
            http_client=script(vendor_http, *answers),
        )
        made.append(plain)
        return tk.wrap_client(plain)

    with tk.user("ada"):
        yield of
    for client in made:
        client.close()


def test_a_repeated_request_that_was_refused_first_is_charged_once(openai_of, events):
    client = openai_of(whole(ERROR, 500), whole(COMPLETION), retries=1)
    client.chat.completions.create(**CHAT)
    assert [(e["status"], e["usage"]) for e in events()] == [("ok", COUNTED)]


@pytest.mark.parametrize(
    ("first", "estimated"),
    [
        (broken(httpx.ReadTimeout), True),
        (broken(httpx.ConnectTimeout), False),
        (broken(httpx.ConnectError), False),
        (broken(httpx.RemoteProtocolError), False),
        (broken(httpx.RemoteProtocolError, 1.05), True),
    ],
    ids=["read time-out", "connect time-out", "no connection", "closed before", "closed at work"],
)
def test_an_attempt_that_the_provider_may_have_worked_on_is_charged_beside_the_one_that_counts(
    openai_of, events, first, estimated
):
    client = openai_of(first, whole(COMPLETION), retries=1)
    client.chat.completions.create(**CHAT, max_completion_tokens=50)
    told = events()
    assert [e for e in told if not e.get("estimated")] == [told[-1]]
    assert told[-1]["usage"] == COUNTED
    assert len(told) == (2 if estimated else 1)
    if estimated:
        assert told[0]["usage"]["prompt_tokens"] >= 1
        assert "reservation_id" not in told[0]  # that is the other attempt's
        assert told[-1]["reservation_id"]


def test_an_error_before_any_word_is_not_charged(openai_of, events):
    with pytest.raises(APIError):
        list(openai_of(sse(ERROR)).chat.completions.create(**CHAT, stream=True))
    (event,) = events()
    assert (event["status"], event.get("usage")) == ("error", None)


def test_an_error_in_the_middle_is_charged_by_what_came(openai_of, events):
    stream = openai_of(sse(CHUNK, ERROR)).chat.completions.create(**CHAT, stream=True)
    with pytest.raises(APIError):
        list(stream)
    (event,) = events()
    assert event["estimated"] is True
    assert event["usage"]["completion_tokens"] >= 1


def test_usage_that_came_so_far_is_no_less_than_was_seen(openai_of, events):
    """Some providers count as they go; here the caller breaks off, and the count lags."""
    so_far = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
    counting = [{**CHUNK, "usage": so_far} for _ in range(9)]
    stream = openai_of(sse(*counting)).chat.completions.create(**CHAT, stream=True)
    for _ in range(6):
        next(stream)
    stream.close()
    (event,) = events()
    assert event["estimated"] is True
    assert event["usage"]["prompt_tokens"] == 9
    assert event["usage"]["completion_tokens"] > 1
    assert event["usage"]["total_tokens"] == 9 + event["usage"]["completion_tokens"]


def test_an_answer_that_goes_on_in_the_background_is_charged_from_above(openai_of, events):
    queued = {"id": "r1", "object": "response", "status": "queued", "model": "gpt-4o-mini",
              "created_at": 1, "output": [], "parallel_tool_calls": True, "tool_choice": "auto",
              "tools": [], "usage": None}  # fmt: skip
    client = openai_of(whole(queued))
    client.responses.create(
        model="gpt-4o-mini", input="rivers?", background=True, max_output_tokens=300
    )
    (event,) = events()
    assert event["estimated"] is True
    assert event["usage"]["output_tokens"] == 300


def test_an_answer_that_cannot_be_read_is_charged_by_its_size(openai_of, events):
    text = "<html>" + "word " * 400
    answer = httpx.Response(200, content=text, headers={"content-type": "application/json"})
    with pytest.raises(ValueError, match="Expecting value"):
        openai_of(answer).chat.completions.create(**CHAT)
    (event,) = events()
    assert event["estimated"] is True
    assert event["usage"]["completion_tokens"] > 100


def test_a_refused_request_is_released(openai_of, events):
    with pytest.raises(InternalServerError):
        openai_of(whole(ERROR, 500)).chat.completions.create(**CHAT)
    (event,) = events()
    assert (event["status"], event.get("usage"), event["reservation_id"]) == (
        "error",
        None,
        "res_1",
    )


def test_a_message_that_is_cut_off_behind_its_start_is_an_estimate(anthropic_of, events):
    message = {"model": "claude-haiku-4-5", "max_tokens": 60, "messages": CHAT["messages"]}
    list(anthropic_of(named_sse(MESSAGE_START)).messages.create(**message, stream=True))
    (event,) = events()
    assert event["estimated"] is True
    assert event["usage"]["input_tokens"] == 12


def test_a_message_is_whole_once_it_says_why_it_stopped(anthropic_of, events):
    message = {"model": "claude-haiku-4-5", "max_tokens": 60, "messages": CHAT["messages"]}
    answer = named_sse(MESSAGE_START, MESSAGE_DELTA)
    list(anthropic_of(answer).messages.create(**message, stream=True))
    (event,) = events()
    assert "estimated" not in event
    assert event["usage"] == {"input_tokens": 12, "output_tokens": 7}
