"""What a user may see of their usage, and a link for their "buy credits" button."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import SchemaValidator, ValidationError

from tollkeeper_core.domain.ledger import UnknownTierError
from tollkeeper_core.domain.links import LinkReason
from tollkeeper_core.domain.periods import periods_at
from tollkeeper_core.domain.ports import Clock, Limits
from tollkeeper_core.domain.problems import invalid
from tollkeeper_core.domain.rules import Rules
from tollkeeper_core.domain.values import ID
from tollkeeper_core.services.config_cache import ConfigCache, InHand
from tollkeeper_core.services.links import Links
from tollkeeper_core.services.usage_view import usage_view

if TYPE_CHECKING:
    from tollkeeper_core.domain.api import LinkRequest

_USER_ID = SchemaValidator(ID)


@dataclass(frozen=True)
class ReadUsage:
    """``GET /v1/users/{id}/usage``."""

    ledger: Limits
    configs: ConfigCache[Rules]
    clock: Clock

    def __call__(self, user_id: str) -> dict[str, Any]:
        """See usage_view. A user never seen before has the default tier and used nothing."""
        try:
            _USER_ID.validate_python(user_id)
        except ValidationError:
            raise invalid(
                "The user id must be 1 to 128 characters, none a control character."
            ) from None
        return self.configs.fresh(lambda hand: self._read(hand, user_id))

    def _read(self, hand: InHand[Rules], user_id: str) -> dict[str, Any]:
        now_ms = self.clock()
        periods = periods_at(hand.config.calendar, now_ms)
        standing = self.ledger.read(user_id, None, periods, now_ms, hand.version)
        periods = periods_at(hand.config.calendar, now_ms, standing.anchor_day)
        return usage_view(standing, periods, now_ms)


@dataclass(frozen=True)
class UserLinks:
    """``POST /v1/upgrade-links``."""

    configs: ConfigCache[Rules]
    links: Links

    def __call__(self, request: "LinkRequest") -> dict[str, Any]:
        """{"upgrade_url"}. Raises Problem 422 for a tier that is not configured."""
        if request.tier and request.tier not in self.configs.current().config.tiers:
            raise invalid(str(UnknownTierError(request.tier)))
        reason = LinkReason(request.reason) if request.reason else None
        url = self.links.url(request.user_id, request.tier, reason, lifetime_s=request.expires_in)
        return {"upgrade_url": url}
