"""Anthropic's messages."""

from typing import Any

from tests.sdk.conversations.conversation import ANTHROPIC, Conversation, Events, Json, event
from tests.sdk.conversations.openai_chat import ASK, SCRIPTS, TEXT

MODEL = "claude-haiku-4-5"


def usage(given: int, out: int, *, read: int = 0, m5: int = 0, h1: int = 0, **more: Any) -> Json:
    written = {"ephemeral_5m_input_tokens": m5, "ephemeral_1h_input_tokens": h1}
    return {
        "input_tokens": given,
        "cache_creation_input_tokens": m5 + h1,
        "cache_read_input_tokens": read,
        "cache_creation": written,
        "output_tokens": out,
        "service_tier": "standard",
        **more,
    }


PLAIN = usage(13, 9)


def message(used: Json, *content: Json, stop: str = "end_turn", model: str = MODEL) -> Json:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": model}
    return {**head, "content": list(content), "stop_reason": stop, "stop_sequence": None,
            "usage": used}  # fmt: skip


def text(said: str) -> Json:
    return {"type": "text", "text": said}


def streamed(blocks: list[list[Json]], used: Json, *, stop: str = "end_turn", model: str = MODEL,
             final: Json | None = None) -> Events:  # fmt: skip
    """`blocks`: each the block as it starts and its deltas. `final`: the last event's usage."""
    begun: Json = {**message({**used, "output_tokens": 1}, stop=stop, model=model)}
    begun["stop_reason"] = None
    data: list[Json] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for index, (start, *deltas) in enumerate(blocks):
        data.append({"type": "content_block_start", "index": index, "content_block": start})
        data += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
        data.append({"type": "content_block_stop", "index": index})
    end = final if final is not None else {"output_tokens": used["output_tokens"]}
    delta = {"stop_reason": stop, "stop_sequence": None}
    data.append({"type": "message_delta", "delta": delta, "usage": end})
    data.append({"type": "message_stop"})
    sent = [event(one, one["type"]) for one in data]
    return lambda _request: sent


def said(pieces: list[str]) -> list[Json]:
    return [text(""), *({"type": "text_delta", "text": piece} for piece in pieces)]


def ask(name: str, used: Json | None, answer: Json | Events, **request: Any) -> Conversation:
    asked: Json = {"model": MODEL, "messages": ASK, "max_tokens": 4_000, **request}
    if callable(answer):
        asked["stream"] = True
    return Conversation(name, "messages.create", asked, used, "default", answer,
                        provider="anthropic", vendor="anthropic", base_url=ANTHROPIC)  # fmt: skip


_READ = usage(7, 401, read=12_004)
_WRITTEN = usage(7, 401, read=4_000, m5=1_000, h1=2_000)
_LONG = usage(210_007, 3_021, read=5_000)
_SEARCHED = usage(905, 120, server_tool_use={"web_search_requests": 3, "web_fetch_requests": 0})
_TOOL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Каир"}}
_THOUGHT = {"type": "thinking", "thinking": "A river.", "signature": "c2ln"}
_THINKING = {"type": "enabled", "budget_tokens": 1_024}
_TOOL_BLOCK = [
    {**_TOOL, "input": {}},
    *({"type": "input_json_delta", "partial_json": part} for part in ('{"ci', 'ty":"Ка', 'ир"}')),
]
_THOUGHT_BLOCK = [
    {"type": "thinking", "thinking": "", "signature": ""},
    {"type": "thinking_delta", "thinking": "A river."},
    {"type": "signature_delta", "signature": "c2ln"},
]
_ANSWER = text("".join(TEXT))
_STREAM = ask("message streamed", PLAIN, streamed([said(TEXT)], PLAIN))
_UNICODE = ask("message streamed in many scripts", PLAIN, streamed([said(SCRIPTS)], PLAIN))
_ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
_TIERED = "claude-haiku-5-5"

ANTHROPIC_MESSAGES = (
    ask("message", PLAIN, message(PLAIN, _ANSWER)),
    ask("message, cache read", _READ, message(_READ, _ANSWER)),
    ask("message, cache written for both lifetimes", _WRITTEN, message(_WRITTEN, _ANSWER)),
    ask("message, long context", _LONG, message(_LONG, _ANSWER, model=_TIERED), model=_TIERED),
    ask("message, a tool", PLAIN, message(PLAIN, _TOOL, stop="tool_use")),
    ask("message, thinking", _READ, message(_READ, _THOUGHT, _ANSWER), thinking=_THINKING),
    ask("message, searches", _SEARCHED, message(_SEARCHED, _ANSWER)),
    ask("message, stopped at its maximum", PLAIN, message(PLAIN, _ANSWER, stop="max_tokens")),
    ask("message, refused", usage(13, 1), message(usage(13, 1), stop="refusal")),
    _STREAM,
    _STREAM.named("byte by byte", cut=1),
    _STREAM.named("with CR LF", newline=b"\r\n", cut=6),
    _STREAM.named("compressed", compressed=True, cut=9),
    _UNICODE.named("byte by byte", cut=1),
    ask("message streamed, cache read", _READ, streamed([said(TEXT)], _READ)),
    ask("message streamed, cache written for both lifetimes", _WRITTEN,
        streamed([said(TEXT)], _WRITTEN)),
    ask("message streamed, a tool", PLAIN, streamed([_TOOL_BLOCK], PLAIN, stop="tool_use")),
    ask("message streamed, thinking", PLAIN, streamed([_THOUGHT_BLOCK, said(TEXT)], PLAIN),
        thinking=_THINKING),
    ask("message streamed, all counts in the last event", _SEARCHED,
        streamed([said(TEXT)], usage(905, 120), final={
            "input_tokens": 905, "output_tokens": 120, "cache_creation_input_tokens": None,
            "cache_read_input_tokens": 0,
            "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 0}})),
    ask("message streamed, stopped at its maximum", PLAIN,
        streamed([said(TEXT)], PLAIN, stop="max_tokens")),
    ask("message streamed, overloaded before anything came", None,
        lambda _request: [event(_ERROR, "error")]),
)  # fmt: skip
