"""`POST /v1/chat/completions`."""

import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.local.provider.body import Body
from infra.local.provider.desk import Caller, Desk, EventStream, sse, until_answered
from infra.local.provider.errors import ApiError, invalid, wanted_failure
from infra.local.provider.generation import Generation, generate
from infra.local.provider.ledger import Call
from infra.local.provider.models import MID_STREAM_ERROR
from infra.local.provider.openai_shared import (
    add_openai_content,
    add_openai_tools,
    cache_use,
    force_tool,
    wanted_schema,
)
from infra.local.provider.prompt import Json, Prompt, compact

_CHOICES_MAX = 128
_FINISH = {
    "stop": "stop",
    "stop_sequence": "stop",
    "refusal": "stop",
    "length": "length",
    "tool_call": "tool_calls",
}


async def create(desk: Desk, request: Request, caller: Caller, body: Body) -> Response:
    """Answer a chat completion, streamed or whole."""
    prompt = read_prompt(body)
    choices = body.count("n") or 1
    if choices > _CHOICES_MAX:
        raise invalid("openai", "n", f"expected an integer of at most {_CHOICES_MAX}")
    limit = _limit(body, caller)
    effort = body.values.get("reasoning_effort") or "medium"
    stop = body.values.get("stop") or []
    generations = [
        generate(
            prompt,
            choice=index,
            limit=limit,
            effort=effort if caller.model.reasons else "none",
            stop=[stop] if isinstance(stop, str) else stop,
        )
        for index in range(choices)
    ]
    use = cache_use(desk.cache, caller, prompt)
    call = desk.open_call("openai", "chat.completions", caller, prompt, use)
    head: Json = {
        "id": f"chatcmpl-{call.id}",
        "created": int(time.time()),
        "model": caller.model.name,
        "service_tier": "default",
        "system_fingerprint": "fp_local",
    }
    if body.flag("stream"):
        with_usage = body.object("stream_options").get("include_usage") is True
        events = _stream(desk, call, head, generations, with_usage)
        return EventStream(events, request.state.headers)
    with until_answered(call):
        for generation in generations:
            await desk.produce_all(call, generation.reasoning, reasoning=True)
            await desk.produce_all(call, generation.text, reasoning=False)
    answer = {
        **head,
        "object": "chat.completion",
        "choices": [_choice(call, i, generation) for i, generation in enumerate(generations)],
        "usage": usage(call),
    }
    return JSONResponse(answer, headers=request.state.headers)


def read_prompt(body: Body) -> Prompt:
    """The prompt of a request, tools first, as the vendor renders it."""
    prompt = Prompt()
    add_openai_tools(prompt, [tool.get("function", {}) for tool in body.objects("tools")])
    force_tool(prompt, body.values.get("tool_choice"))
    prompt.answer_schema = wanted_schema(body.object("response_format"))
    for i, message in enumerate(body.objects("messages", required=True)):
        role = message.get("role")
        if role not in ("system", "developer", "user", "assistant", "tool"):
            raise invalid("openai", f"messages[{i}].role", "no such role")
        extra = [
            compact(made.get("function", {}))
            for made in message.get("tool_calls") or []
            if isinstance(made, dict)
        ]
        add_openai_content(prompt, role, message.get("content"), extra)
    return prompt


def usage(call: Call) -> Json:
    """What was counted so far, as the vendor bills it."""
    return {
        "prompt_tokens": call.input_tokens,
        "completion_tokens": call.output_tokens,
        "total_tokens": call.input_tokens + call.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": call.cache.read,
            "cache_write_tokens": call.cache.written,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": call.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _limit(body: Body, caller: Caller) -> int | None:
    old = body.count("max_tokens")
    if old is not None and caller.model.reasons:
        raise ApiError(
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            "unsupported_parameter",
            "max_tokens",
        )
    return body.count("max_completion_tokens") or old


def _choice(call: Call, index: int, generation: Generation) -> Json:
    text = "".join(generation.text)
    refused = generation.finish == "refusal"
    message: Json = {
        "role": "assistant",
        "content": None if generation.tool or refused else text,
        "refusal": text if refused else None,
        "annotations": [],
    }
    if generation.tool:
        message["tool_calls"] = [_tool_call(call, index, generation.tool, text)]
    return {
        "index": index,
        "message": message,
        "logprobs": None,
        "finish_reason": _FINISH[generation.finish],
    }


def _tool_call(call: Call, index: int, name: str, arguments: str) -> Json:
    return {
        "id": f"call_{index}{call.id[:23]}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


async def _stream(
    desk: Desk, call: Call, head: Json, generations: list[Generation], with_usage: bool
) -> AsyncIterator[bytes]:
    head = {**head, "object": "chat.completion.chunk"}

    def chunk(index: int, delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse({**head, "choices": [choice], **({"usage": None} if with_usage else {})})

    try:
        with until_answered(call):
            for index, generation in enumerate(generations):
                async for delta in _deltas(desk, call, index, generation):
                    yield chunk(index, delta)
                yield chunk(index, {}, _FINISH[generation.finish])
    except ApiError as error:
        yield sse(error.body("openai", call.id))
        return
    if with_usage:
        yield sse({**head, "choices": [], "usage": usage(call)})
    yield sse("[DONE]")


async def _deltas(
    desk: Desk, call: Call, index: int, generation: Generation
) -> AsyncIterator[dict[str, Any]]:
    await desk.produce_all(call, generation.reasoning, reasoning=True)
    breaks_at = len(generation.text) // 2 if call.model == MID_STREAM_ERROR else -1
    kind = "refusal" if generation.finish == "refusal" else "content"
    if generation.tool:
        opening = {"index": 0, **_tool_call(call, index, generation.tool, "")}
        yield {"role": "assistant", "content": None, "tool_calls": [opening]}
    else:
        yield {"role": "assistant", "content": "", "refusal": None}
    sent = 0
    async for token in desk.produce(call, generation.text):
        if generation.tool:
            yield {"tool_calls": [{"index": 0, "function": {"arguments": token}}]}
        else:
            yield {kind: token}
        sent += 1
        if sent == breaks_at and (failure := wanted_failure("openai", "500")):
            raise failure
