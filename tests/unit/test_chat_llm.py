"""What the chat reports for an answer that was cut off."""

import pytest
from genai_prices.data_snapshot import get_snapshot

from examples.chat.llm import MODELS, Message, Spent, estimate_prompt_tokens, estimate_tokens


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_model_and_its_estimate_can_be_priced(model) -> None:
    prices = next(p for p in get_snapshot().providers if p.id == model.provider)
    assert prices.find_model(model.name) is not None
    spent = Spent(model, input_tokens=120, text="x" * 41)
    flavour = "chat" if model.provider == "openai" else "default"
    answer = {"model": model.name, "usage": spent.usage}
    _, usage = prices.extract_usage(answer, api_flavor=flavour)
    assert (usage.input_tokens, usage.output_tokens) == (120, 11)


def test_anthropics_first_numbers_outrank_the_estimate_of_the_prompt() -> None:
    claude = next(model for model in MODELS if model.provider == "anthropic")
    spent = Spent(claude, input_tokens=120, text="x" * 40)
    spent.reported = {"input_tokens": 7, "cache_read_input_tokens": 100, "output_tokens": 1}
    assert spent.usage == {"input_tokens": 7, "cache_read_input_tokens": 100, "output_tokens": 10}
    spent.reported["output_tokens"] = 12
    spent.complete = True
    assert spent.usage["output_tokens"] == 12


def test_estimates_round_up() -> None:
    assert [estimate_tokens("x" * size) for size in (0, 1, 4, 5)] == [0, 1, 1, 2]
    assert estimate_prompt_tokens([Message("user", "x" * 5), Message("assistant", "")]) == 10
