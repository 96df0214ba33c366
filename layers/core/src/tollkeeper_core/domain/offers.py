"""What is for sale, and the terms of a purchase as they stood at the click.

The terms travel as metadata of the provider's objects and come back with its events: what a payer
saw is what a payer gets, whatever the configuration says by then. ``tollkeeper`` names the stage,
so that two stages, and the owner's own products, can share one account.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Self, TypeVar

from tollkeeper_core.domain.config import Config, Pack, Plan
from tollkeeper_core.domain.money import AMOUNT_NANO_MAX, format_minor, minor_digits
from tollkeeper_core.domain.movements import Cause
from tollkeeper_core.domain.split import LABEL
from tollkeeper_core.domain.values import NAME

MARK = "tollkeeper"

#: With this in its metadata a payment is a top-up without a Checkout, and its own purchase.
AUTO_TOP_UP = "auto_top_up"

#: Of a plan's metadata what is its own, and not the buyer's or the stage's.
_OF_PLAN = ("plan", "tier", "price_minor", "currency", "credit_nano", "rollover")

_Offer = TypeVar("_Offer", Pack, Plan)

#: Of the metadata what is there for the funnel alone.
_CAUSE = ("trigger", "from_tier", "variant")

_PRICE_MINOR_MAX = 99_999_999
_EXPIRES_DAYS_MAX = 3650
_FRESH_HOURS_MAX = 720


@dataclass(frozen=True, slots=True)
class Choice:
    """What a payer chose of a pack; ``amount_text`` (``12.50``) where the pack lets them.

    ``embedded``: to pay inside the app's page, where the owner has set that up.
    """

    quantity: int = 1
    amount_text: str | None = None
    embedded: bool = False


class ChoiceError(ValueError):
    """A choice that the pack does not allow. Its text is for the payer."""


class TermsError(ValueError):
    """Metadata with our mark that makes no sense. Its text names the field, not the value."""


@dataclass(frozen=True, slots=True)
class PackTerms:
    """A pack as it was bought: ``credit_nano`` of AI spend for ``price_minor``, all told.

    Of the credit ``fresh_nano`` are open at once, and all after ``fresh_hours`` (0: at once).
    ``trigger``, ``from_tier`` and ``variant``: what led there, for the funnel; "" before it asked.
    """

    user_id: str
    prompt_id: str
    pack: str
    credit_nano: int
    price_minor: int
    currency: str
    expires_days: int | None
    fresh_hours: int = 0
    fresh_nano: int = 0
    trigger: str = ""
    from_tier: str = ""
    variant: str = ""

    def metadata(self, stage: str) -> dict[str, str]:
        """What is sent along with the purchase."""
        expires = {} if self.expires_days is None else {"expires_days": str(self.expires_days)}
        fresh = {"fresh_hours": str(self.fresh_hours), "fresh_nano": str(self.fresh_nano)}
        return {
            MARK: stage,
            "user_id": self.user_id,
            "prompt_id": self.prompt_id,
            "pack": self.pack,
            "credit_nano": str(self.credit_nano),
            "price_minor": str(self.price_minor),
            "currency": self.currency,
            **expires,
            **(fresh if self.fresh_hours else {}),
            **_cause(self),
        }

    @classmethod
    def read(cls, metadata: Mapping[str, object]) -> Self:
        """What came back. Raises TermsError."""
        return cls(
            user_id=_text(metadata, "user_id", r"(?s:.{1,128})"),
            prompt_id=_text(metadata, "prompt_id", r"[!-~]{1,128}"),
            pack=_text(metadata, "pack", NAME),
            credit_nano=read_number(metadata, "credit_nano", AMOUNT_NANO_MAX),
            price_minor=read_number(metadata, "price_minor", _PRICE_MINOR_MAX),
            currency=_text(metadata, "currency", "[a-z]{3}"),
            expires_days=read_number(metadata, "expires_days", _EXPIRES_DAYS_MAX)
            if "expires_days" in metadata
            else None,
            fresh_hours=read_number(metadata, "fresh_hours", _FRESH_HOURS_MAX)
            if "fresh_hours" in metadata
            else 0,
            fresh_nano=read_number(metadata, "fresh_nano", AMOUNT_NANO_MAX, lowest=0)
            if "fresh_hours" in metadata
            else 0,
            trigger=_optional(metadata, "trigger", "[a-z]{1,20}"),
            from_tier=_optional(metadata, "from_tier", NAME),
            variant=_optional(metadata, "variant", LABEL),
        )

    @property
    def cause(self) -> Cause | None:
        """What led there; None before anybody asked."""
        return _cause_of(self)

    @classmethod
    def of(
        cls,
        config: Config,
        name: str,
        choice: "Choice",
        user_id: str,
        prompt_id: str,
        *,
        trusted: bool = False,
    ) -> "tuple[Self, int]":
        """The terms of a pack at this moment, and how many of it. Raises ChoiceError.

        ``trusted``: all of it is open at once (Fraud.trusts).
        """
        pack = config.packs[name]
        quantity, price_minor, credit_nano = choice.quantity, pack.price_minor, pack.credit_usd
        if not 1 <= quantity <= pack.max_quantity:
            raise ChoiceError(f"The quantity must be 1 to {pack.max_quantity}.")
        if pack.amount is not None:
            if choice.amount_text is not None:
                price_minor = _minor(choice.amount_text, config.currency_of(pack))
            if not pack.amount.min_minor <= price_minor <= pack.amount.max_minor:
                currency = config.currency_of(pack)
                low, high = (
                    format_minor(minor, currency)
                    for minor in (pack.amount.min_minor, pack.amount.max_minor)
                )
                raise ChoiceError(f"The amount must be {low} to {high}.")
            credit_nano = pack.credit_usd * price_minor // pack.price_minor
        elif choice.amount_text is not None:
            raise ChoiceError("The price of this pack is fixed.")
        credit_nano = credit_nano * quantity
        fresh_hours, fresh_nano = fresh(config, name, credit_nano, trusted=trusted)
        terms = cls(
            user_id=user_id,
            prompt_id=prompt_id,
            pack=name,
            credit_nano=max(credit_nano, 1),
            price_minor=price_minor * quantity,
            currency=config.currency_of(pack),
            expires_days=pack.expires_days,
            fresh_hours=fresh_hours,
            fresh_nano=fresh_nano,
        )
        return terms, quantity


def fresh(config: Config, name: str, credit_nano: int, *, trusted: bool) -> tuple[int, int]:
    """How many hours new credit opens in, and what of it is open at once. (0, 0): all of it is."""
    fraud, pack = config.settings.fraud, config.packs.get(name)
    hours, percent = fraud.fresh_hours, fraud.fresh_percent
    if pack is not None and pack.fresh_hours is not None:
        hours = pack.fresh_hours
    if pack is not None and pack.fresh_percent is not None:
        percent = pack.fresh_percent
    if trusted or percent == 100 or not hours:
        return 0, 0
    return hours, credit_nano * percent // 100


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
    trigger: str = ""
    from_tier: str = ""
    variant: str = ""

    @property
    def cause(self) -> Cause | None:
        """What led to a purchase; None where nobody asked, or where it is none."""
        return _cause_of(self)

    @property
    def without_cause(self) -> Self:
        """The terms of a change that is no purchase."""
        return replace(self, trigger="", from_tier="", variant="")

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
            **_cause(self),
        }

    def in_place_of(self, stage: str, kept: "KeptPlan | None" = None) -> dict[str, str]:
        """What is sent to replace the terms of a subscription that runs.

        Stripe keeps what is not named: what these terms lack is emptied. ``kept``: what stands
        until these take effect.
        """
        kept_names = (f"kept_{name}" for name in (*_OF_PLAN, "until"))
        optional = ("credit_nano", "rollover", *_CAUSE, *kept_names)
        waiting = {} if kept is None else kept.metadata(stage)
        return {**dict.fromkeys(optional, ""), **self.metadata(stage), **waiting}

    @classmethod
    def read(cls, metadata: Mapping[str, object]) -> Self:
        """What came back. Raises TermsError."""
        return cls(
            user_id=_text(metadata, "user_id", r"(?s:.{1,128})"),
            prompt_id=_text(metadata, "prompt_id", r"[!-~]{1,128}"),
            plan=_text(metadata, "plan", NAME),
            tier=_text(metadata, "tier", NAME),
            price_minor=read_number(metadata, "price_minor", _PRICE_MINOR_MAX),
            currency=_text(metadata, "currency", "[a-z]{3}"),
            credit_nano=read_number(metadata, "credit_nano", AMOUNT_NANO_MAX)
            if metadata.get("credit_nano")
            else 0,
            rollover=metadata.get("rollover") == "1",
            trigger=_optional(metadata, "trigger", "[a-z]{1,20}"),
            from_tier=_optional(metadata, "from_tier", NAME),
            variant=_optional(metadata, "variant", LABEL),
        )


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """A plan that is paid until ``until_s`` and that another one follows."""

    terms: PlanTerms
    until_s: int

    def metadata(self, stage: str) -> dict[str, str]:
        """What is sent along beside the terms that follow."""
        of_plan = {k: v for k, v in self.terms.metadata(stage).items() if k in _OF_PLAN}
        return {**{f"kept_{k}": v for k, v in of_plan.items()}, "kept_until": str(self.until_s)}

    @classmethod
    def read(cls, metadata: Mapping[str, object]) -> "Self | None":
        """What came back; None where nothing is to follow. Raises TermsError."""
        if not metadata.get("kept_until"):
            return None
        others = {k: v for k, v in metadata.items() if k not in _OF_PLAN}
        kept = {k: metadata[f"kept_{k}"] for k in _OF_PLAN if metadata.get(f"kept_{k}")}
        return cls(PlanTerms.read({**others, **kept}), read_number(metadata, "kept_until", 10**11))


def _minor(text: str, currency: str) -> int:
    """``12.50`` as minor units. Raises ChoiceError."""
    minor = Decimal(text) * 10 ** minor_digits(currency)
    if minor != int(minor):
        raise ChoiceError("The amount has more decimal places than the currency.")
    return int(minor)


def packs_offered(config: Config) -> list[tuple[str, Pack]]:
    """The packs, in the owner's order."""
    return sorted(config.packs.items(), key=lambda item: (item[1].order, item[0]))


def shown(
    offered: list[tuple[str, _Offer]], names: Sequence[str] | None
) -> list[tuple[str, _Offer]]:
    """Of what is for sale these names, in this order; all of it without them."""
    if names is None:
        return offered
    by_name = dict(offered)
    return [(name, by_name[name]) for name in names if name in by_name]


def plans_offered(config: Config, tier: str) -> list[tuple[str, Plan]]:
    """The plans that give more than ``tier``, in the owner's order.

    One that gives no more is not for sale: its buyer has it, or better, and would pay twice.
    """
    rank = config.tiers[tier].rank if tier in config.tiers else -1
    better = [(name, p) for name, p in config.plans.items() if config.tiers[p.tier].rank > rank]
    return sorted(better, key=lambda item: (item[1].order, item[0]))


def _cause_of(terms: "PackTerms | PlanTerms") -> Cause | None:
    if not terms.trigger:
        return None
    return Cause(terms.prompt_id, terms.trigger, terms.from_tier, terms.variant)


def _cause(terms: "PackTerms | PlanTerms") -> dict[str, str]:
    cause = {name: getattr(terms, name) for name in _CAUSE}
    return {name: value for name, value in cause.items() if value}


def _optional(metadata: Mapping[str, object], key: str, pattern: str) -> str:
    return _text(metadata, key, pattern) if metadata.get(key) else ""


def plans_below(config: Config, plan: str) -> list[tuple[str, Plan]]:
    """The plans that whoever has ``plan`` may change to for less, in the owner's order.

    Of the same interval and currency: another one would begin, and be paid, at once.
    """
    mine = config.plans.get(plan)
    if mine is None:
        return []
    rank = config.tiers[mine.tier].rank
    smaller = [
        (name, p)
        for name, p in config.plans.items()
        if config.tiers[p.tier].rank < rank
        and p.interval == mine.interval
        and config.currency_of(p) == config.currency_of(mine)
    ]
    return sorted(smaller, key=lambda item: (item[1].order, item[0]))


def _text(metadata: Mapping[str, object], key: str, pattern: str) -> str:
    value = metadata.get(key)
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise TermsError(f"metadata.{key} is missing or not valid")
    return value


def read_number(metadata: Mapping[str, object], key: str, highest: int, *, lowest: int = 1) -> int:
    """A number of the metadata. Raises TermsError."""
    number = int(_text(metadata, key, "[0-9]{1,16}"))
    if not lowest <= number <= highest:
        raise TermsError(f"metadata.{key} is out of range")
    return number
