"""What app code sends beside checks, validated before anything else happens.

Unknown fields are errors: ``amout_usd`` must not pass as "no amount".
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetPydanticSchema,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tollkeeper_core.domain.config import UsdNano
from tollkeeper_core.domain.links import LINK_SECONDS, LINK_SECONDS_MAX
from tollkeeper_core.domain.values import ID, TIER_NAME, TOKENS_MAX

EVENTS_MAX = 100
#: An event may lie this far back (the queue keeps a message for 14 days at most) or ahead (clocks).
EVENT_AGE_MS_MAX = 14 * 86_400_000
EVENT_AHEAD_MS_MAX = 5 * 60_000


Id = Annotated[str, GetPydanticSchema(lambda _source, _handler: ID)]
TierName = Annotated[str, GetPydanticSchema(lambda _source, _handler: TIER_NAME)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class UsageEvent(_Request):
    """One AI call as the app reports it. ``usage`` is the provider's own object, unchanged."""

    event_id: Id
    user_id: Id
    reservation_id: Id | None = None
    provider: Id | None = None
    model: Id | None = None
    usage: dict[str, Any] | None = None
    cost_usd: UsdNano | None = None
    at: datetime | None = None
    status: Literal["ok", "error"] = "ok"
    estimated: bool = False

    @model_validator(mode="after")
    def _one_cost(self) -> Self:
        if self.usage is not None and self.cost_usd is not None:
            raise PydanticCustomError("two_costs", "send usage or cost_usd, not both")
        if self.usage is not None and self.model is None:
            raise PydanticCustomError("model_missing", "usage needs the model to have a price")
        if self.usage is None and self.cost_usd is None and self.status == "ok":
            raise PydanticCustomError("no_cost", "send the provider's usage, or cost_usd")
        if self.at is not None and self.at.tzinfo is None:
            raise PydanticCustomError("no_time_zone", "at needs a time zone, such as a final Z")
        _check_numbers(self.usage)
        return self

    def at_ms(self, received_ms: int) -> int:
        """When the call was, epoch milliseconds; when it was received, where it does not say."""
        return received_ms if self.at is None else int(self.at.timestamp() * 1000)


class QueuedUsage(_Request):
    """What waits in the queue: an event and when the API took it."""

    received_ms: int
    event: UsageEvent


class UsageBatch(_Request):
    """``POST /v1/usage``: the envelope. Each event is judged by itself."""

    events: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=EVENTS_MAX)]


class LinkRequest(_Request):
    """``POST /v1/upgrade-links``: a "buy credits" button, or an e-mail.

    ``expires_in``: seconds for which the link works, a quarter of an hour where it is not given. An
    e-mail is read days later; whoever has the link may see the user's percentages until then.
    """

    user_id: Id
    tier: TierName | None = None
    reason: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")] | None = None
    expires_in: Annotated[int, Field(ge=60, le=LINK_SECONDS_MAX)] = LINK_SECONDS


def _check_numbers(value: Any, depth: int = 0) -> None:
    """Every number in a usage object is a count: not negative, not beyond any real call."""
    if depth > 8:
        raise PydanticCustomError("too_deep", "usage is nested too deeply")
    if isinstance(value, dict):
        for item in value.values():
            _check_numbers(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_numbers(item, depth + 1)
    elif isinstance(value, int | float) and not 0 <= value <= TOKENS_MAX:
        raise PydanticCustomError("bad_count", "usage holds a number below 0 or above 1000000000")
