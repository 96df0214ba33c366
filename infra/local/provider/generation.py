"""One choice of an answer, token by token, cut where the request says so."""

from dataclasses import dataclass
from typing import Literal

from infra.local.provider import assistant
from infra.local.provider.prompt import Prompt, Tool
from infra.local.provider.tokens import tokenize

REFUSE = "[refuse]"
_REASONING_SENTENCES = {"none": 0, "minimal": 0, "low": 3, "medium": 8, "high": 20, "xhigh": 40}

Finish = Literal["stop", "length", "tool_call", "stop_sequence", "refusal"]


@dataclass(frozen=True)
class Generation:
    """What the model produced; every token in it is billed as output."""

    reasoning: tuple[str, ...]
    text: tuple[str, ...]
    tool: str | None
    finish: Finish
    stop_sequence: str | None = None

    @property
    def output_tokens(self) -> int:
        """Reasoning, and the text or the tool call's arguments."""
        return len(self.reasoning) + len(self.text)


def generate(
    prompt: Prompt,
    *,
    choice: int = 0,
    limit: int | None = None,
    effort: str = "none",
    stop: list[str] | None = None,
) -> Generation:
    """Answer the prompt in at most `limit` output tokens, reasoning included.

    `effort` is how much is thought beforehand, from `none` to `xhigh`. For a tool call `text` is
    the JSON of the arguments.
    """
    thought = assistant.musing(
        prompt.asked,
        turns=prompt.turns,
        choice=choice,
        sentences=_REASONING_SENTENCES.get(effort, _REASONING_SENTENCES["medium"]),
    )
    tool = _wanted_tool(prompt)
    text, finish = _say(prompt, tool, choice)
    text, stop_sequence = _stopped(text, stop or [])
    if stop_sequence is not None:
        finish = "stop_sequence"

    reasoning, tokens = tokenize(thought), tokenize(text)
    if limit is not None and len(reasoning) + len(tokens) > limit:
        reasoning = reasoning[:limit]
        tokens = tokens[: limit - len(reasoning)]
        finish, stop_sequence = "length", None
    return Generation(
        tuple(reasoning), tuple(tokens), tool.name if tool else None, finish, stop_sequence
    )


def _say(prompt: Prompt, tool: Tool | None, choice: int) -> tuple[str, Finish]:
    if REFUSE in prompt.asked:
        return assistant.refusal(), "refusal"
    if tool:
        return assistant.example_text(tool.schema, prompt.asked), "tool_call"
    if prompt.answer_schema is not None:
        return assistant.example_text(prompt.answer_schema, prompt.asked), "stop"
    if prompt.tool_result is not None:
        return assistant.answer_from_tool(prompt.asked, prompt.tool_result), "stop"
    return assistant.answer(prompt.asked, turns=prompt.turns, choice=choice), "stop"


def _wanted_tool(prompt: Prompt) -> Tool | None:
    """The tool that the request forces, or that the message names; none right after a result."""
    if not prompt.tools_allowed or REFUSE in prompt.asked:
        return None
    if prompt.forced_tool is not None:
        named = (tool for tool in prompt.tools if prompt.forced_tool in ("*", tool.name))
        return next(named, None)
    if prompt.tool_result is not None:
        return None
    asked = prompt.asked.lower()
    return next((tool for tool in prompt.tools if tool.name.lower() in asked), None)


def _stopped(text: str, stop: list[str]) -> tuple[str, str | None]:
    """The text up to the first stop sequence in it, and which one that was."""
    found = [(at, sequence) for sequence in stop if sequence and (at := text.find(sequence)) >= 0]
    if not found:
        return text, None
    at, sequence = min(found)
    return text[:at], sequence
