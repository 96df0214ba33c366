"""How many tokens a request may be, and what an answer that broke off was, without a tokenizer.

Before the call: one token for every 3 bytes of UTF-8 of the request's JSON, which is above what
English, code and most scripts come to; 1,600 for each image or file, whose bytes do not count.
After it: one token for every 4 bytes of what came, or one a piece if that is more, as providers
send about one token at a time. Reasoning that is not shown cannot be estimated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_REQUEST_BYTES_PER_TOKEN = 3
_ANSWER_BYTES_PER_TOKEN = 4
_BINARY_TOKENS = 1_600
_BINARY_CHARACTERS_MIN = 1_000
_BINARY_KEYS = frozenset({"image_url", "file_data", "source", "input_audio", "file", "url", "data"})
#: What is in a request and is no part of the prompt.
_SETTINGS = frozenset({"model", "stream", "stream_options", "metadata", "user"})

#: For a call whose answer never came: how fast it is taken to have been written.
TOKENS_PER_SECOND = 50


def request_tokens(body: Mapping[str, Any]) -> int:
    """The input of a request, from above."""
    size, binaries = _size({k: v for k, v in body.items() if k not in _SETTINGS}, None)
    return -(-size // _REQUEST_BYTES_PER_TOKEN) + binaries * _BINARY_TOKENS


def answer_tokens(size: int, pieces: int) -> int:
    """What an answer was whose usage is not known: its bytes, and in how many pieces they came."""
    return max(pieces, -(-size // _ANSWER_BYTES_PER_TOKEN))


def _size(value: Any, key: str | None) -> tuple[int, int]:
    """Bytes of text, and how many images or files."""
    if isinstance(value, str):
        if key in _BINARY_KEYS and _is_binary(value):
            return 0, 1
        return len(value.encode(errors="replace")) + 2, 0
    if isinstance(value, Mapping):
        named = [(str(name), item) for name, item in value.items()]
        return _sum([(len(name) + 4, 0) for name, _ in named] + [_size(i, n) for n, i in named])
    if isinstance(value, (list, tuple)):
        if value and all(type(item) is int for item in value):
            return len(value) * _REQUEST_BYTES_PER_TOKEN, 0  # tokens, as embeddings take them
        return _sum([(2, 0), *(_size(item, key) for item in value)])
    return len(str(value)), 0


def _is_binary(text: str) -> bool:
    return len(text) > _BINARY_CHARACTERS_MIN or text.startswith(("data:", "http"))


def _sum(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    return sum(size for size, _ in sizes), sum(count for _, count in sizes)
