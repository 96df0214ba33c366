"""The models that the chat offers."""

import pytest
from genai_prices.data_snapshot import get_snapshot

from examples.chat.llm import MODELS


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_model_can_be_priced(model) -> None:
    prices = next(p for p in get_snapshot().providers if p.id == model.provider)
    assert prices.find_model(model.name) is not None
