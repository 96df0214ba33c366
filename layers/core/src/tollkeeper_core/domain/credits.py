"""What end users see of their credits: what these were paid for, never what AI spend they are.

Exact in rationals, rounded down once at the end, currencies apart. Lots past their expiry are not
seen at all.
"""

from collections.abc import Iterable
from typing import NamedTuple

from tollkeeper_core.domain.ledger import Lot
from tollkeeper_core.domain.money import format_minor


class Checked(NamedTuple):
    """Of a balance what may not be used yet, as its lots are fresh; all of it from ``until_ms``."""

    minor: int
    display: str
    until_ms: int


def display_credits(lots: Iterable[Lot], now_ms: int) -> dict[str, tuple[int, str]]:
    """What a user's credits are worth in what was paid: currency -> (minor units, text).

    The sum over lots of worth x remaining / granted, and never 0 while anything remains. Frozen
    lots do not count; fresh ones do, as a whole.
    """
    return _display([lot for lot in lots if not lot.frozen], now_ms)


def display_on_hold(lots: Iterable[Lot], now_ms: int) -> dict[str, tuple[int, str]]:
    """The same for what is frozen."""
    return _display([lot for lot in lots if lot.frozen], now_ms)


def display_checked(lots: Iterable[Lot], now_ms: int) -> dict[str, Checked]:
    """Of what ``display_credits`` tells what is not open yet: currency -> Checked.

    Rounded so that nobody is told that more may be used than really may. Left out where it is
    less than a minor unit.
    """
    mine = [lot for lot in lots if not lot.frozen and not lot.is_over(now_ms)]
    fresh = [lot for lot in mine if lot.usable_nano(now_ms) < lot.remaining_nano]
    found = {}
    for currency in sorted({lot.currency for lot in fresh}):
        whole = [lot for lot in mine if lot.currency == currency]
        usable = [lot._replace(remaining_nano=lot.usable_nano(now_ms)) for lot in whole]
        minor = max(1, _worth_minor(whole)) - _worth_minor(usable)
        if minor:
            until_ms = max(lot.fresh_until_ms or 0 for lot in fresh if lot.currency == currency)
            found[currency] = Checked(minor, format_minor(minor, currency), until_ms)
    return found


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
