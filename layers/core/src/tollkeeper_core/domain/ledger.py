"""What the ledger is asked and what it answers: the shapes that scripts, store and services share.

All amounts are nano-USD, all instants epoch milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tollkeeper_core.domain.money import format_minor
from tollkeeper_core.domain.periods import Periods, Window


@dataclass(frozen=True, slots=True)
class Lot:
    """One purchase of credits, as far as it is not used up."""

    id: str
    granted_nano: int
    remaining_nano: int
    paid_minor: int
    currency: str
    expires_ms: int | None
    granted_ms: int


@dataclass(frozen=True, slots=True)
class Counters:
    """One period of one user: what is settled and what is held, by the tier and in all."""

    allowance_nano: int = 0
    total_nano: int = 0
    held_allowance_nano: int = 0
    held_total_nano: int = 0


@dataclass(frozen=True, slots=True)
class WindowLimit:
    """One window of the tier that counts."""

    limit_nano: int
    hard: bool

    def used_nano(self, counters: Counters) -> int:
        """What counts against this limit and is settled."""
        return counters.total_nano if self.hard else counters.allowance_nano

    def held_nano(self, counters: Counters) -> int:
        """What counts against this limit and is held."""
        return counters.held_total_nano if self.hard else counters.held_allowance_nano

    def room_nano(self, counters: Counters) -> int:
        """What this limit still leaves, holds taken off. May be negative."""
        return self.limit_nano - self.used_nano(counters) - self.held_nano(counters)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a user stands in the periods of one instant."""

    tier: str
    limits: Mapping[Window, WindowLimit]
    counters: Mapping[Window, Counters]
    lots: tuple[Lot, ...]
    held_credits_nano: int


@dataclass(frozen=True, slots=True)
class Reserve:
    """Hold ``amount_nano`` for a call under way. ``reservation_id`` makes it idempotent."""

    user_id: str
    reservation_id: str
    amount_nano: int
    tier: str | None
    periods: Periods
    now_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """The answer to Reserve. Asked twice, the first answer (``now_ms`` tells when it was given).

    ``held_nano`` is what is held (0 when blocked), ``affordable_nano`` what would have fitted.
    """

    admitted: bool
    reservation_id: str
    amount_nano: int
    held_nano: int
    affordable_nano: int
    expires_ms: int
    now_ms: int
    period_ids: tuple[str, str, str]
    standing: Standing


@dataclass(frozen=True, slots=True)
class Settle:
    """Charge an AI call's actual cost and let its hold go. Idempotent by ``event_id``.

    ``periods`` are those of the call's own time; a reservation brings the periods of its check,
    which count instead.
    """

    user_id: str
    event_id: str
    cost_nano: int
    reservation_id: str | None
    periods: Periods
    now_ms: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """The answer to Settle; the same for the same event, however often it comes.

    ``cost = allowance + sum of lots``, where ``allowance`` includes ``overrun``. ``expired_nano``:
    what lots past their expiry lost on this occasion. ``tier`` is the one that counted,
    ``said_tier`` the one that the app had named last ("" when it never did).
    """

    user_id: str
    event_id: str
    cost_nano: int
    allowance_nano: int
    overrun_nano: int
    lots_nano: Mapping[str, int]
    period_ids: tuple[str, str, str]
    tier: str
    said_tier: str
    expired_nano: Mapping[str, int]
    settled_ms: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """Credits from one purchase.

    Idempotent for ever by ``purchase_id``: Stripe's session or invoice id.
    """

    user_id: str
    purchase_id: str
    pack: str
    granted_nano: int
    paid_minor: int
    currency: str
    expires_ms: int | None
    prompt_id: str | None
    now_ms: int


@dataclass(frozen=True, slots=True)
class Granted:
    """The answer to Grant; the first one, however often it comes.

    ``repaid_nano`` of it went to what was owed. ``refunded_minor``: what was refunded of it before
    it was granted (events come in any order), which is for the caller to revoke now.
    """

    user_id: str
    purchase_id: str
    pack: str
    granted_nano: int
    paid_minor: int
    currency: str
    expires_ms: int | None
    granted_ms: int
    repaid_nano: int
    refunded_minor: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class Revoke:
    """Take back the refunded part of a purchase. ``refunded_minor`` is the total of all refunds:
    the highest total counts, so that they may come in any order and any number.
    """

    user_id: str
    purchase_id: str
    refunded_minor: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class Revoked:
    """The answer to Revoke: ``revoked = from_lot + owed`` is what this total took more than the
    highest before it. None of it exists where a higher total came before.
    """

    user_id: str
    purchase_id: str
    pack: str
    refunded_minor: int
    revoked_nano: int
    from_lot_nano: int
    owed_nano: int
    revoked_ms: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """What Stripe says of one subscription at ``version`` (orders the events of one subscription).

    ``version``: (event's ``created``, 0 created / 1 updated / 2 deleted), the larger counts.
    ``tier`` holds until ``until_ms`` (exclusive); 0 takes it away.
    """

    user_id: str
    subscription_id: str
    plan: str
    tier: str
    until_ms: int
    version: tuple[int, int]
    prompt_id: str | None
    now_ms: int


class PromptState(StrEnum):
    """What has become of one showing of the upgrade page."""

    OPEN = "open"
    PAID = "paid"


class LedgerError(Exception):
    """Base of what a ledger raises on purpose."""


class UnknownTierError(LedgerError):
    """The app named a tier that is not configured."""

    def __init__(self, tier: str) -> None:
        super().__init__(f"there is no tier {tier!r}: configure the parameter tiers/{tier} first")
        self.tier = tier


class StaleConfigError(LedgerError):
    """The configuration changed since it was read. Nothing was done: read it again and repeat."""


class NothingPublishedError(LedgerError):
    """There is no configuration, so this Redis is new or was emptied. Nothing was done: it may be
    repeated once sync_config, or a rebuild, has published one.
    """

    def __init__(self) -> None:
        super().__init__("no configuration is published: this Redis is new, or it was emptied")


class LedgerUnavailableError(LedgerError):
    """Redis did not answer in time, or answered an error of its own. The effect is unknown:
    the same request may be repeated, ids make it safe.
    """


def display_credits(lots: tuple[Lot, ...], now_ms: int) -> dict[str, tuple[int, str]]:
    """What a user's credits are worth in what was paid: currency -> (minor units, text).

    The sum over lots of paid x remaining / granted, exact in rationals, rounded down at the end,
    and never 0 while anything remains. Lots past their expiry do not count.
    """
    usable: dict[str, list[Lot]] = {}
    for lot in lots:
        if lot.remaining_nano > 0 and (lot.expires_ms is None or lot.expires_ms > now_ms):
            usable.setdefault(lot.currency, []).append(lot)
    shown = {currency: max(1, _worth_minor(some)) for currency, some in usable.items()}
    return {c: (minor, format_minor(minor, c)) for c, minor in sorted(shown.items())}


def _worth_minor(lots: list[Lot]) -> int:
    """The floor of the sum of paid x remaining / granted.

    Each term is rounded down to 2**-128 first, so the sum is short by less than as many of these as
    there are terms. Only where that may hide a whole unit are the fractions themselves added: their
    common denominator has a thousand digits for a hundred lots.
    """
    parts = [(lot.paid_minor * lot.remaining_nano, lot.granted_nano) for lot in lots]
    low = sum((above << 128) // below for above, below in parts)
    if low >> 128 == (low + len(parts)) >> 128:
        return low >> 128
    from fractions import Fraction  # 10 ms that a check hardly ever pays

    return int(sum(Fraction(above, below) for above, below in parts))
