"""What is for sale, and the terms of a purchase as they stood at the click.

The terms travel as metadata of the provider's objects and come back with its events: what a payer
saw is what a payer gets, whatever the configuration says by then. ``tollkeeper`` names the stage,
so that two stages, and the owner's own products, can share one account.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from tollkeeper_core.domain.config import NAME, Config, Pack, Plan
from tollkeeper_core.domain.money import AMOUNT_NANO_MAX

MARK = "tollkeeper"

#: With this in its metadata a payment is a top-up without a Checkout, and its own purchase.
AUTO_TOP_UP = "auto_top_up"

_PRICE_MINOR_MAX = 99_999_999
_EXPIRES_DAYS_MAX = 3650


class TermsError(ValueError):
    """Metadata with our mark that makes no sense. Its text names the field, not the value."""


@dataclass(frozen=True, slots=True)
class PackTerms:
    """A pack as it was bought: ``credit_nano`` of AI spend for ``price_minor``."""

    user_id: str
    prompt_id: str
    pack: str
    credit_nano: int
    price_minor: int
    currency: str
    expires_days: int | None

    def metadata(self, stage: str) -> dict[str, str]:
        """What is sent along with the purchase."""
        expires = {} if self.expires_days is None else {"expires_days": str(self.expires_days)}
        return {
            MARK: stage,
            "user_id": self.user_id,
            "prompt_id": self.prompt_id,
            "pack": self.pack,
            "credit_nano": str(self.credit_nano),
            "price_minor": str(self.price_minor),
            "currency": self.currency,
            **expires,
        }

    @classmethod
    def read(cls, metadata: Mapping[str, object]) -> Self:
        """What came back. Raises TermsError."""
        return cls(
            user_id=_text(metadata, "user_id", r"(?s:.{1,128})"),
            prompt_id=_text(metadata, "prompt_id", r"[!-~]{1,128}"),
            pack=_text(metadata, "pack", NAME),
            credit_nano=_number(metadata, "credit_nano", AMOUNT_NANO_MAX),
            price_minor=_number(metadata, "price_minor", _PRICE_MINOR_MAX),
            currency=_text(metadata, "currency", "[a-z]{3}"),
            expires_days=_number(metadata, "expires_days", _EXPIRES_DAYS_MAX)
            if "expires_days" in metadata
            else None,
        )


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """A plan as it was bought: ``tier`` for ``price_minor`` each interval.

    ``credit_nano`` of AI spend comes with every paid period and ends with it, or, with
    ``rollover``, never.
    """

    user_id: str
    prompt_id: str
    plan: str
    tier: str
    price_minor: int
    currency: str
    credit_nano: int = 0
    rollover: bool = False

    def metadata(self, stage: str) -> dict[str, str]:
        """What is sent along with the purchase."""
        included = {"credit_nano": str(self.credit_nano)} if self.credit_nano else {}
        rollover = {"rollover": "1"} if self.rollover else {}
        return {
            MARK: stage,
            "user_id": self.user_id,
            "prompt_id": self.prompt_id,
            "plan": self.plan,
            "tier": self.tier,
            "price_minor": str(self.price_minor),
            "currency": self.currency,
            **included,
            **rollover,
        }

    @classmethod
    def read(cls, metadata: Mapping[str, object]) -> Self:
        """What came back. Raises TermsError."""
        return cls(
            user_id=_text(metadata, "user_id", r"(?s:.{1,128})"),
            prompt_id=_text(metadata, "prompt_id", r"[!-~]{1,128}"),
            plan=_text(metadata, "plan", NAME),
            tier=_text(metadata, "tier", NAME),
            price_minor=_number(metadata, "price_minor", _PRICE_MINOR_MAX),
            currency=_text(metadata, "currency", "[a-z]{3}"),
            credit_nano=_number(metadata, "credit_nano", AMOUNT_NANO_MAX)
            if "credit_nano" in metadata
            else 0,
            rollover=metadata.get("rollover") == "1",
        )


def packs_offered(config: Config) -> list[tuple[str, Pack]]:
    """The packs, in the owner's order."""
    return sorted(config.packs.items(), key=lambda item: (item[1].order, item[0]))


def plans_offered(config: Config, tier: str) -> list[tuple[str, Plan]]:
    """The plans that give more than ``tier``, in the owner's order.

    One that gives no more is not for sale: its buyer has it, or better, and would pay twice.
    """
    rank = config.tiers[tier].rank if tier in config.tiers else -1
    better = [(name, p) for name, p in config.plans.items() if config.tiers[p.tier].rank > rank]
    return sorted(better, key=lambda item: (item[1].order, item[0]))


def _text(metadata: Mapping[str, object], key: str, pattern: str) -> str:
    value = metadata.get(key)
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise TermsError(f"metadata.{key} is missing or not valid")
    return value


def _number(metadata: Mapping[str, object], key: str, highest: int) -> int:
    number = int(_text(metadata, key, "[0-9]{1,16}"))
    if not 1 <= number <= highest:
        raise TermsError(f"metadata.{key} is out of range")
    return number
