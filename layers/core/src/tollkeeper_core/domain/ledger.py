"""What the ledger is asked and what it answers: the shapes that scripts, store and services share.

All amounts are nano-USD, all instants epoch milliseconds.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from tollkeeper_core.domain.money import format_minor
from tollkeeper_core.domain.periods import Periods, Window


@dataclass(frozen=True, slots=True)
class Lot:
    """One purchase of credits, as far as it is not used up.

    ``worth_minor``: what all of it is shown as. ``frozen``: nothing of it may be used, since
    somebody disputes its payment. A fresh lot opens little by little until ``fresh_until_ms``, of
    which ``fresh_nano`` were open at once.
    """

    id: str
    granted_nano: int
    remaining_nano: int
    worth_minor: int
    currency: str
    expires_ms: int | None
    granted_ms: int
    frozen: bool = False
    fresh_until_ms: int | None = None
    fresh_nano: int = 0

    def is_over(self, now_ms: int) -> bool:
        """Past its expiry."""
        return self.expires_ms is not None and self.expires_ms <= now_ms

    def usable_nano(self, now_ms: int) -> int:
        """What calls may take of it at this moment (``usable`` in lua/state.lua)."""
        if self.frozen or self.is_over(now_ms):
            return 0
        if self.fresh_until_ms is None or self.fresh_until_ms <= now_ms:
            return self.remaining_nano
        age_ms = max(now_ms - self.granted_ms, 0)
        later_nano = self.granted_nano - self.fresh_nano
        opened = self.fresh_nano + later_nano * age_ms // (self.fresh_until_ms - self.granted_ms)
        used = self.granted_nano - self.remaining_nano
        return min(max(opened - used, 0), self.remaining_nano)


@dataclass(frozen=True, slots=True)
class Counters:
    """One period of one user: what is settled and what is held, by the tier and in all.

    ``calls``: how many settled calls cost something; 0 where not all of them were counted.
    """

    allowance_nano: int = 0
    total_nano: int = 0
    held_allowance_nano: int = 0
    held_total_nano: int = 0
    calls: int = 0


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
    """Where a user stands in the periods of one instant.

    ``anchor_day``: the billing day on which the user's month begins, 0 for the calendar's.
    """

    tier: str
    limits: Mapping[Window, WindowLimit]
    counters: Mapping[Window, Counters]
    lots: tuple[Lot, ...]
    held_credits_nano: int
    anchor_day: int = 0


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
    ``warned``: window -> percent of its limit (50, 80, 100) that what is settled has come to, where
    no check in that period has told so before; empty when blocked.
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
    warned: Mapping[str, int] = field(default_factory=dict)


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
    ``said_tier`` the one that the app had named last ("" when it never did). ``tops_up``: credits
    fell below the threshold of the user's automatic top-up. ``crossed``: window -> percent of its
    limit (50, 80, 100) that what is settled came to with this call. ``begun``: the purchases that a
    prompt led to and of which this call is the first to use anything.
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
    tops_up: bool = False
    crossed: Mapping[str, int] = field(default_factory=dict)
    begun: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """What led to a purchase, for the funnel: a prompt, its ``trigger`` (funnel.trigger_of), the
    tier that its user had, and their ``variant`` (Step).
    """

    prompt_id: str
    trigger: str
    tier: str
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """Credits from one purchase.

    Idempotent for ever by ``purchase_id``: Stripe's id of the payment, or of the session or invoice
    where there is none. ``paid_minor`` is what was really paid; ``worth_minor`` what the credits
    are shown as, ``paid_minor`` where it is None. ``fresh_until_ms``: until when they open little
    by little, of which ``fresh_nano`` at once; None: all of them at once. ``paid_ms``: when it was
    paid, which may be long before it is granted; None: now. ``cause``: of what is a purchase of the
    funnel; not of a renewal or an automatic top-up.
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
    worth_minor: int | None = None
    fresh_until_ms: int | None = None
    fresh_nano: int = 0
    paid_ms: int | None = None
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """The answer to Grant; the first one, however often it comes.

    ``repaid_nano`` of it went to what was owed. ``claimed``: something is claimed back of it, maybe
    since before it was granted (events come in any order): the caller has to let that take effect
    (``Ledger.claim_again``); until then the lot is frozen.
    """

    user_id: str
    purchase_id: str
    pack: str
    granted_nano: int
    paid_minor: int
    worth_minor: int
    currency: str
    expires_ms: int | None
    fresh_until_ms: int | None
    fresh_nano: int
    granted_ms: int
    repaid_nano: int
    claimed: bool
    replayed: bool
    paid_ms: int
    cause: Cause | None = None


class Hold(IntEnum):
    """What a claim says of the lot. A lot is frozen while one of its claims is OPEN, or a WARNING
    stands that no claim has RELEASED and that is not settled by a refund of all that was paid.
    """

    NONE = 0
    RELEASED = 1
    WARNING = 2
    OPEN = 3


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody wants money of a purchase back: a refund, a dispute, a warning of fraud, or the
    owner by hand; each by an id of its own, as it stands at ``version``.

    Of one claim the largest version counts, of one purchase the sum of its claims, so that they may
    come in any order and any number. ``version``: (event's time, rank). ``taken_minor``: what it
    takes at that state of what was paid, in the purchase's currency; more than was paid is as much
    as was paid.
    """

    user_id: str
    purchase_id: str
    claim_id: str
    version: tuple[int, int]
    taken_minor: int
    hold: Hold
    now_ms: int

    def __post_init__(self) -> None:
        """Raises ValueError: the scripts keep ids in texts that have separators."""
        if not re.fullmatch(r"[\w.-]{1,128}", self.claim_id, re.ASCII):
            raise ValueError("a claim's id is letters, digits, _, . and -")


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim did; the same for the same word on it, however often it comes.

    Signed: ``refunded_minor`` is what is taken more (or, negative, less) of what was paid than
    before, ``revoked_nano`` the same fraction of the credits, ``lots_nano`` what it moved into each
    lot (negative: out of it), ``owed_nano`` what it added to the user's debt:
    ``revoked = owed - sum of lots``. ``claim_id`` is "" for claims that came before their purchase
    and take effect with it (``Ledger.claim_again``); ``pack`` is "" for one that came before it.
    """

    user_id: str
    purchase_id: str
    claim_id: str
    version: tuple[int, int]
    taken_minor: int
    hold: Hold
    pack: str
    currency: str
    refunded_minor: int
    revoked_nano: int
    lots_nano: Mapping[str, int]
    owed_nano: int
    frozen: bool
    claimed_ms: int
    replayed: bool

    @property
    def word(self) -> str:
        """What tells it from any other word on the same purchase."""
        if not self.claim_id:
            return "granted"
        created, rank = self.version
        return f"{self.claim_id}:{created}:{rank}:{self.taken_minor}:{int(self.hold)}"


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """What Stripe says of one subscription at ``version`` (orders the events of one subscription).

    ``version``: (event's ``created``, 0 created / 1 updated / 2 deleted), the larger counts.
    ``tier`` holds until ``until_ms`` (exclusive); 0 takes it away. ``anchor_day``: the local day of
    the month on which it is billed, 0 where it is not known; ``month_until_ms``: until when that
    day counts although another one comes in its place (docs/ledger.md, "Months by the billing
    day"), 0 for not at all. ``next_plan`` follows when what is paid is over; "" for none.
    """

    user_id: str
    subscription_id: str
    plan: str
    tier: str
    until_ms: int
    version: tuple[int, int]
    prompt_id: str | None
    now_ms: int
    anchor_day: int = 0
    month_until_ms: int = 0
    next_plan: str = ""


@dataclass(frozen=True, slots=True)
class FirstPayment:
    """The invoice by which what a prompt began was first paid: a plan's, or a change of plan's."""

    user_id: str
    prompt_id: str
    invoice_id: str
    paid_ms: int


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


def display_credits(lots: Iterable[Lot], now_ms: int) -> dict[str, tuple[int, str]]:
    """What a user's credits are worth in what was paid: currency -> (minor units, text).

    The sum over lots of worth x remaining / granted, exact in rationals, rounded down at the end,
    and never 0 while anything remains. Lots past their expiry and frozen ones do not count.
    """
    return _display([lot for lot in lots if not lot.frozen], now_ms)


def display_on_hold(lots: Iterable[Lot], now_ms: int) -> dict[str, tuple[int, str]]:
    """The same for what is frozen."""
    return _display([lot for lot in lots if lot.frozen], now_ms)


def _display(lots: Iterable[Lot], now_ms: int) -> dict[str, tuple[int, str]]:
    there: dict[str, list[Lot]] = {}
    for lot in lots:
        if lot.remaining_nano > 0 and not lot.is_over(now_ms):
            there.setdefault(lot.currency, []).append(lot)
    shown = {currency: max(1, _worth_minor(some)) for currency, some in there.items()}
    return {c: (minor, format_minor(minor, c)) for c, minor in sorted(shown.items())}


def _worth_minor(lots: list[Lot]) -> int:
    """The floor of the sum of worth x remaining / granted.

    Each term is rounded down to 2**-128 first, so the sum is short by less than as many of these as
    there are terms. Only where that may hide a whole unit are the fractions themselves added: their
    common denominator has a thousand digits for a hundred lots.
    """
    parts = [(lot.worth_minor * lot.remaining_nano, lot.granted_nano) for lot in lots]
    low = sum((above << 128) // below for above, below in parts)
    if low >> 128 == (low + len(parts)) >> 128:
        return low >> 128
    from fractions import Fraction  # 10 ms that a check hardly ever pays

    return int(sum(Fraction(above, below) for above, below in parts))
