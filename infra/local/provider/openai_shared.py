"""What OpenAI's two text APIs have in common."""

from collections.abc import Sequence
from typing import Any

from infra.local.provider.cache import CacheUse, PromptCache
from infra.local.provider.desk import Caller
from infra.local.provider.errors import invalid
from infra.local.provider.prompt import Json, Prompt, Tool, compact

_TEXT_PARTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_ANY_OBJECT: Json = {"type": "object", "properties": {"answer": {"type": "string"}}}


def add_openai_content(prompt: Prompt, role: str, content: Any, extra: Sequence[str] = ()) -> None:
    """Append a message whose content is a string or a list of parts.

    `extra` is what else counts in it: the tool calls of an assistant's message.
    """
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    if not isinstance(parts, list):
        raise invalid("openai", "messages", "content is neither a string nor an array of parts")
    texts: list[str] = []
    images: list[Any] = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in _TEXT_PARTS:
            texts.append(str(part.get(_TEXT_PARTS[kind], "")))
        elif kind in ("image_url", "input_image"):
            images.append(part.get("image_url"))
        else:
            raise invalid("openai", "messages", f"no such content part: {kind!r}")
    for image in images:
        prompt.add_image(image)
    prompt.add_message(role, [(text, None) for text in (*texts, *extra)])
    said = " ".join(texts)
    if role == "user":
        prompt.asked, prompt.tool_result = said, None
        prompt.turns += 1
    elif role == "tool":
        prompt.tool_result = said


def add_openai_tools(prompt: Prompt, functions: Sequence[Json]) -> None:
    """Append the offered functions; they count as their JSON."""
    named = [function for function in functions if function.get("name")]
    if named:
        prompt.add_message("tools", [(compact(function), None) for function in named])
    prompt.tools += [
        Tool(function["name"], function.get("parameters") or {"type": "object"})
        for function in named
    ]


def force_tool(prompt: Prompt, choice: Any) -> None:
    """Take over `tool_choice`, in the shape of either API."""
    if choice == "none":
        prompt.tools_allowed = False
    elif choice == "required":
        prompt.forced_tool = "*"
    elif isinstance(choice, dict):
        prompt.forced_tool = choice.get("name") or choice.get("function", {}).get("name")


def wanted_schema(response_format: Json) -> Json | None:
    """The JSON schema that the answer must have; None for prose."""
    kind = response_format.get("type")
    if kind == "json_object":
        return _ANY_OBJECT
    if kind == "json_schema":
        named: Json = response_format.get("json_schema", response_format)
        schema: Json = named.get("schema", _ANY_OBJECT)
        return schema
    return None


def cache_use(cache: PromptCache, caller: Caller, prompt: Prompt) -> CacheUse:
    """Read and fill the prompt cache as the model's family does."""
    scope = f"openai {caller.key} {caller.model.name}"
    if not caller.model.bills_cache_writes:
        return cache.use_steps(scope, prompt)
    marked = [*prompt.blocks]
    if marked:
        marked[-1] = type(marked[-1])(marked[-1].tokens, "30m")
    minimum = caller.model.cache_minimum_tokens
    return cache.use_breakpoints(scope, marked, minimum_tokens=minimum, lookback_blocks=len(marked))
