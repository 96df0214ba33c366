"""The providers' billable endpoints: what a request may use at most, and what an answer used.

A `Tally` reads along what a provider answers, and keeps its own usage object as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable

from tollkeeper._estimate import answer_tokens, request_tokens
from tollkeeper._types import Json

#: The parts of a streamed piece that are output.
_OUTPUT_KEYS = frozenset(
    [
        "content",
        "reasoning_content",
        "reasoning",
        "refusal",
        "arguments",
        "name",
        "text",
        "thinking",
        "partial_json",
        "transcript",
        "delta",
    ]
)


class Tally:
    """What one answer used, as far as it is known."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.usage: Json | None = None
        #: The provider has said everything it will.
        self.complete = False
        self.began = False
        #: The provider says that it failed, and reports no usage.
        self.failed = False
        #: The provider goes on in the background, and says later what that used.
        self.unfinished = False
        self._size = 0
        self._pieces = 0

    def body(self, data: Json) -> None:
        """A whole answer."""
        self.began = self.complete = True
        self._read(data)
        if self.usage is None:
            self._flowed(data)
            if data.get("error"):
                self.broke()

    def event(self, data: Json) -> None:
        """One event of a stream."""
        raise NotImplementedError

    def done(self) -> None:
        """The end mark `[DONE]`."""
        self.complete = True

    def broke(self) -> None:
        """The provider says that it failed: it charges nothing where nothing had come."""
        if self.usage is None and not self.output_tokens:
            self.failed = self.complete = True

    def unread(self, size: int) -> None:
        """A whole answer of this many bytes that cannot be read."""
        self.began = True
        self._size += size

    def estimate(self, input_tokens: int, output_tokens: int) -> Json:
        """A usage object of the provider's shape."""
        raise NotImplementedError

    @property
    def output_tokens(self) -> int:
        """An estimate of what has come."""
        return answer_tokens(self._size, self._pieces)

    def _read(self, data: Json) -> None:
        model, usage = data.get("model"), data.get("usage")
        if isinstance(model, str) and model:
            self.model = model
        if isinstance(usage, dict):
            self.usage = usage

    def _flowed(self, piece: Any) -> None:
        size = _output_size(piece)
        if size:
            self._size += size
            self._pieces += 1


class ChatTally(Tally):
    """OpenAI's chat completions, and its older completions."""

    def event(self, data: Json) -> None:
        if data.get("error"):
            self.broke()
            return
        self.began = True
        self._read(data)
        for choice in data.get("choices") or ():
            self._flowed(choice.get("delta") or {"text": choice.get("text")})
        if self.usage is not None and data.get("choices") == []:
            self.complete = True

    def estimate(self, input_tokens: int, output_tokens: int) -> Json:
        known = self.usage or {"prompt_tokens": input_tokens}
        output = max(output_tokens, known.get("completion_tokens") or 0)
        total = (known.get("prompt_tokens") or 0) + output
        return {**known, "completion_tokens": output, "total_tokens": total}


class EmbeddingTally(Tally):
    """OpenAI's embeddings, which have no output tokens and no streams."""

    def event(self, data: Json) -> None:
        self.body(data)

    def estimate(self, input_tokens: int, output_tokens: int) -> Json:  # noqa: ARG002  # none come
        return {"prompt_tokens": input_tokens, "total_tokens": input_tokens}


class ResponsesTally(Tally):
    """OpenAI's responses."""

    def body(self, data: Json) -> None:
        super().body(data)
        self.unfinished = data.get("status") in ("queued", "in_progress")

    def event(self, data: Json) -> None:
        kind = str(data.get("type"))
        if kind == "error":
            self.broke()
            return
        self.began = True
        response = data.get("response")
        if isinstance(response, dict):
            self._read(response)
        elif kind.endswith(".delta"):
            self._flowed(data.get("delta"))
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            self.complete = True
        if kind == "response.failed":
            self.broke()

    def estimate(self, input_tokens: int, output_tokens: int) -> Json:
        return {
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens,
        }


class MessagesTally(Tally):
    """Anthropic's messages: `message_start` has the input, `message_delta` all so far."""

    def event(self, data: Json) -> None:
        kind = data.get("type")
        if kind == "message_start":
            self.began = True
            self._read(data["message"])
        elif kind == "content_block_delta":
            self._flowed(data.get("delta"))
        elif kind == "message_delta":
            usage = data.get("usage") or {}
            so_far = {name: count for name, count in usage.items() if count is not None}
            self.usage = {**(self.usage or {}), **so_far}
            # What follows the reason to stop is only the end mark.
            self.complete = (data.get("delta") or {}).get("stop_reason") is not None
        elif kind == "message_stop":
            self.complete = True
        elif kind == "error":
            self.broke()

    def done(self) -> None:
        # The usage of `message_start` is not yet that of the message: a stream that ends behind it
        # was cut off.
        self.complete = self.complete or not self.began

    def estimate(self, input_tokens: int, output_tokens: int) -> Json:
        known = self.usage or {"input_tokens": input_tokens}
        reported = known.get("output_tokens")
        return {**known, "output_tokens": max(output_tokens, reported or 0)}


def _output_size(piece: Any, key: str = "delta") -> int:
    if isinstance(piece, str):
        return len(piece.encode(errors="replace")) if key in _OUTPUT_KEYS else 0
    if isinstance(piece, Mapping):
        return sum(_output_size(value, str(name)) for name, value in piece.items())
    if isinstance(piece, (list, tuple)):
        return sum(_output_size(value, key) for value in piece)
    return 0


@dataclass(frozen=True)
class Endpoint:
    """One billable endpoint: how its answers are read, and where its maximum of output stands."""

    tally: Callable[[], Tally]
    max_keys: tuple[str, ...] = ()
    #: Streams tell their usage only when asked to.
    asks_for_usage: bool = False

    def input_tokens(self, body: Mapping[str, Any]) -> int:
        """The input, from above."""
        return request_tokens(body)

    def choices(self, body: Mapping[str, Any]) -> int:
        """How many answers are asked for, each as long as the maximum."""
        counts = [body.get("n"), body.get("best_of")]
        asked = [count for count in counts if isinstance(count, int)]
        inputs = body.get("prompt") if "max_tokens" in self.max_keys else None
        prompts = len(inputs) if isinstance(inputs, list) and _all_text(inputs) else 1
        return max([1, *asked]) * max(1, prompts)

    def max_output(self, body: Mapping[str, Any], default: int) -> int:
        """The output of all choices at most; `default` each where the request sets no limit."""
        if not self.max_keys:
            return 0
        given = [body[key] for key in self.max_keys if isinstance(body.get(key), int)]
        return max(0, min(given) if given else default) * self.choices(body)

    def least_output(self, body: Mapping[str, Any]) -> int:
        """The output of all choices that a cap must leave: more than the thinking may take."""
        thinking = body.get("thinking")
        budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
        return self.choices(body) * (budget + 1 if isinstance(budget, int) else 1)

    def capped(self, body: Mapping[str, Any], output_tokens: int, *, modern: bool) -> Json:
        """The settings that keep all choices within this."""
        each = output_tokens // self.choices(body)
        given = [key for key in self.max_keys if isinstance(body.get(key), int)]
        return dict.fromkeys(given or [self.max_keys[0 if modern else -1]], each)


def _all_text(inputs: list[Any]) -> bool:
    return all(isinstance(item, (str, list)) for item in inputs)


_CHAT = Endpoint(ChatTally, ("max_completion_tokens", "max_tokens"), asks_for_usage=True)
_COMPLETIONS = Endpoint(ChatTally, ("max_tokens",), asks_for_usage=True)
_RESPONSES = Endpoint(ResponsesTally, ("max_output_tokens",))
_MESSAGES = Endpoint(MessagesTally, ("max_tokens",))
_EMBEDDINGS = Endpoint(EmbeddingTally)

_BY_PATH = {
    "openai": {
        "/chat/completions": _CHAT,
        "/completions": _COMPLETIONS,
        "/responses": _RESPONSES,
        "/embeddings": _EMBEDDINGS,
    },
    "anthropic": {"/v1/messages": _MESSAGES},
}
#: Billed by the provider in ways that this code does not read.
UNMETERED = {
    "openai": (
        "/images/",
        "/audio/",
        "/videos",
        "/realtime",
        "/batches",
        "/responses/compact",
        "/threads",
        "/fine_tuning/jobs",
        "/evals",
    ),
    "anthropic": ("/v1/messages/batches", "/v1/complete"),
}

#: Of a base URL's host to the provider's name in the price list.
_HOSTS = (
    ("openai.azure.com", "azure"),
    ("services.ai.azure.com", "azure"),
    ("cognitiveservices.azure.com", "azure"),
    ("openrouter.ai", "openrouter"),
    ("groq.com", "groq"),
    ("mistral.ai", "mistral"),
    ("deepseek.com", "deepseek"),
    ("x.ai", "x-ai"),
    ("together.xyz", "together"),
    ("fireworks.ai", "fireworks"),
    ("perplexity.ai", "perplexity"),
    ("googleapis.com", "google"),
    ("cerebras.ai", "cerebras"),
    ("amazonaws.com", "aws"),
    ("moonshot.ai", "moonshotai"),
    ("z.ai", "zai"),
    ("novita.ai", "novita"),
    ("cohere.ai", "cohere"),
    ("cohere.com", "cohere"),
)


def endpoint_of(vendor: str, path: str) -> Endpoint | None:
    """The endpoint that a client's path names, if it is a metered one."""
    return _BY_PATH[vendor].get(path.partition("?")[0])


def provider_of(vendor: str, host: str) -> str:
    """Whose prices hold: by the host of the base URL, else the vendor of the client."""
    for ending, provider in _HOSTS:
        if host == ending or host.endswith("." + ending):
            return provider
    return vendor
