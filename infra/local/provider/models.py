"""Which models there are: what the price list of `genai-prices` knows, and `mystery-*`."""

import functools
import re
from dataclasses import dataclass

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, Provider

from infra.local.provider.errors import Vendor

MID_STREAM_ERROR = "error-midstream"

_EMBEDDING_DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
# Of OpenAI's models those that think unseen before they answer.
_REASONING = re.compile(r"o[134](-|$)|gpt-[56]")
# Anthropic caches no prefix shorter than this; it differs by model.
_CACHE_MINIMUM = {"opus-4-5": 4096, "opus-4-6": 4096, "haiku-4-5": 4096, "haiku": 2048}


@dataclass(frozen=True)
class Model:
    """What one model can do. `dimensions` is 0 for a model that does not embed."""

    name: str
    reasons: bool = False
    dimensions: int = 0
    bills_cache_writes: bool = False
    cache_minimum_tokens: int = 1024


def _provider(vendor: Vendor) -> Provider:
    return next(p for p in get_snapshot().providers if p.id == vendor)


def _price(info: ModelInfo) -> ModelPrice:
    """The newest price: that of today, as the list has no future ones."""
    return info.prices[-1].prices if isinstance(info.prices, list) else info.prices


def _cache_minimum(name: str) -> int:
    return next((size for part, size in _CACHE_MINIMUM.items() if part in name), 1024)


@functools.cache
def find_model(vendor: Vendor, name: str) -> Model | None:
    """The model of that name; None when the vendor has none that talks or embeds."""
    if name.startswith("mystery-") or name == MID_STREAM_ERROR:
        return Model(name)
    info = _provider(vendor).find_model(name)
    if info is None:
        return None
    if dimensions := _EMBEDDING_DIMENSIONS.get(name):
        return Model(name, dimensions=dimensions)
    price = _price(info)
    if price.input_mtok is None or price.output_mtok is None:
        return None
    return Model(
        name,
        reasons=vendor == "openai" and _REASONING.match(name) is not None,
        bills_cache_writes=price.cache_write_mtok is not None,
        cache_minimum_tokens=_cache_minimum(name) if vendor == "anthropic" else 1024,
    )


@functools.cache
def model_names(vendor: Vendor) -> tuple[str, ...]:
    """What `GET /v1/models` lists, in order of name."""
    found = (info.id for info in _provider(vendor).models)
    return tuple(sorted(name for name in found if find_model(vendor, name)))
