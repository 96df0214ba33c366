"""Counts that a framework translated cost what the provider's own usage object costs."""

from typing import Any

import pytest
from tollkeeper.integrations._counts import TokenCounts
from tollkeeper_core.adapters.prices import GenaiPrices

AT_MS = 1_795_600_000_000
COUNTS = TokenCounts(
    input=10_000, output=1_000, cache_read=4_000, cache_write_5m=2_000, reasoning=300
)


def cost(provider: str, model: str, usage: dict[str, Any]) -> int:
    return GenaiPrices().cost_nano(provider, model, usage, AT_MS)


@pytest.mark.parametrize(
    ("provider", "model", "own"),
    [
        (
            "openai",
            "gpt-5-mini",
            {
                "prompt_tokens": 10_000,
                "completion_tokens": 1_000,
                "prompt_tokens_details": {"cached_tokens": 4_000, "cache_write_tokens": 2_000},
                "completion_tokens_details": {"reasoning_tokens": 300},
            },
        ),
        (
            "anthropic",
            "claude-haiku-4-5",
            {
                "input_tokens": 4_000,
                "output_tokens": 1_000,
                "cache_read_input_tokens": 4_000,
                "cache_creation_input_tokens": 2_000,
            },
        ),
        (
            "google_genai",
            "gemini-2.5-flash",
            {
                "promptTokenCount": 10_000,
                "cachedContentTokenCount": 4_000,
                "candidatesTokenCount": 700,
                "thoughtsTokenCount": 300,
            },
        ),
        (
            "groq",
            "llama-3.3-70b-versatile",
            {"prompt_tokens": 10_000, "completion_tokens": 1_000},
        ),
        (
            "xai",
            "grok-4-fast",
            {
                "prompt_tokens": 10_000,
                "completion_tokens": 700,
                "prompt_tokens_details": {"cached_tokens": 4_000},
                "completion_tokens_details": {"reasoning_tokens": 300},
            },
        ),
        (
            "bedrock",
            "anthropic.claude-haiku-4-5-20251001-v1:0",
            {
                "inputTokens": 4_000,
                "outputTokens": 1_000,
                "cacheReadInputTokens": 4_000,
                "cacheWriteInputTokens": 2_000,
            },
        ),
    ],
)
def test_it_costs_what_the_provider_s_own_object_costs(
    provider: str, model: str, own: dict[str, Any]
) -> None:
    expected = cost(provider, model, own)
    assert expected > 0
    assert cost(provider, model, COUNTS.usage(provider)) == expected


def test_a_cache_that_is_kept_for_an_hour_costs_more() -> None:
    long = TokenCounts(input=10_000, output=0, cache_write_1h=2_000)
    short = TokenCounts(input=10_000, output=0, cache_write_5m=2_000)
    price = 1_000  # nano-USD a token of claude-haiku-4-5, and 1.25 and 2 times that to write it
    assert cost("anthropic", "claude-haiku-4-5", short.usage("anthropic")) == (
        8_000 * price + 2_000 * price * 5 // 4
    )
    assert cost("anthropic", "claude-haiku-4-5", long.usage("anthropic")) == (
        8_000 * price + 2_000 * price * 2
    )
