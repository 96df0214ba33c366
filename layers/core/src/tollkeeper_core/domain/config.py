"""The owner's configuration, as it stands in SSM, validated.

One SSM parameter is one JSON object. Unknown fields are errors: a typing mistake in a limit must
not pass as "no limit".
"""

import re
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    model_validator,
)

from tollkeeper_core.domain.money import format_usd, parse_usd
from tollkeeper_core.domain.periods import WEEKDAYS, Calendar, Window

NAME = r"[a-z0-9][a-z0-9_-]{0,39}"


def _usd(value: object) -> int:
    # Only strings: a JSON number is a float by the time that anyone sees it.
    if not isinstance(value, str):
        raise ValueError('must be a decimal string of US dollars such as "0.50", not a number')
    return parse_usd(value)


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)  # which looks for this one; available_timezones() would list all, in 9 ms
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{value!r} is not an IANA time zone such as 'Europe/Berlin'") from None
    return value


def _origin(value: str) -> str:
    if not re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?", value):
        raise ValueError("must be an origin such as https://app.example.com: no path, no wildcard")
    if value.startswith("http://") and not re.match(r"http://(localhost|127\.0\.0\.1)(:|$)", value):
        raise ValueError("must be https (http only for localhost)")
    return value


UsdNano = Annotated[int, BeforeValidator(_usd), PlainSerializer(format_usd, return_type=str)]
Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Currency = Annotated[str, StringConstraints(pattern="^[a-z]{3}$")]
Origin = Annotated[str, AfterValidator(_origin)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limit(_Model):
    """The AI spend that one window allows. ``hard``: credits do not help past it (abuse cap)."""

    limit_usd: UsdNano
    hard: bool = False
    credits: Literal["extend"] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.hard and self.credits:
            raise ValueError("a window is either hard or extended by credits, not both")
        return self


class Tier(_Model):
    """A named set of limits. A window that is not named has none.

    ``outage_grace_usd``: what a user may use in an hour while Redis is away and ``outage`` says
    allow (see services/outage.py); the lowest of the limits where it is not given.
    """

    rank: Annotated[int, Field(ge=0, le=1000)] = 0
    label: Label | None = None
    limits: dict[Window, Limit]
    enforcement: Literal["strict", "soft"] = "strict"
    outage: Literal["allow", "block"] = "allow"
    outage_grace_usd: UsdNano | None = None


class Pack(_Model):
    """A credit top-up: what the payer pays, and the AI spend that it buys."""

    label: Label
    price_minor: Annotated[int, Field(ge=1, le=99_999_999)]
    currency: Currency | None = None
    credit_usd: Annotated[UsdNano, Field(gt=0)]
    expires_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    order: int = 0


class Plan(_Model):
    """A subscription that gives a tier."""

    label: Label
    tier: Name
    price_minor: Annotated[int, Field(ge=1, le=99_999_999)]
    currency: Currency | None = None
    interval: Literal["month", "year"] = "month"
    order: int = 0


class CeilingPrice(_Model):
    """What a million tokens of an unpriced model cost: set it at the highest that you pay."""

    input_usd_per_mtok: UsdNano
    output_usd_per_mtok: UsdNano


class Copy(_Model):
    """The owner's words on the upgrade page."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=120)] = (
        "You have reached your limit"
    )
    upgrade_message: Annotated[str, StringConstraints(min_length=1, max_length=400)] = (
        "Top up to go on right away, or wait until your limit resets."
    )


class Settings(_Model):
    """What holds for the whole stage (SSM ``settings``)."""

    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    week_start: Literal[
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
    ] = "monday"
    default_tier: Name = "free"
    currency: Currency = "usd"
    allowed_origins: Annotated[list[Origin], Field(max_length=50)] = []
    unknown_model: Literal["block"] | CeilingPrice = "block"
    reservation_seconds: Annotated[int, Field(ge=10, le=86_400)] = 600
    past_due_grace_days: Annotated[int, Field(ge=0, le=60)] = 7
    text: Copy = Field(default_factory=Copy, alias="copy")

    @property
    def calendar(self) -> Calendar:
        """Where this stage's days and weeks begin."""
        return Calendar(self.time_zone, WEEKDAYS.index(self.week_start))


Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class Config(_Model):
    """All of it. ``api_keys``: key id -> SHA-256 (hex) of the whole key; two at most, to rotate."""

    settings: Settings = Field(default_factory=Settings)
    tiers: dict[Name, Tier]
    packs: dict[Name, Pack] = {}
    plans: dict[Name, Plan] = {}
    api_keys: Annotated[dict[str, Sha256], Field(max_length=2)] = {}

    @model_validator(mode="after")
    def _refers_to_what_exists(self) -> Self:
        if self.settings.default_tier not in self.tiers:
            raise ValueError(
                f"settings.default_tier is {self.settings.default_tier!r}, "
                f"but there is no parameter tiers/{self.settings.default_tier}"
            )
        for name, plan in self.plans.items():
            if plan.tier not in self.tiers:
                raise ValueError(
                    f"plans/{name} gives tier {plan.tier!r}, but there is no tiers/{plan.tier}"
                )
        return self

    def currency_of(self, offer: Pack | Plan) -> str:
        """An offer's own currency, or the stage's."""
        return offer.currency or self.settings.currency
