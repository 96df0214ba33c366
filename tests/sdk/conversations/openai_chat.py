"""OpenAI's chat completions, and its older completions, by OpenAI and by others."""

import json
from typing import Any

from tests.sdk.conversations.conversation import (
    AT_ONCE,
    Conversation,
    Events,
    Json,
    event,
)

MODEL = "gpt-4o-mini"
ASK = [{"role": "user", "content": "Tell me about the Nile"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
HEAD = {"id": "chatcmpl-1", "created": 1_764_000_000, "system_fingerprint": "fp_1"}
TEXT = ["The ", "Nile ", "is ", "6,650 km ", "long."]
SCRIPTS = ["Нил — ", "ナイル川", "🏞️👩‍👩‍👧", " e\u0301 ", "\u2028 \x85", "النيل", "data: [DONE]"]


def usage(prompt: int, completion: int, **details: Json) -> Json:
    total = prompt + completion
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    return {**counts, **details}


PLAIN = usage(14, 9)
CACHED = usage(2_311, 402, prompt_tokens_details={"cached_tokens": 2_048, "audio_tokens": 0})
REASONED = usage(77, 1_203, completion_tokens_details={
    "reasoning_tokens": 1_088, "audio_tokens": 0, "accepted_prediction_tokens": 0,
    "rejected_prediction_tokens": 0,
})  # fmt: skip
PREDICTED = usage(1_500, 330, completion_tokens_details={
    "reasoning_tokens": 0, "accepted_prediction_tokens": 220, "rejected_prediction_tokens": 41,
})  # fmt: skip
LONG = usage(300_123, 4_001, prompt_tokens_details={"cached_tokens": 280_064})
TOOL_CALLS = [
    {"id": f"call_{n}", "type": "function", "function": {"name": "weather", "arguments": a}}
    for n, a in enumerate(['{"city":"Cairo"}', '{"city":"Москва"}'])
]


def whole(
    used: Json, *, model: str = MODEL, n: int = 1, finish: str = "stop", **message: Any
) -> Json:
    said = {"role": "assistant", "content": "".join(TEXT), "refusal": None, **message}
    choices = [
        {"index": i, "message": said, "logprobs": None, "finish_reason": finish} for i in range(n)
    ]
    return {**HEAD, "object": "chat.completion", "model": model, "choices": choices, "usage": used}


def chunk(delta: Json, *, index: int = 0, finish: str | None = None, model: str = MODEL) -> Json:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {**HEAD, "object": "chat.completion.chunk", "model": model, "choices": [choice]}


def spoken(
    pieces: list[str], *, n: int = 1, finish: str = "stop", model: str = MODEL
) -> list[Json]:
    said = [
        [chunk({"role": "assistant", "content": ""}, index=i, model=model) for i in range(n)],
        *([chunk({"content": p}, index=i, model=model) for i in range(n)] for p in pieces),
        [chunk({}, index=i, finish=finish, model=model) for i in range(n)],
    ]
    return [one for several in said for one in several]


def streamed(chunks: list[Json], used: Json, *, done: bool = True) -> Events:
    """As OpenAI does: the usage only where it was asked for, and then null in all other chunks."""

    def events(request: Json) -> list[bytes]:
        asked = (request.get("stream_options") or {}).get("include_usage")
        nothing = {"usage": None} if asked else {}
        sent = [event({**one, **nothing}) for one in chunks]
        if asked:
            sent.append(event({**chunks[0], "choices": [], "usage": used}))
        return [*sent, event("[DONE]")] if done else sent

    return events


def told(chunks: list[Json], used: Json, *, noise: bytes = b"") -> Events:
    """As others do: the usage in the last chunk with a choice, asked for or not."""
    *most, last = chunks
    sent = [*(event(one) for one in most), event({**last, "usage": used}), event("[DONE]")]
    return lambda _request: [part for one in sent for part in (noise, one) if part]


def chat(name: str, used: Json, answer: Json | Events, **request: Any) -> Conversation:
    asked: Json = {"model": MODEL, "messages": ASK, **request}
    if callable(answer):
        asked["stream"] = True
    return Conversation(name, "chat.completions.create", asked, used, "chat", answer)


def split_over_lines(chunks: list[Json], used: Json) -> Events:
    """JSON over several `data:` lines, with ids, pings and another event between."""

    def events(request: Json) -> list[bytes]:
        asked = (request.get("stream_options") or {}).get("include_usage")
        end = [{**chunks[0], "choices": [], "usage": used}] if asked else []
        sent = [event(json.dumps(one, indent=1, ensure_ascii=False)) for one in [*chunks, *end]]
        return [b": ping\n\n", *(b"id: 7\nretry: 10\n" + one for one in sent), event("[DONE]")]

    return events


_TOOLS = [
    chunk({"role": "assistant", "content": None, "tool_calls": [{"index": 0, **TOOL_CALLS[0]}]}),
    *(
        chunk({"tool_calls": [{"index": 1, "function": {"arguments": part}}]})
        for part in ('{"ci', 'ty":"Мо', 'сква"}')
    ),
    chunk({}, finish="tool_calls"),
]
_PLAIN_STREAM = chat("chat streamed", PLAIN, streamed(spoken(TEXT), PLAIN))
_UNICODE = chat("chat streamed in many scripts", PLAIN, streamed(spoken(SCRIPTS), PLAIN))
_PLAIN = chat("chat", PLAIN, whole(PLAIN))

OPENAI_CHAT = (
    _PLAIN,
    _PLAIN.named("compressed", compressed=True),
    _PLAIN.named("byte by byte", cut=1),
    chat("chat, cached prompt", CACHED, whole(CACHED)),
    chat("chat, reasoning", REASONED, whole(REASONED, model="o3-mini"), model="o3-mini"),
    chat("chat, predicted output", PREDICTED, whole(PREDICTED)),
    chat("chat, long context", LONG, whole(LONG, model="gpt-5.4"), model="gpt-5.4"),
    chat("chat, tools", PLAIN, whole(PLAIN, content=None, tool_calls=TOOL_CALLS), tools=[TOOL]),
    chat("chat, three choices", usage(14, 27), whole(usage(14, 27), n=3), n=3),
    chat("chat in many scripts", PLAIN, whole(PLAIN, content="".join(SCRIPTS))),
    chat("chat, refused", PLAIN, whole(PLAIN, content=None, refusal="I cannot.")),
    chat("chat, stopped at its maximum", PLAIN, whole(PLAIN, finish="length"), max_tokens=9),
    chat("chat, filtered", usage(14, 0), whole(usage(14, 0), finish="content_filter", content="")),
    chat("chat, a dated model", PLAIN, whole(PLAIN, model="gpt-4o-2024-08-06"), model="gpt-4o"),
    _PLAIN_STREAM,
    _PLAIN_STREAM.named("at once", cut=AT_ONCE),
    _PLAIN_STREAM.named("byte by byte", cut=1),
    _PLAIN_STREAM.named("seven bytes a piece", cut=7),
    _PLAIN_STREAM.named("with CR LF", newline=b"\r\n", cut=5),
    _PLAIN_STREAM.named("with CR", newline=b"\r", cut=1),
    _PLAIN_STREAM.named("compressed", compressed=True, cut=11),
    _UNICODE,
    _UNICODE.named("byte by byte", cut=1),
    chat("chat streamed, usage asked for", PLAIN, streamed(spoken(TEXT), PLAIN),
         stream_options={"include_usage": True}),
    chat("chat streamed, usage declined", PLAIN, streamed(spoken(TEXT), PLAIN),
         stream_options={"include_usage": False, "include_obfuscation": False}),
    chat("chat streamed, cached prompt", CACHED, streamed(spoken(TEXT), CACHED)),
    chat("chat streamed, reasoning", REASONED, streamed(spoken(TEXT, model="o3-mini"), REASONED),
         model="o3-mini"),
    chat("chat streamed, tools", PLAIN, streamed(_TOOLS, PLAIN), tools=[TOOL]),
    chat("chat streamed, three choices", usage(14, 27), streamed(spoken(TEXT, n=3), usage(14, 27)),
         n=3),
    chat("chat streamed, stopped at its maximum", PLAIN,
         streamed(spoken(TEXT[:2], finish="length"), PLAIN), max_completion_tokens=2),
    chat("chat streamed, no end mark", PLAIN, streamed(spoken(TEXT), PLAIN, done=False)),
    chat("chat streamed, lines split and pings", PLAIN, split_over_lines(spoken(SCRIPTS), PLAIN)),
)  # fmt: skip


def _by(conversation: Conversation, provider: str, url: str, model: str) -> Conversation:
    request = {**conversation.request, "model": model}
    suffix = f"by {provider}"
    flavor = "default" if provider == "groq" else "chat"
    return conversation.named(
        suffix, provider=provider, base_url=url, request=request, flavor=flavor
    )


_FILTERED = [{**HEAD, "object": "", "model": "", "choices": [], "prompt_filter_results": []}]
_CACHE_HITS = usage(900, 12, prompt_tokens_details={"cached_tokens": 832})
_HITS = {**_CACHE_HITS, "prompt_cache_hit_tokens": 832, "prompt_cache_miss_tokens": 68}

OTHERS_CHAT = (
    _by(chat("chat streamed", PLAIN, streamed(_FILTERED + spoken(TEXT), PLAIN)),
        "azure", "https://one.openai.azure.com/openai/v1", MODEL),
    _by(chat("chat streamed", PLAIN, told(spoken(TEXT, model="llama-3.3-70b-versatile"), PLAIN)),
        "groq", "https://api.groq.com/openai/v1", "llama-3.3-70b-versatile"),
    _by(chat("chat streamed", _HITS, told(spoken(TEXT, model="deepseek-chat"), _HITS)),
        "deepseek", "https://api.deepseek.com", "deepseek-chat"),
    _by(chat("chat streamed", PLAIN,
             told(spoken(TEXT, model="openai/gpt-4o-mini"), PLAIN, noise=b": PROCESSING\n\n")),
        "openrouter", "https://openrouter.ai/api/v1", "openai/gpt-4o-mini"),
)  # fmt: skip


def _completion(pieces: list[str]) -> list[Json]:
    head = {**HEAD, "object": "text_completion", "model": "gpt-3.5-turbo-instruct"}
    empty = {"index": 0, "logprobs": None}
    said = [{**head, "choices": [{**empty, "text": p, "finish_reason": None}]} for p in pieces]
    return [*said, {**head, "choices": [{**empty, "text": "", "finish_reason": "stop"}]}]


def _complete(name: str, answer: Json | Events, **request: Any) -> Conversation:
    asked = {"model": "gpt-3.5-turbo-instruct", "prompt": "The Nile", **request}
    return Conversation(name, "completions.create", asked, PLAIN, "chat", answer)


COMPLETIONS = (
    _complete("completion", {**_completion(["".join(TEXT)])[0], "usage": PLAIN}),
    _complete("completion streamed", streamed(_completion(TEXT), PLAIN), stream=True),
)
