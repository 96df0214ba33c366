"""What a call may cost at most before it is made, from a model's token rates.

The exact cost afterwards comes from the provider's own usage (see ports.Prices.cost_nano).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

MTOK = 1_000_000

#: What a check assumes for a model whose caller does not say how much will go in and come out.
ASSUMED_INPUT_TOKENS = 1_000
ASSUMED_OUTPUT_TOKENS = 1_000

#: (more input tokens than this, nano-USD per million tokens), rising; the first starts at -1.
Steps = tuple[tuple[int, int], ...]


class UnpricedModelError(Exception):
    """The price list does not know the model, or cannot price it by tokens."""

    def __init__(self, provider: str | None, model: str) -> None:
        super().__init__(f"no price is known for model {model!r} of provider {provider!r}")
        self.provider = provider
        self.model = model


class UsageError(Exception):
    """The reported usage is not of a shape that the provider's APIs answer."""


class TokenRates(NamedTuple):
    """A model's rates. A step applies to all tokens of a call whose input passes its threshold."""

    input: Steps
    output: Steps
    request_nano: int = 0

    def worst_case_nano(self, input_tokens: int, max_output_tokens: int) -> int:
        """The most that a call of this size costs, rounded up to a nano."""
        price = _rate(self.input, input_tokens) * input_tokens
        price += _rate(self.output, input_tokens) * max_output_tokens
        return -(-price // MTOK) + self.request_nano

    def as_line(self) -> str:
        """One line of text, for a cache."""
        return json.dumps([self.input, self.output, self.request_nano], separators=(",", ":"))

    @classmethod
    def of_line(cls, line: str) -> "TokenRates":
        """What as_line wrote."""
        given_in, given_out, request_nano = json.loads(line)
        return cls(_steps(given_in), _steps(given_out), request_nano)

    @classmethod
    def flat(cls, input_nano_per_mtok: int, output_nano_per_mtok: int) -> "TokenRates":
        """The same rate however long the input."""
        return cls(((-1, input_nano_per_mtok),), ((-1, output_nano_per_mtok),))


def _rate(steps: Steps, input_tokens: int) -> int:
    return next(rate for more_than, rate in reversed(steps) if input_tokens > more_than)


def _steps(pairs: Sequence[Sequence[int]]) -> Steps:
    return tuple((more_than, rate) for more_than, rate in pairs)


#: The names under which providers report tokens at the top of a usage object.
_INPUT = (
    *("prompt_tokens", "input_tokens", "promptTokenCount", "inputTokens"),
    *("cache_creation_input_tokens", "cache_read_input_tokens"),
    *("cacheReadInputTokens", "cacheWriteInputTokens"),
)
_OUTPUT = (
    *("completion_tokens", "output_tokens", "candidatesTokenCount", "outputTokens"),
    "thoughtsTokenCount",
)


def token_counts(usage: Mapping[str, Any]) -> tuple[int, int]:
    """Input and output tokens of a model that nobody prices, for a ceiling price.

    Cached tokens count as input, for a ceiling has no discount. Raises UsageError where no count
    of a known name is found: what cannot be counted is not free.
    """
    counts = [
        [value for name in names if isinstance(value := usage.get(name), int)]
        for names in (_INPUT, _OUTPUT)
    ]
    if not any(counts):
        raise UsageError("usage holds no token count of a known name")
    return sum(counts[0]), sum(counts[1])
