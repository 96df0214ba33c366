"""OpenAI's responses and embeddings."""

from typing import Any

from tests.sdk.conversations.conversation import Conversation, Events, Json, event
from tests.sdk.conversations.openai_chat import MODEL, SCRIPTS, TEXT

RESPONSES, EMBEDDINGS = "responses.create", "embeddings.create"


def usage(given: int, out: int, *, cached: int = 0, reasoned: int = 0) -> Json:
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": out,
        "output_tokens_details": {"reasoning_tokens": reasoned},
        "total_tokens": given + out,
    }


PLAIN = usage(21, 9)


def message(text: str) -> Json:
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    said = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant"}
    return {**said, "content": content}


def response(used: Json | None, *output: Json, model: str = MODEL, **fields: Any) -> Json:
    head = {"id": "resp_1", "object": "response", "created_at": 1_764_000_000, "model": model}
    settings = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None}
    said = {"status": "completed", "output": list(output), "incomplete_details": None, **fields}
    return {**head, **settings, "usage": used, **said}


def streamed(pieces: list[str], end: Json, kind: str = "response.completed") -> Events:
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    begun = {**end, "status": "in_progress", "usage": None, "output": []}
    data: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        *(
            {"type": "response.output_text.delta", **where, "delta": p, "logprobs": []}
            for p in pieces
        ),
        {"type": kind, "response": end},
    ]
    sent = [event({**one, "sequence_number": n}, one["type"]) for n, one in enumerate(data)]
    return lambda _request: sent


def respond(name: str, used: Json | None, answer: Json | Events, **request: Any) -> Conversation:
    asked: Json = {"model": MODEL, "input": "Tell me about the Nile", **request}
    if callable(answer):
        asked["stream"] = True
    return Conversation(name, RESPONSES, asked, used, "responses", answer)


_TEXT = message("".join(TEXT))
_CACHED, _REASONED = usage(2_311, 402, cached=2_048), usage(77, 1_203, reasoned=1_088)
_CALL = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1",
         "name": "weather", "arguments": '{"city":"Cairo"}'}  # fmt: skip
_FAILED = {"status": "failed", "error": {"code": "server_error", "message": "Sorry."}}
_SHORT: Json = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
_STREAM = respond("responses streamed", PLAIN, streamed(TEXT, response(PLAIN, _TEXT)))
_UNICODE = respond("responses streamed in many scripts", PLAIN,
                   streamed(SCRIPTS, response(PLAIN, message("".join(SCRIPTS)))))  # fmt: skip

OPENAI_RESPONSES = (
    respond("responses", PLAIN, response(PLAIN, _TEXT)),
    respond("responses, cached prompt", _CACHED, response(_CACHED, _TEXT)),
    respond("responses, reasoning", _REASONED, response(_REASONED, _TEXT, model="gpt-5"),
            model="gpt-5", reasoning={"effort": "low"}),
    respond("responses, a tool", PLAIN, response(PLAIN, _CALL)),
    respond("responses, cut short", PLAIN, response(PLAIN, _TEXT, **_SHORT), max_output_tokens=16),
    respond("responses, failed before anything came", None, response(None, **_FAILED)),
    _STREAM,
    _STREAM.named("three bytes a piece", cut=3),
    _STREAM.named("with CR LF", newline=b"\r\n", cut=1),
    _UNICODE.named("byte by byte", cut=1),
    respond("responses streamed, cached prompt", _CACHED, streamed(TEXT, response(_CACHED, _TEXT))),
    respond("responses streamed, reasoning", _REASONED,
            streamed(TEXT, response(_REASONED, _TEXT, model="gpt-5")), model="gpt-5"),
    respond("responses streamed, cut short", PLAIN,
            streamed(TEXT[:1], response(PLAIN, _TEXT, **_SHORT), "response.incomplete"),
            max_output_tokens=16),
    respond("responses streamed, failed before anything came", None,
            streamed([], response(None, **_FAILED), "response.failed")),
    respond("responses streamed, failed with a usage", PLAIN,
            streamed(TEXT, response(PLAIN, _TEXT, **_FAILED), "response.failed")),
)  # fmt: skip


def embed(name: str, tokens: int, vectors: int, **request: Any) -> Conversation:
    model = "text-embedding-3-small"
    used = {"prompt_tokens": tokens, "total_tokens": tokens}
    data = [
        {"object": "embedding", "index": n, "embedding": [0.25, -0.5, 1.0]} for n in range(vectors)
    ]
    answer = {"object": "list", "model": model, "data": data, "usage": used}
    asked = {"model": model, "encoding_format": "float", **request}
    return Conversation(name, EMBEDDINGS, asked, used, "embeddings", answer)


OPENAI_EMBEDDINGS = (
    embed("embedding", 6, 1, input="The Nile is long."),
    embed("embeddings, a batch", 8_191, 64, input=["Нил"] * 64),
    embed("embeddings of tokens", 5, 1, input=[1, 2, 3, 4, 5]),
)
