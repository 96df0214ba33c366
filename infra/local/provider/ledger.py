"""What the vendor would invoice: every call with what was really counted and really sent."""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from infra.local.provider.cache import CacheUse
from infra.local.provider.errors import Vendor

_CALLS_KEPT = 10_000

Status = Literal["open", "complete", "cancelled", "failed"]


@dataclass
class Call:
    """One call. Tokens are added as they are sent, so a broken stream counts what it sent."""

    id: str
    vendor: Vendor
    endpoint: str
    model: str
    input_tokens: int
    cache: CacheUse = field(default_factory=CacheUse)
    output_tokens: int = 0
    reasoning_tokens: int = 0
    status: Status = "open"
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def as_json(self) -> dict[str, Any]:
        """The call as the invoice shows it."""
        return {
            "id": self.id,
            "vendor": self.vendor,
            "endpoint": self.endpoint,
            "model": self.model,
            "status": self.status,
            "at": self.at.isoformat(),
            "input_tokens": self.input_tokens,
            "cache_read_tokens": self.cache.read,
            "cache_write_tokens": self.cache.written,
            "cache_write_1h_tokens": self.cache.written_1h,
            "output_tokens": self.output_tokens,
            "reasoning_tokens": self.reasoning_tokens,
        }


class Ledger:
    """The last calls, oldest first."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=_CALLS_KEPT)

    def add(self, call: Call) -> Call:
        """Enter a call when it begins."""
        self._calls.append(call)
        return call

    @property
    def calls(self) -> list[Call]:
        """A copy of the calls."""
        return list(self._calls)
