"""A metered call whose beginning and end a framework reports as two separate events."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Hashable, Mapping, TypeVar

if TYPE_CHECKING:
    from tollkeeper import AsyncMeter, AsyncTollkeeper, Meter, Tollkeeper

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
