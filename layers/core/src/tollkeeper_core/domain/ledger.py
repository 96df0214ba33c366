"""What the ledger is asked and what it answers: the shapes that scripts, store and services share.

All amounts are nano-USD, all instants epoch milliseconds. Named tuples, since every check makes
some: they take a tenth of a dataclass's time to define, and less to make.
"""

from collections.abc import Mapping
from typing import NamedTuple

from tollkeeper_core.domain.periods import Periods, Window


class Lot(NamedTuple):
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
        """What calls may take of it at this moment (``usable`` in lua/lots.lua)."""
        if self.frozen or self.is_over(now_ms):
            return 0
        if self.fresh_until_ms is None or self.fresh_until_ms <= now_ms:
            return self.remaining_nano
        age_ms = max(now_ms - self.granted_ms, 0)
        later_nano = self.granted_nano - self.fresh_nano
        opened = self.fresh_nano + later_nano * age_ms // (self.fresh_until_ms - self.granted_ms)
        used = self.granted_nano - self.remaining_nano
        return min(max(opened - used, 0), self.remaining_nano)


class Counters(NamedTuple):
    """One period of one user: what is settled and what is held, by the tier and in all.

    ``calls``: how many settled calls cost something; 0 where not all of them were counted.
    """

    allowance_nano: int = 0
    total_nano: int = 0
    held_allowance_nano: int = 0
    held_total_nano: int = 0
    calls: int = 0


class WindowLimit(NamedTuple):
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


class Standing(NamedTuple):
    """Where a user stands in the periods of one instant.

    ``anchor_day``: the billing day on which the user's month begins, 0 for the calendar's.
    """

    tier: str
    limits: Mapping[Window, WindowLimit]
    counters: Mapping[Window, Counters]
    lots: tuple[Lot, ...]
    held_credits_nano: int
    anchor_day: int = 0


class Reserve(NamedTuple):
    """Hold ``amount_nano`` for a call under way. ``reservation_id`` makes it idempotent."""

    user_id: str
    reservation_id: str
    amount_nano: int
    tier: str | None
    periods: Periods
    now_ms: int
    expires_ms: int


class Reservation(NamedTuple):
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
    warned: Mapping[str, int]


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
