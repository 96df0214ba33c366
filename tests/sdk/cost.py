"""What a call costs by the provider's own invoice: the oracle of the SDK's tests."""

from decimal import Decimal
from typing import Any

from genai_prices import Usage, calc_price
from tollkeeper_core.adapters.prices import GenaiPrices

from infra.local.provider import Call

NOW_MS = 1_764_000_000_000


def invoiced(call: Call) -> Decimal:
    """The price of what was really counted, in US dollars to the nano."""
    cache = call.cache
    usage = Usage(
        input_tokens=call.input_tokens,
        cache_read_tokens=cache.read or None,
        cache_write_tokens=(cache.written + cache.written_1h) or None,
        output_tokens=call.output_tokens,
    )
    return calc_price(usage, call.model, provider_id=call.vendor).total_price


def reported(event: dict[str, Any]) -> Decimal:
    """The price that the ledger puts on a reported event."""
    nano = GenaiPrices().cost_nano(event["provider"], event["model"], event["usage"], NOW_MS)
    return Decimal(nano) / 10**9
