"""A request's prompt as the tokens that are counted, whichever API it came by.

As in OpenAI's published rule, a message costs its text, its role and three tokens of framing, and
three tokens open the answer. Anthropic's requests are counted by the same rule. Tools and tool
calls count as their compact JSON, an image as 85 tokens.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from infra.local.provider.tokens import tokenize

Lifetime = Literal["5m", "30m", "1h"]
Json = dict[str, Any]

_IMAGE_TOKENS = 85
_START, _MESSAGE, _END = "<|start|>", "<|message|>", "<|end|>"
_ANSWER = (_START, "assistant", _MESSAGE)


@dataclass(frozen=True)
class Block:
    """A piece of the prompt that a cache may end at: there, if it has a lifetime."""

    tokens: tuple[str, ...]
    cached_for: Lifetime | None = None


@dataclass(frozen=True)
class Tool:
    """A tool that the request offers; `schema` is the JSON schema of its arguments."""

    name: str
    schema: Json


@dataclass
class Prompt:
    """The prompt's blocks in order, and what the stand-in model has to know to answer."""

    blocks: list[Block] = field(default_factory=list)
    tools: list[Tool] = field(default_factory=list)
    asked: str = ""
    turns: int = 0
    tool_result: str | None = None
    forced_tool: str | None = None
    tools_allowed: bool = True
    answer_schema: Json | None = None

    @property
    def tokens(self) -> Iterator[str]:
        """Every token, with the three that open the answer."""
        for block in self.blocks:
            yield from block.tokens
        yield from _ANSWER

    @property
    def input_tokens(self) -> int:
        """What the vendor bills as input, cached or not."""
        return sum(len(block.tokens) for block in self.blocks) + len(_ANSWER)

    def add_message(self, role: str, parts: Iterable[tuple[str, Lifetime | None]]) -> None:
        """Append a message; each part is (text, how long a cache that ends there lives)."""
        framed = [Block(tuple(tokenize(text)), life) for text, life in parts] or [Block(())]
        first, last = framed[0], framed[-1]
        framed[0] = Block((_START, *tokenize(role), _MESSAGE, *first.tokens), first.cached_for)
        last = framed[-1]
        framed[-1] = Block((*last.tokens, _END), last.cached_for)
        self.blocks += framed

    def add_image(self, source: Any) -> None:
        """Append an image by whatever says where it is; equal sources are equal to a cache."""
        digest = hashlib.sha256(compact(source).encode()).hexdigest()[:16]
        self.blocks.append(Block((f"<|image {digest}|>",) * _IMAGE_TOKENS))


def compact(value: Any) -> str:
    """JSON without spaces: what a tool counts as."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
