"""Token counts of a framework that has its own names for them, as the provider would report them.

Tollkeeper prices the provider's own usage object. LangChain and LiteLLM hand over a translation of
it; this translates back, into the shape that the provider's price list is read by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TokenCounts:
    """Tokens of one call. `input` includes what was cached; `output` includes reasoning."""

    input: int
    output: int
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    input_audio: int = 0
    output_audio: int = 0

    @property
    def cache_write(self) -> int:
        """Tokens that were written to a cache, for whatever time."""
        return self.cache_write_5m + self.cache_write_1h

    @property
    def uncached(self) -> int:
        """Input tokens at the full rate, for providers that report these apart."""
        return max(0, self.input - self.cache_read - self.cache_write)

    def usage(self, provider: str | None) -> dict[str, Any]:
        """The usage object of this provider (named as in genai-prices, or anything alike)."""
        name = provider or ""
        if "anthropic" in name:
            return self._anthropic()
        if any(part in name for part in ("google", "gemini", "vertex")):
            return self._google()
        if any(part in name for part in ("bedrock", "amazon", "aws")):
            return self._bedrock()
        if name in ("xai", "x-ai"):
            # Its chat API reports reasoning beside the output, its other API within it.
            return self._responses()
        return self._chat()

    def _anthropic(self) -> dict[str, Any]:
        return {
            "input_tokens": self.uncached,
            "output_tokens": self.output,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation_input_tokens": self.cache_write,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.cache_write_5m,
                "ephemeral_1h_input_tokens": self.cache_write_1h,
            },
        }

    def _google(self) -> dict[str, Any]:
        return {
            "promptTokenCount": self.input,
            "cachedContentTokenCount": self.cache_read,
            "candidatesTokenCount": self.output - self.reasoning,
            "thoughtsTokenCount": self.reasoning,
        }

    def _bedrock(self) -> dict[str, Any]:
        return {
            "inputTokens": self.uncached,
            "outputTokens": self.output,
            "cacheReadInputTokens": self.cache_read,
            "cacheWriteInputTokens": self.cache_write,
        }

    def _responses(self) -> dict[str, Any]:
        return {
            "input_tokens": self.input,
            "output_tokens": self.output,
            "total_tokens": self.input + self.output,
            "input_tokens_details": {"cached_tokens": self.cache_read},
            "output_tokens_details": {"reasoning_tokens": self.reasoning},
        }

    def _chat(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.input + self.output,
            "prompt_tokens_details": {
                "cached_tokens": self.cache_read,
                "cache_write_tokens": self.cache_write,
                "audio_tokens": self.input_audio,
            },
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning,
                "audio_tokens": self.output_audio,
            },
        }
