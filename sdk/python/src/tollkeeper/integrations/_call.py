"""A metered call whose beginning and end a framework reports as two separate events."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tollkeeper import AsyncMeter, Meter
from tollkeeper._estimate import TOKENS_PER_SECOND

if TYPE_CHECKING:
    from tollkeeper import AsyncTollkeeper, Tollkeeper

logger = logging.getLogger("tollkeeper")

_T = TypeVar("_T")


@dataclass(frozen=True)
class CallRequest:
    """What a call may use at most. `user` None: that of `tk.user(...)` or `get_user_id`."""

    provider: str | None
    model: str | None
    input_tokens: int
    max_output_tokens: int | None
    user: str | None = None
    tier: str | None = None

    def as_meter(self) -> dict[str, Any]:
        """As the arguments of `tk.meter`."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Spent:
    """What a call used: the provider's usage object, or none where nothing was charged."""

    model: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    estimated: bool = False


class Calls(Generic[_T]):
    """The calls that are under way, by the framework's own id. Each is taken once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[Hashable, _T] = {}

    def add(self, key: Hashable, call: _T) -> None:
        """Remember a call that has begun."""
        with self._lock:
            self._calls[key] = call

    def take(self, key: Hashable) -> _T | None:
        """The call, for whoever asks first."""
        with self._lock:
            return self._calls.pop(key, None)


class Call:
    """One call, checked and reserved by a meter that is left as soon as the call has ended."""

    def __init__(self, request: CallRequest, meter: Meter | AsyncMeter) -> None:
        self.request = request
        self._meter = meter
        self._began_at = time.monotonic()

    def unseen_output(self) -> int:
        """Tokens of an answer that nobody saw the end of: as many as its time was enough for."""
        written = int((time.monotonic() - self._began_at) * TOKENS_PER_SECOND) + 1
        limit = self.request.max_output_tokens
        return written if limit is None else min(written, limit)

    @classmethod
    def begin(cls, tk: Tollkeeper, request: CallRequest) -> Call:
        """Check and reserve; raises BlockedError."""
        return cls(request, tk.meter(**request.as_meter()).__enter__())

    @classmethod
    async def begin_async(cls, tk: Tollkeeper | AsyncTollkeeper, request: CallRequest) -> Call:
        """The same without holding up the event loop, whichever client it is."""
        meter = tk.meter(**request.as_meter())
        if isinstance(meter, Meter):
            return cls(request, await asyncio.to_thread(meter.__enter__))
        return cls(request, await meter.__aenter__())

    def end(self, spent: Spent) -> None:
        """Settle at what was used; returns at once, and never raises into the framework."""
        try:
            if spent.usage:
                self._meter.report(spent.usage, model=spent.model, estimated=spent.estimated)
            else:
                self._meter.report(cost_usd="0", model=spent.model)
        except ValueError as error:  # no model has a name, so there is no price
            logger.error("usage lost: %s", error)
            self._meter.fail()

    def fail(self, spent: Spent | None) -> None:
        """Settle at what had come before the failure; where nothing had, release."""
        if spent is None:
            self._meter.fail()
        else:
            self.end(spent)
