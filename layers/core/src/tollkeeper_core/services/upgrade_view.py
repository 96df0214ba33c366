"""What the upgrade page shows of one user."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tollkeeper_core.domain.accounts import Account
from tollkeeper_core.domain.config import Config, Pack, Plan
from tollkeeper_core.domain.experiments import Assignment
from tollkeeper_core.domain.ledger import Standing
from tollkeeper_core.domain.links import LinkClaims
from tollkeeper_core.domain.movements import PromptState
from tollkeeper_core.domain.offers import packs_offered, plans_below, plans_offered, shown


@dataclass(frozen=True, slots=True)
class UpgradePage:
    """What the page shows. ``usage`` is what end users may see (see ``usage_view``); ``config`` has
    the texts of this user's variant.
    """

    claims: LinkClaims
    config: Config
    standing: Standing
    usage: Mapping[str, Any]
    account: Account
    now_ms: int
    assigned: Assignment

    @property
    def state(self) -> PromptState:
        """What became of the link's prompt."""
        return self.account.prompt

    @property
    def packs(self) -> list[tuple[str, Pack]]:
        """The packs that are shown, by name: any other is for sale to whoever asks for it."""
        return shown(packs_offered(self.config), self.assigned.packs)

    @property
    def plans(self) -> list[tuple[str, Plan]]:
        """The plans for sale to this user, by name; none while another one is to follow theirs."""
        if self.account.next_plans:
            return []
        return plans_offered(self.config, self.standing.tier)

    @property
    def plans_shown(self) -> list[tuple[str, Plan]]:
        """Of these the ones that are shown."""
        return shown(self.plans, self.assigned.plans)

    @property
    def smaller_plans(self) -> list[tuple[str, Plan]]:
        """The plans that may follow the one that runs when what is paid is over, by name."""
        if self.account.next_plans:
            return []
        offered = {name for name, _ in self.plans}
        below = plans_below(self.config, next(iter(self.account.subscriptions.values()), ""))
        return [(name, plan) for name, plan in below if name not in offered]
