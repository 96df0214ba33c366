"""What a check decides while Redis is away: the tier's policy, and how far it goes."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from tollkeeper_core.domain.ledger import UnknownTierError
from tollkeeper_core.domain.money import format_usd
from tollkeeper_core.domain.periods import rfc3339
from tollkeeper_core.domain.ports import Clock
from tollkeeper_core.domain.problems import invalid, unavailable
from tollkeeper_core.domain.rules import Rules

_HOUR_MS = 3_600_000

#: Of so many users it is remembered what they were allowed; beyond, the first ones are forgotten.
_USERS_MAX = 10_000

#: A call whose price nobody knows at the moment counts as this part of the grace.
_CALLS_OF_UNKNOWN_PRICE = 10


@dataclass
class OutagePolicy:
    """``outage: allow`` lets a user go on, up to the tier's grace in an hour; ``block`` nobody.

    Redis would be the place to count in; without it each process counts for itself, so that the
    bound is the grace times the processes that a user's calls meet. What was allowed is charged all
    the same, once the usage that the app reports is settled.
    """

    clock: Clock
    _hour: int = field(default=0, init=False)
    _allowed_nano: "OrderedDict[str, int]" = field(default_factory=OrderedDict, init=False)

    def decide(
        self,
        rules: Rules,
        user_id: str,
        tier_name: str | None,
        amount_nano: int | None,
        reservation_id: str,
    ) -> dict[str, Any]:
        """The answer's body. ``amount_nano``: None where the price is not known.

        Raises Problem: 422 (unknown tier), 503 (the policy says block, or the grace is used up).
        """
        tier = rules.tiers.get(tier_name or rules.default_tier)
        if tier is None:
            raise invalid(str(UnknownTierError(tier_name or "")))
        if tier.blocks or not self._admits(user_id, amount_nano, tier.grace_nano):
            raise unavailable("Limits cannot be checked at the moment; try again.")
        expires_ms = self.clock() + rules.reservation_ms
        return {
            "decision": "allow",
            "degraded": True,
            "reservation_id": reservation_id,
            "reserved_usd": format_usd(0),
            "expires_at": rfc3339(expires_ms),
            "warnings": [],
            "usage": None,
        }

    def _admits(self, user_id: str, amount_nano: int | None, grace: int | None) -> bool:
        if grace is None:
            return True
        hour = self.clock() // _HOUR_MS
        if hour != self._hour:
            self._hour = hour
            self._allowed_nano.clear()
        amount = grace // _CALLS_OF_UNKNOWN_PRICE if amount_nano is None else amount_nano
        before = self._allowed_nano.get(user_id, 0)
        if before + amount > grace:
            return False
        self._allowed_nano[user_id] = before + amount
        self._allowed_nano.move_to_end(user_id)
        if len(self._allowed_nano) > _USERS_MAX:
            self._allowed_nano.popitem(last=False)
        return True
