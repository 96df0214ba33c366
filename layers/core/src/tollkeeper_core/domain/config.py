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

from tollkeeper_core.domain.experiments import Experiment, Variant
from tollkeeper_core.domain.money import format_usd
from tollkeeper_core.domain.names import Name
from tollkeeper_core.domain.page_style import PageStyle
from tollkeeper_core.domain.periods import WEEKDAYS, Calendar, Window
from tollkeeper_core.domain.values import usd_nano


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


def _rate(value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value, re.ASCII) or not value.strip("0."):
        raise ValueError('must be a decimal string above 0 such as "1.08"')
    return value


UsdNano = Annotated[int, BeforeValidator(usd_nano), PlainSerializer(format_usd, return_type=str)]
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


_DAY_MS = 86_400_000

PriceMinor = Annotated[int, Field(ge=1, le=99_999_999)]
FreshHours = Annotated[int, Field(ge=0, le=720)]
Percent = Annotated[int, Field(ge=0, le=100)]


class Amount(_Model):
    """What a payer may choose to pay, in minor units: from ``min_minor`` to ``max_minor``."""

    min_minor: PriceMinor
    max_minor: PriceMinor

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_minor > self.max_minor:
            raise ValueError("min_minor is more than max_minor")
        return self


class Pack(_Model):
    """A credit top-up: what the payer pays, and the AI spend that it buys.

    ``amount``: the payer chooses what to pay, and gets credit at the rate of ``credit_usd`` for
    ``price_minor``. ``max_quantity``: how many may be bought at once. ``fresh_hours`` and
    ``fresh_percent`` stand above those of ``settings.fraud``. ``gives``: what it is in the app's
    own words, such as "about 300 messages"; payers read it. With ``page.estimates`` whoever made
    calls reads their own number in its place.
    """

    label: Label
    gives: Label | None = None
    price_minor: PriceMinor
    currency: Currency | None = None
    credit_usd: Annotated[UsdNano, Field(gt=0)]
    expires_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    amount: Amount | None = None
    max_quantity: Annotated[int, Field(ge=1, le=100)] = 1
    fresh_hours: FreshHours | None = None
    fresh_percent: Percent | None = None
    order: int = 0

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if self.amount is not None and self.max_quantity > 1:
            raise ValueError("a pack has an amount or a quantity to choose, not both")
        if self.price_minor * self.max_quantity > 99_999_999:
            raise ValueError("price_minor times max_quantity is more than Stripe takes, 99999999")
        return self


class Plan(_Model):
    """A subscription that gives a tier.

    ``included_credit_usd``: AI spend that comes with each paid period and ends with it, or, with
    ``rollover``, never. ``gives``: what it is in the app's own words; payers read it.
    """

    label: Label
    gives: Label | None = None
    tier: Name
    price_minor: PriceMinor
    currency: Currency | None = None
    interval: Literal["month", "year"] = "month"
    trial_days: Annotated[int, Field(ge=1, le=730)] | None = None
    included_credit_usd: Annotated[UsdNano, Field(gt=0)] | None = None
    rollover: bool = False
    order: int = 0

    @model_validator(mode="after")
    def _rolls_something_over(self) -> Self:
        if self.rollover and self.included_credit_usd is None:
            raise ValueError("rollover without included_credit_usd: there is nothing to keep")
        return self


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


class Checkout(_Model):
    """What Stripe's payment page offers; each needs its part of Stripe's dashboard set up.

    ``embedded_key``: Stripe's publishable key. With it the overlay's payment is made in the app's
    own page (Embedded Checkout), by Stripe's script, and in a pop-up where that does not load.
    """

    promotion_codes: bool = False
    automatic_tax: bool = False
    tax_ids: bool = False
    receipts: bool = False
    embedded_key: (
        Annotated[str, StringConstraints(pattern="^pk_(test|live)_[A-Za-z0-9]{1,200}$")] | None
    ) = None


class Fraud(_Model):
    """How fast new credits may be used and bought, so that a stolen card burns little.

    ``fresh_percent`` of a purchase is open at once, all of it after ``fresh_hours``.
    ``purchases_per_day``: how many packs a user may buy in 24 hours. ``trusted_days`` after the
    first payment of which nothing was ever claimed back, new purchases are open at once.
    """

    fresh_hours: FreshHours = 0
    fresh_percent: Percent = 100
    purchases_per_day: Annotated[int, Field(ge=1, le=1000)] | None = None
    trusted_days: Annotated[int, Field(ge=1, le=3650)] | None = None

    def trusts(self, first_paid_ms: int | None, now_ms: int) -> bool:
        """Whether that first payment (see ports.Account) is old enough by now."""
        if self.trusted_days is None or first_paid_ms is None:
            return False
        return now_ms - first_paid_ms >= self.trusted_days * _DAY_MS


class AutoTopUp(_Model):
    """Lets users agree to automatic top-ups: the same pack again once its credits run low.

    A user chooses one of ``thresholds_percent`` (of the pack's credit), and how many payments a
    calendar month there may be, up to ``monthly_max``. Between two payments lie
    ``cooldown_minutes``; after ``failures_max`` failures in a row, or when the bank wants to ask
    the user, it stops until they agree again.
    """

    thresholds_percent: Annotated[
        list[Annotated[int, Field(ge=1, le=90)]], Field(min_length=1, max_length=5)
    ] = [10, 25, 50]
    monthly_max: Annotated[int, Field(ge=1, le=100)] = 10
    cooldown_minutes: Annotated[int, Field(ge=1, le=10_080)] = 60
    failures_max: Annotated[int, Field(ge=1, le=10)] = 2


class Report(_Model):
    """How ``tollkeeper report --profit`` reads what Stripe pays out in other currencies.

    ``usd_per``: what one of a currency (a euro, not a cent) is worth in US dollars, such as
    ``{"eur": "1.08"}``. Without it such money stands by itself and is part of no profit.
    """

    usd_per: dict[Currency, Annotated[str, AfterValidator(_rate)]] = {}

    @model_validator(mode="after")
    def _dollars_are_dollars(self) -> Self:
        if "usd" in self.usd_per:
            raise ValueError("usd_per says what other currencies are worth, not usd")
        return self


class Settings(_Model):
    """What holds for the whole stage (SSM ``settings``)."""

    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    week_start: Literal[
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
    ] = "monday"
    monthly_anchor: Literal["calendar", "subscription"] = "calendar"
    default_tier: Name = "free"
    currency: Currency = "usd"
    allowed_origins: Annotated[list[Origin], Field(max_length=50)] = []
    unknown_model: Literal["block"] | CeilingPrice = "block"
    reservation_seconds: Annotated[int, Field(ge=10, le=86_400)] = 600
    past_due_grace_days: Annotated[int, Field(ge=0, le=60)] = 7
    checkout: Checkout = Field(default_factory=Checkout)
    fraud: Fraud = Field(default_factory=Fraud)
    auto_topup: AutoTopUp | None = None
    report: Report = Field(default_factory=Report)
    text: Copy = Field(default_factory=Copy, alias="copy")
    page: PageStyle = Field(default_factory=PageStyle)

    @property
    def calendar(self) -> Calendar:
        """Where this stage's days, weeks and months begin."""
        anchored = self.monthly_anchor == "subscription"
        return Calendar(self.time_zone, WEEKDAYS.index(self.week_start), anchored)


Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class Config(_Model):
    """All of it. ``api_keys``: key id -> SHA-256 (hex) of the whole key; two at most, to rotate."""

    settings: Settings = Field(default_factory=Settings)
    tiers: dict[Name, Tier]
    packs: dict[Name, Pack] = {}
    plans: dict[Name, Plan] = {}
    experiment: Experiment | None = None
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
        for variant in self.experiment.variants if self.experiment else ():
            self._sells_what_exists(variant)
        return self

    def _sells_what_exists(self, variant: Variant) -> None:
        for kind, shown, known in (
            ("packs", variant.packs, self.packs.keys()),
            ("plans", variant.plans, self.plans.keys()),
        ):
            for name in shown or ():
                if name not in known:
                    raise ValueError(
                        f"experiment: variant {variant.name!r} shows {kind[:-1]} {name!r}, "
                        f"but there is no {kind}/{name}"
                    )

    def as_seen_in(self, variant: Variant | None) -> Self:
        """With a variant's texts over the owner's. What is for sale stays what it is."""
        if variant is None or not variant.texts:
            return self
        page = self.settings.page.with_texts(variant.texts)
        settings = self.settings.model_copy(update={"page": page})
        return self.model_copy(update={"settings": settings})

    @property
    def snapshot(self) -> str:
        """All of it as JSON, as it is published. ``domain/rules.py`` reads it as well."""
        return self.model_dump_json(by_alias=True)

    def currency_of(self, offer: Pack | Plan) -> str:
        """An offer's own currency, or the stage's."""
        return offer.currency or self.settings.currency
