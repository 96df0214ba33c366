"""The price list as we use it; exact figures are computed here by hand."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from tollkeeper_core.adapters.prices import CachedRates, GenaiPrices
from tollkeeper_core.domain.ledger import LedgerUnavailableError
from tollkeeper_core.domain.money import usd_to_nano
from tollkeeper_core.domain.pricing import TokenRates, UnpricedModelError, UsageError, token_counts

AT_MS = 1_795_600_000_000
AT = datetime.fromtimestamp(AT_MS / 1000, UTC)
OPENAI = {
    "prompt_tokens": 2_000,
    "completion_tokens": 500,
    "total_tokens": 2_500,
    "prompt_tokens_details": {"cached_tokens": 1_024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 128},
}
RESPONSES = {
    "input_tokens": 2_000,
    "output_tokens": 500,
    "total_tokens": 2_500,
    "input_tokens_details": {"cached_tokens": 1_024},
    "output_tokens_details": {"reasoning_tokens": 128},
}
ANTHROPIC = {
    "input_tokens": 100,
    "cache_creation_input_tokens": 3_000,
    "cache_read_input_tokens": 4_000,
    "cache_creation": {"ephemeral_5m_input_tokens": 1_000, "ephemeral_1h_input_tokens": 2_000},
    "output_tokens": 50,
}


def test_openai_chat_and_responses_cost_the_same_to_the_nano() -> None:
    # gpt-4o-mini: 0.15 in, 0.075 cached, 0.60 out, in USD per million tokens.
    usd = Decimal("0.15") * 976 + Decimal("0.075") * 1_024 + Decimal("0.60") * 500
    expected = usd_to_nano(usd / 1_000_000)
    for usage in (OPENAI, RESPONSES):
        assert GenaiPrices().cost_nano("openai", "gpt-4o-mini", usage, AT_MS) == expected
    assert expected == 523_200


def test_anthropic_caches_by_their_lifetimes() -> None:
    # Claude Haiku 4.5: 1 in, 1.25 written for 5 minutes, 2 for an hour, 0.1 read, 5 out.
    cost = GenaiPrices().cost_nano("anthropic", "claude-haiku-4-5", ANTHROPIC, AT_MS)
    assert cost == 100_000 + 1_250_000 + 4_000_000 + 400_000 + 250_000


def test_a_provider_need_not_be_named_and_dated_models_are_found() -> None:
    prices = GenaiPrices()
    named = prices.cost_nano("openai", "gpt-4o-mini", OPENAI, AT_MS)
    assert prices.cost_nano(None, "gpt-4o-mini-2024-07-18", OPENAI, AT_MS) == named


def test_what_has_no_price_is_never_free() -> None:
    prices = GenaiPrices()
    assert prices.rates("openai", "mystery-9", AT_MS) is None
    with pytest.raises(UnpricedModelError):
        prices.cost_nano("openai", "mystery-9", OPENAI, AT_MS)
    with pytest.raises(UnpricedModelError):
        prices.cost_nano("no-such-provider", "gpt-4o", OPENAI, AT_MS)
    usages: list[dict[str, Any]] = [{}, {"tokens": 5}, {"prompt_tokens": "many"}]
    for usage in usages:
        with pytest.raises(UsageError):
            prices.cost_nano("openai", "gpt-4o", usage, AT_MS)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o"),
        ("openai", "gpt-5-mini"),
        ("anthropic", "claude-sonnet-4-5"),
        ("google", "gemini-2.5-pro"),
        ("deepseek", "deepseek-chat"),
    ],
)
@pytest.mark.parametrize("tokens", [1, 199_999, 200_000, 200_001, 1_000_000])
def test_the_worst_case_is_the_price_of_exactly_so_many_tokens(
    provider: str, model: str, tokens: int
) -> None:
    rates = GenaiPrices().rates(provider, model, AT_MS)
    assert rates is not None
    usage = Usage(input_tokens=tokens, output_tokens=1_000)
    exact = calc_price(usage, model, provider_id=provider, genai_request_timestamp=AT).total_price
    worst = rates.worst_case_nano(tokens, 1_000)
    assert worst >= exact * 10**9
    if provider != "deepseek":  # which has hours of another price
        assert worst - exact * 10**9 < 1


def test_steps_apply_above_their_threshold_to_all_tokens() -> None:
    rates = TokenRates(((-1, 10), (200_000, 30)), ((-1, 10), (200_000, 50)))
    assert rates.worst_case_nano(200_000, 1_000_000) == 2 + 10
    assert rates.worst_case_nano(200_001, 1_000_000) == 7 + 50
    assert rates.worst_case_nano(0, 0) == 0
    assert TokenRates.of_line(rates.as_line()) == rates


class Lines(dict[tuple[str, str], str]):
    """A RateStore in memory. ``down``: it does not answer."""

    down = False
    asked = 0

    def price_line(self, version: str, model: str) -> str | None:
        self.asked += 1
        if self.down:
            raise LedgerUnavailableError("down")
        return self.get((version, model))

    def keep_price_line(self, version: str, model: str, line: str) -> None:
        self[version, model] = line


class Origin:
    asked = 0

    def rates(self, provider: str | None, model: str, now_ms: int) -> TokenRates | None:
        self.asked += 1
        return TokenRates.flat(1, 2) if model == "known" else None


@pytest.mark.parametrize("model", ["known", "mystery"])
def test_a_model_is_looked_up_once_by_whoever_meets_it_first(model: str) -> None:
    origin, lines = Origin(), Lines()
    for _ in range(2):  # two processes
        cached = CachedRates(origin, lines)
        for _ in range(3):
            assert cached.rates("p", model, AT_MS) == Origin().rates("p", model, AT_MS)
    assert (origin.asked, lines.asked) == (1, 2)
    cached.rates("p", model, AT_MS + 86_400_000)
    assert (origin.asked, lines.asked) == (2, 3)


def test_an_outage_is_not_the_time_to_read_the_list() -> None:
    """It takes a third of a second, and nothing can be held anyway."""
    origin, lines = Origin(), Lines()
    cached = CachedRates(origin, lines)
    assert cached.known("p", "known", AT_MS) is None
    cached.rates("p", "known", AT_MS)
    lines.down = True
    with pytest.raises(LedgerUnavailableError):
        cached.rates("p", "other", AT_MS)
    assert origin.asked == 1
    assert cached.rates("p", "known", AT_MS) == TokenRates.flat(1, 2)
    assert cached.known("p", "known", AT_MS) == TokenRates.flat(1, 2)
    assert cached.known("p", "other", AT_MS) is None


def test_tokens_of_an_unpriced_model_are_counted_by_the_names_that_providers_use() -> None:
    assert token_counts(OPENAI) == (2_000, 500)
    assert token_counts(ANTHROPIC) == (7_100, 50)
    assert token_counts(
        {"promptTokenCount": 3, "candidatesTokenCount": 4, "thoughtsTokenCount": 5}
    ) == (3, 9)
    with pytest.raises(UsageError):
        token_counts({"pages": 3})
