"""What the payment side knows of a user."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tollkeeper_core.domain.movements import PromptState
from tollkeeper_core.domain.top_ups import TopUp


@dataclass(frozen=True, slots=True)
class Account:
    """What the payment side knows of a user. ``subscriptions``: those that run, id -> plan;
    ``next_plans``: the plans that follow, where one does.

    ``first_paid_ms``: when the user first paid for something of which nothing was ever claimed
    back; None: never.
    """

    customer_id: str | None
    subscriptions: Mapping[str, str]
    purchases: int
    first_paid_ms: int | None
    prompt: PromptState = PromptState.OPEN
    next_plans: Mapping[str, str] = field(default_factory=dict)
    top_up: TopUp | None = None


class Accounts(Protocol):
    """What a checkout needs to know. Raises LedgerUnavailableError."""

    def account(
        self, user_id: str, since_ms: int, now_ms: int, prompt_id: str | None = None
    ) -> Account:
        """``purchases``: how many packs were bought since. ``prompt``: what became of that one."""
        ...

    def keep_customer(self, user_id: str, customer_id: str, replaces: str | None) -> str:
        """Keep the provider's id of a user; answers the one that counts, which came first."""
        ...
