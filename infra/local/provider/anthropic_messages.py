"""`POST /v1/messages` and `POST /v1/messages/count_tokens`."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.local.provider.body import Body
from infra.local.provider.desk import Caller, Desk, EventStream, sse, until_answered
from infra.local.provider.errors import ApiError, invalid, wanted_failure
from infra.local.provider.generation import Generation, generate
from infra.local.provider.ledger import Call
from infra.local.provider.models import MID_STREAM_ERROR
from infra.local.provider.prompt import Block, Json, Lifetime, Prompt, Tool, compact

_BREAKPOINTS_MAX = 4
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_call": "tool_use",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
}


async def create(desk: Desk, request: Request, caller: Caller, body: Body) -> Response:
    """Answer a message, streamed or whole."""
    limit = body.count("max_tokens", required=True)
    prompt = read_prompt(body)
    generation = generate(
        prompt, limit=limit, effort=_effort(body), stop=body.values.get("stop_sequences") or []
    )
    use = desk.cache.use_breakpoints(
        f"anthropic {caller.key} {caller.model.name}",
        prompt.blocks,
        minimum_tokens=caller.model.cache_minimum_tokens,
    )
    call = desk.open_call("anthropic", "messages", caller, prompt, use)
    if body.flag("stream"):
        return EventStream(_stream(desk, call, generation), request.state.headers)
    with until_answered(call):
        await desk.produce_all(call, generation.reasoning, reasoning=True)
        await desk.produce_all(call, generation.text, reasoning=False)
    answer = {
        **_message(call),
        "content": _content(call, generation),
        **_ending(generation),
        "usage": usage(call),
    }
    return JSONResponse(answer, headers=request.state.headers)


async def count(_desk: Desk, request: Request, _caller: Caller, body: Body) -> Response:
    """Count a prompt's tokens without answering it."""
    counted = {"input_tokens": read_prompt(body).input_tokens}
    return JSONResponse(counted, headers=request.state.headers)


def usage(call: Call) -> Json:
    """What was counted so far: input apart from cache reads and writes, as the vendor bills it."""
    cache = call.cache
    written = cache.written + cache.written_1h
    details = {"thinking_tokens": call.reasoning_tokens}
    return {
        "input_tokens": call.input_tokens - cache.read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cache.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": cache.written,
            "ephemeral_1h_input_tokens": cache.written_1h,
        },
        "output_tokens": call.output_tokens,
        "service_tier": "standard",
        **({"output_tokens_details": details} if call.reasoning_tokens else {}),
    }


def read_prompt(body: Body) -> Prompt:
    """The prompt of a request: tools, then system, then messages, as the caches see it."""
    prompt = Prompt()
    _add_tools(prompt, body)
    if system := _blocks(body.values.get("system"), "system"):
        prompt.add_message("system", [(str(b.get("text", "")), _lifetime(b)) for b in system])
    for i, message in enumerate(body.objects("messages", required=True)):
        role = message.get("role")
        if role not in ("user", "assistant"):
            raise invalid("anthropic", f"messages.{i}.role", "must be user or assistant")
        _add_message(prompt, role, _blocks(message.get("content"), f"messages.{i}.content"))
    if (automatic := _lifetime(body.values)) and prompt.blocks:
        prompt.blocks[-1] = Block(prompt.blocks[-1].tokens, automatic)
    _check_breakpoints(prompt)
    return prompt


def _add_tools(prompt: Prompt, body: Body) -> None:
    tools = [tool for tool in body.objects("tools") if tool.get("name")]
    if tools:
        plain = [{k: v for k, v in tool.items() if k != "cache_control"} for tool in tools]
        lives = map(_lifetime, tools)
        prompt.add_message("tools", zip(map(compact, plain), lives, strict=True))
    prompt.tools = [Tool(t["name"], t.get("input_schema") or {"type": "object"}) for t in tools]
    choice = body.object("tool_choice")
    prompt.tools_allowed = choice.get("type") != "none"
    prompt.forced_tool = {"any": "*", "tool": choice.get("name")}.get(choice.get("type", ""))


def _add_message(prompt: Prompt, role: str, blocks: list[Json]) -> None:
    texts, results = [], []
    parts: list[tuple[str, Lifetime | None]] = []
    for block in blocks:
        kind = block.get("type")
        if kind == "text":
            texts.append(str(block.get("text", "")))
            parts.append((texts[-1], _lifetime(block)))
        elif kind == "image":
            prompt.add_image(block.get("source"))
        elif kind == "tool_result":
            inner = _blocks(block.get("content"), "tool_result.content")
            results.append(" ".join(str(part.get("text", "")) for part in inner))
            parts.append((results[-1], _lifetime(block)))
        elif kind == "tool_use":
            made = {"name": block.get("name"), "input": block.get("input")}
            parts.append((compact(made), _lifetime(block)))
        elif kind == "thinking":
            parts.append((str(block.get("thinking", "")), None))
        else:
            raise invalid("anthropic", "messages", f"no such content block: {kind!r}")
    prompt.add_message(role, parts)
    if role != "user":
        return
    prompt.tool_result = "\n".join(results) if results else None
    if texts:
        prompt.asked = " ".join(texts)
        prompt.turns += 1


def _blocks(content: Any, param: str) -> list[Json]:
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise invalid("anthropic", param, "expected a string or an array of content blocks")
    return content


def _lifetime(block: Json) -> Lifetime | None:
    control = block.get("cache_control")
    if not isinstance(control, dict) or control.get("type") != "ephemeral":
        return None
    return "1h" if control.get("ttl") == "1h" else "5m"


def _check_breakpoints(prompt: Prompt) -> None:
    lives = [block.cached_for for block in prompt.blocks if block.cached_for]
    if len(lives) > _BREAKPOINTS_MAX:
        found = f"A maximum of {_BREAKPOINTS_MAX} blocks with cache_control may be provided."
        raise ApiError(400, f"{found} Found {len(lives)}.")
    if lives != sorted(lives):
        message = "a ttl='1h' cache_control block must not come after a ttl='5m' one"
        raise ApiError(400, f"cache_control: {message}.")


def _effort(body: Body) -> str:
    kind = body.object("thinking").get("type")
    return {"enabled": "high", "adaptive": "medium"}.get(str(kind), "none")


def _message(call: Call) -> Json:
    return {
        "id": f"msg_{call.id}",
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _ending(generation: Generation) -> Json:
    details = {"type": "refusal", "category": None, "explanation": None}
    return {
        "stop_reason": _STOP_REASONS[generation.finish],
        "stop_sequence": generation.stop_sequence,
        **({"stop_details": details} if generation.finish == "refusal" else {}),
    }


def _signature(thinking: str) -> str:
    return hashlib.sha256(thinking.encode()).hexdigest()


def _content(call: Call, generation: Generation) -> list[Json]:
    text = "".join(generation.text)
    content: list[Json] = []
    if generation.reasoning:
        thinking = "".join(generation.reasoning)
        content.append(
            {"type": "thinking", "thinking": thinking, "signature": _signature(thinking)}
        )
    if generation.tool:
        content.append({**_tool_use(call, generation.tool), "input": _arguments(text)})
    elif text:
        content.append({"type": "text", "text": text})
    return content


def _tool_use(call: Call, name: str) -> Json:
    return {"type": "tool_use", "id": f"toolu_{call.id[:24]}", "name": name, "input": {}}


def _arguments(text: str) -> Json:
    """The tool's input; what `max_tokens` cut short is no JSON and stays away."""
    try:
        arguments: Json = json.loads(text)
    except ValueError:
        return {}
    return arguments


async def _stream(desk: Desk, call: Call, generation: Generation) -> AsyncIterator[bytes]:
    def event(kind: str, **values: Any) -> bytes:
        return sse({"type": kind, **values}, kind)

    try:
        with until_answered(call):
            yield event("message_start", message={**_message(call), "usage": usage(call)})
            for index, (opening, kind, tokens) in enumerate(_parts(call, generation)):
                yield event("content_block_start", index=index, content_block=opening)
                if index == 0:
                    yield event("ping")
                async for delta in _deltas(desk, call, kind, tokens):
                    yield event("content_block_delta", index=index, delta=delta)
                yield event("content_block_stop", index=index)
    except ApiError as error:
        yield sse(error.body("anthropic", f"req_{call.id}"), "error")
        return
    yield event("message_delta", delta=_ending(generation), usage=usage(call))
    yield event("message_stop")


def _parts(call: Call, generation: Generation) -> Iterator[tuple[Json, str, tuple[str, ...]]]:
    """The content blocks: how each opens, the kind of its deltas, its tokens."""
    if generation.reasoning:
        opening = {"type": "thinking", "thinking": "", "signature": ""}
        yield opening, "thinking_delta", generation.reasoning
    if generation.tool:
        yield _tool_use(call, generation.tool), "input_json_delta", generation.text
    elif generation.text:
        yield {"type": "text", "text": ""}, "text_delta", generation.text


async def _deltas(
    desk: Desk, call: Call, kind: str, tokens: tuple[str, ...]
) -> AsyncIterator[Json]:
    thinking = kind == "thinking_delta"
    field = {"thinking_delta": "thinking", "input_json_delta": "partial_json"}.get(kind, "text")
    breaks_at = len(tokens) // 2 if call.model == MID_STREAM_ERROR else -1
    sent = 0
    async for token in desk.produce(call, tokens, reasoning=thinking):
        yield {"type": kind, field: token}
        sent += 1
        if sent == breaks_at and (failure := wanted_failure("anthropic", "529")):
            raise failure
    if thinking:
        yield {"type": "signature_delta", "signature": _signature("".join(tokens))}
