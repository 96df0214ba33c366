"""Prices from ``genai-prices``, imported only when a price is really looked up (0.3 s)."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from tollkeeper_core.domain.money import NANO_PER_USD, usd_to_nano
from tollkeeper_core.domain.pricing import Steps, TokenRates, UnpricedModelError, UsageError

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider, TieredPrices, UsageExtractor

    from tollkeeper_core.domain.ports import RateSource

#: Unpriced models are remembered as well, or each check of one would import the list again.
_UNPRICED = "-"


class GenaiPrices:
    """Implements ports.Prices."""

    def rates(self, provider: str | None, model: str, now_ms: int) -> TokenRates | None:
        """See ports.RateSource."""
        try:
            info = _find(provider, model)[1]
        except LookupError:
            return None
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        # Some prices depend on the hour: what holds at any hour of the coming day may be charged.
        found = [info.get_prices(now + timedelta(hours=h)) for h in range(24)]
        if any(p.input_mtok is None and p.output_mtok is None for p in found):
            return None  # priced by images, pages or seconds: the app has to name the amount
        return TokenRates(
            input=_highest([p.input_mtok for p in found]),
            output=_highest([p.output_mtok for p in found]),
            request_nano=max(_per_request_nano(p.requests_kcount) for p in found),
        )

    def cost_nano(
        self, provider: str | None, model: str, usage: Mapping[str, Any], at_ms: int
    ) -> int:
        """See ports.Prices.

        A provider's APIs report in several shapes ("flavors"). Those that do not fit refuse; of
        those that fit, the one that finds the most counts is the one that the usage is of: another
        may read the totals and miss what was cached.
        """
        try:
            provider_info, info = _find(provider, model)
        except LookupError:
            raise UnpricedModelError(provider, model) from None
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        readings = list(_readings(provider_info, info, model, usage, at))
        if not readings:
            raise UsageError(f"this is not a usage object of provider {provider_info.id}")
        return usd_to_nano(max(readings, key=lambda reading: reading[0])[1])


class RateStore(Protocol):
    """Where rates are kept between processes."""

    def price_line(self, version: str, model: str) -> str | None:
        """What was kept for a model. Raises LedgerUnavailableError."""
        ...

    def keep_price_line(self, version: str, model: str, line: str) -> None:
        """Keep it. Raises LedgerUnavailableError."""
        ...


class CachedRates:
    """Rates by process, then by Redis, and only then from the price list itself.

    So a warm check asks nobody, and a new process asks Redis once for each model instead of
    spending a third of a second on importing the list.
    """

    def __init__(self, origin: "RateSource", store: RateStore) -> None:
        self._origin = origin
        self._store = store
        self._known: dict[tuple[str, int], TokenRates | None] = {}

    def rates(self, provider: str | None, model: str, now_ms: int) -> TokenRates | None:
        """See ports.RateSource. A day at most goes by before a change of the list is seen.

        Raises LedgerUnavailableError: nothing can be held then anyway, and whoever waits for a
        check must not wait for the list as well.
        """
        name, day = f"{provider or ''}/{model}", now_ms // 86_400_000
        if (name, day) not in self._known:
            if len(self._known) > 2_000:
                self._known.clear()
            self._known[name, day] = self._look_up(provider, model, name, now_ms)
        return self._known[name, day]

    def known(self, provider: str | None, model: str, now_ms: int) -> TokenRates | None:
        """See ports.KeptRates."""
        return self._known.get((f"{provider or ''}/{model}", now_ms // 86_400_000))

    def _look_up(
        self, provider: str | None, model: str, name: str, now_ms: int
    ) -> TokenRates | None:
        edition = f"{list_version()}:{datetime.fromtimestamp(now_ms / 1000, UTC):%Y-%m-%d}"
        line = self._store.price_line(edition, name)
        if line is None:
            found = self._origin.rates(provider, model, now_ms)
            self._store.keep_price_line(edition, name, found.as_line() if found else _UNPRICED)
            return found
        return None if line == _UNPRICED else TokenRates.of_line(line)


@cache
def list_version() -> str:
    """The installed price list's version."""
    from importlib.metadata import version  # 15 ms, when a process first meets a model

    return version("genai-prices")


def _find(provider: str | None, model: str) -> "tuple[Provider, ModelInfo]":
    from genai_prices.data_snapshot import get_snapshot  # 0.3 s, when needed

    return get_snapshot().find_provider_model(model, None, provider, None)


def _readings(
    provider: "Provider", info: "ModelInfo", model: str, usage: Mapping[str, Any], at: datetime
) -> Iterator[tuple[int, Decimal]]:
    """How many counts each flavor finds, and what they cost; in the list's own order."""
    for extractor in provider.extractors or ():
        try:
            extracted = extractor.extract(_response(extractor, model, usage))[1]
            price = info.calc_price(extracted, provider, genai_request_timestamp=at)
        except ValueError:
            continue
        yield len(vars(extracted)), price.total_price


def _response(extractor: "UsageExtractor", model: str, usage: Mapping[str, Any]) -> dict[str, Any]:
    """The usage object where the extractor looks for it in the provider's whole answer."""
    root = extractor.root
    path = [root] if isinstance(root, str) else [step for step in root if isinstance(step, str)]
    nested: Any = dict(usage)
    for step in reversed(path):
        nested = {step: nested}
    return {"model": model, **nested}


def _highest(prices: "list[Decimal | TieredPrices | None]") -> Steps:
    """For each threshold that any of the prices has, the highest rate that holds above it."""
    tables = [_table(price) for price in prices]
    starts = sorted({start for table in tables for start, _ in table})
    return tuple(
        (start, max(next(r for s, r in reversed(table) if s <= start) for table in tables))
        for start in starts
    )


def _table(price: "Decimal | TieredPrices | None") -> Steps:
    if price is None:
        return ((-1, 0),)
    if isinstance(price, Decimal):
        return ((-1, _nano_up(price)),)
    return ((-1, _nano_up(price.base)), *((t.start, _nano_up(t.price)) for t in price.tiers))


def _nano_up(usd: Decimal) -> int:
    return -int(-(usd * NANO_PER_USD) // 1)


def _per_request_nano(price: "Decimal | TieredPrices | None") -> int:
    return -(-max(rate for _, rate in _table(price)) // 1000)
