"""`POST /v1/responses`."""

import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.local.provider.body import Body
from infra.local.provider.desk import Caller, Desk, EventStream, sse, until_answered
from infra.local.provider.errors import ApiError, invalid, missing, wanted_failure
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


async def create(desk: Desk, request: Request, caller: Caller, body: Body) -> Response:
    """Answer a response request, streamed or whole."""
    items = [*_earlier(desk, body), *_input_items(body)]
    prompt = _read_prompt(body, items)
    effort = body.object("reasoning").get("effort") or "medium"
    generation = generate(
        prompt,
        limit=body.count("max_output_tokens"),
        effort=effort if caller.model.reasons else "none",
    )
    use = cache_use(desk.cache, caller, prompt)
    call = desk.open_call("openai", "responses", caller, prompt, use)
    answer = _Answer(body, call, generation)
    if body.values.get("store", True) is not False:
        desk.remember(answer.id, [*items, *answer.output("completed")])
    if body.flag("stream"):
        return EventStream(_stream(desk, answer), request.state.headers)
    with until_answered(call):
        await desk.produce_all(call, generation.reasoning, reasoning=True)
        await desk.produce_all(call, generation.text, reasoning=False)
    return JSONResponse(answer.response(answer.final_status), headers=request.state.headers)


def usage(call: Call) -> Json:
    """What was counted so far, as the vendor bills it."""
    return {
        "input_tokens": call.input_tokens,
        "input_tokens_details": {
            "cached_tokens": call.cache.read,
            "cache_write_tokens": call.cache.written,
        },
        "output_tokens": call.output_tokens,
        "output_tokens_details": {"reasoning_tokens": call.reasoning_tokens},
        "total_tokens": call.input_tokens + call.output_tokens,
    }


def _earlier(desk: Desk, body: Body) -> list[Json]:
    """The items of the conversation that `previous_response_id` continues."""
    previous = body.values.get("previous_response_id")
    if previous is None:
        return []
    items = desk.recall(str(previous))
    if items is None:
        message = f"Previous response with id '{previous}' not found."
        raise ApiError(
            400, message, code="previous_response_not_found", param="previous_response_id"
        )
    return items


def _input_items(body: Body) -> list[Json]:
    given = body.values.get("input")
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if given is None:
        raise missing("openai", "input")
    return body.objects("input", required=True)


def _read_prompt(body: Body, items: list[Json]) -> Prompt:
    prompt = Prompt()
    add_openai_tools(prompt, body.objects("tools"))
    force_tool(prompt, body.values.get("tool_choice"))
    prompt.answer_schema = wanted_schema(body.object("text").get("format") or {})
    if instructions := body.values.get("instructions"):
        add_openai_content(prompt, "developer", instructions)
    for i, item in enumerate(items):
        kind = item.get("type", "message")
        if kind == "message":
            add_openai_content(prompt, str(item.get("role", "user")), item.get("content"))
        elif kind == "function_call":
            made = {"name": item.get("name"), "arguments": item.get("arguments")}
            add_openai_content(prompt, "assistant", compact(made))
        elif kind == "function_call_output":
            add_openai_content(prompt, "tool", item.get("output"))
        elif kind != "reasoning":
            raise invalid("openai", f"input[{i}].type", "no such item")
    return prompt


class _Answer:
    """One response object in its states, and the items it consists of."""

    def __init__(self, body: Body, call: Call, generation: Generation) -> None:
        self.id = f"resp_{call.id}"
        self.call = call
        self.generation = generation
        self.text = "".join(generation.text)
        self._body = body
        self._created_at = int(time.time())

    @property
    def final_status(self) -> str:
        return "incomplete" if self.generation.finish == "length" else "completed"

    def response(self, status: str) -> Json:
        finished = status not in ("queued", "in_progress")
        values = self._body.values
        return {
            "id": self.id,
            "object": "response",
            "created_at": self._created_at,
            "status": status,
            "error": None,
            "incomplete_details": (
                {"reason": "max_output_tokens"} if status == "incomplete" else None
            ),
            "instructions": values.get("instructions"),
            "max_output_tokens": values.get("max_output_tokens"),
            "metadata": values.get("metadata") or {},
            "model": self.call.model,
            "output": self.output(status) if finished else [],
            "parallel_tool_calls": True,
            "previous_response_id": values.get("previous_response_id"),
            "reasoning": values.get("reasoning") or {"effort": None, "summary": None},
            "service_tier": "default",
            "store": values.get("store", True),
            "temperature": values.get("temperature", 1.0),
            "text": values.get("text") or {"format": {"type": "text"}},
            "tool_choice": values.get("tool_choice") or "auto",
            "tools": values.get("tools") or [],
            "top_p": values.get("top_p", 1.0),
            "truncation": "disabled",
            "usage": usage(self.call) if finished else None,
        }

    def output(self, status: str) -> list[Json]:
        reasoning = [self.reasoning()] if self.generation.reasoning else []
        return [*reasoning, self.item(status, self.text)]

    def reasoning(self) -> Json:
        return {"id": f"rs_{self.call.id}", "type": "reasoning", "summary": []}

    def item(self, status: str, text: str) -> Json:
        """The message or the function call, as far as `text` goes."""
        if self.generation.tool:
            return {
                "id": f"fc_{self.call.id}",
                "type": "function_call",
                "call_id": f"call_{self.call.id[:24]}",
                "name": self.generation.tool,
                "arguments": text,
                "status": status,
            }
        return {
            "id": f"msg_{self.call.id}",
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": [] if status == "in_progress" else [self.part(text)],
        }

    def part(self, text: str) -> Json:
        if self.generation.finish == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


async def _stream(desk: Desk, answer: _Answer) -> AsyncIterator[bytes]:
    """The documented sequence of events, numbered from 0."""
    number = 0
    try:
        with until_answered(answer.call):
            async for kind, event in _events(desk, answer):
                yield sse({"type": kind, "sequence_number": number, **event}, kind)
                number += 1
    except ApiError as error:
        failed = {"code": "server_error", "message": error.message, "param": None}
        yield sse({"type": "error", "sequence_number": number, **failed}, "error")
        return
    status = answer.final_status
    final = {"sequence_number": number, "response": answer.response(status)}
    yield sse({"type": f"response.{status}", **final}, f"response.{status}")


async def _events(desk: Desk, answer: _Answer) -> AsyncIterator[tuple[str, Json]]:
    yield "response.created", {"response": answer.response("in_progress")}
    yield "response.in_progress", {"response": answer.response("in_progress")}
    index = 0
    if answer.generation.reasoning:
        thought = {"output_index": index, "item": answer.reasoning()}
        yield "response.output_item.added", thought
        await desk.produce_all(answer.call, answer.generation.reasoning, reasoning=True)
        yield "response.output_item.done", thought
        index += 1
    opened = answer.item("in_progress", "")
    yield "response.output_item.added", {"output_index": index, "item": opened}
    where: Json = {"output_index": index, "item_id": opened["id"]}
    async for event in (
        _arguments(desk, answer, where)
        if answer.generation.tool
        else _text(desk, answer, {**where, "content_index": 0})
    ):
        yield event
    done = answer.item(answer.final_status, answer.text)
    yield "response.output_item.done", {"output_index": index, "item": done}


async def _arguments(desk: Desk, answer: _Answer, where: Json) -> AsyncIterator[tuple[str, Json]]:
    async for token in desk.produce(answer.call, answer.generation.text):
        yield "response.function_call_arguments.delta", {**where, "delta": token}
    finished = {"name": answer.generation.tool, "arguments": answer.text}
    yield "response.function_call_arguments.done", {**where, **finished}


async def _text(desk: Desk, answer: _Answer, where: Json) -> AsyncIterator[tuple[str, Json]]:
    refused = answer.generation.finish == "refusal"
    kind = "response.refusal" if refused else "response.output_text"
    logprobs: dict[str, Any] = {} if refused else {"logprobs": []}
    tokens = answer.generation.text
    breaks_at = len(tokens) // 2 if answer.call.model == MID_STREAM_ERROR else -1
    yield "response.content_part.added", {**where, "part": answer.part("")}
    sent = 0
    async for token in desk.produce(answer.call, tokens):
        yield f"{kind}.delta", {**where, "delta": token, **logprobs}
        sent += 1
        if sent == breaks_at and (failure := wanted_failure("openai", "500")):
            raise failure
    whole = {"refusal": answer.text} if refused else {"text": answer.text, **logprobs}
    yield f"{kind}.done", {**where, **whole}
    yield "response.content_part.done", {**where, "part": answer.part(answer.text)}
