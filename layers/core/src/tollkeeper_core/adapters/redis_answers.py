"""What the scripts answer, read: lists of names and values become the domain's answers."""

from typing import Any

from tollkeeper_core.domain.ledger import (
    Counters,
    Lot,
    NothingPublishedError,
    Reservation,
    StaleConfigError,
    Standing,
    UnknownTierError,
    WindowLimit,
)
from tollkeeper_core.domain.periods import Window


def reservation_of(fields: dict[str, str]) -> Reservation:
    """A check's answer, as its script gives and keeps it."""
    return Reservation(
        admitted=fields["admitted"] == "1",
        reservation_id=fields["id"],
        amount_nano=int(fields["amount"]),
        held_nano=int(fields["hold"]),
        affordable_nano=int(fields["affordable"]),
        expires_ms=int(fields["expires"]),
        now_ms=int(fields["now"]),
        period_ids=ids_of(fields["periods"]),
        standing=standing_of(fields),
        warned=amounts_of(fields.get("warn", "")),
    )


def amounts_of(text: str) -> dict[str, int]:
    """``a=1;b=2`` as {"a": 1, "b": 2}."""
    return {lot: int(nano) for lot, nano in (part.split("=") for part in text.split(";") if part)}


def fields_of(answer: Any) -> dict[str, str]:
    """A list of names and values."""
    # Redis of Lua answers an empty table as an empty list: "" in a script stays "".
    return dict(zip(answer[::2], answer[1::2], strict=True))


def checked(answer: Any, tier: str | None) -> dict[str, str]:
    """The fields of an answer. Raises what its status says."""
    fields = fields_of(answer)
    if fields["status"] == "stale":
        raise StaleConfigError("the configuration changed")
    if fields["status"] == "empty":
        raise NothingPublishedError
    if fields["status"] == "unknown_tier":
        raise UnknownTierError(tier or "")
    return fields


def ids_of(text: str) -> tuple[str, str, str]:
    """The ids of a day, week and month."""
    day, week, month = text.split(" ")
    return day, week, month


def standing_of(fields: dict[str, str]) -> Standing:
    """Where a user stands, of any answer that says it."""
    limits = zip(Window, fields["limits"].split(" "), strict=True)
    counters = zip(Window, fields["used"].split(","), strict=True)
    return Standing(
        tier=fields["tier"],
        limits={w: WindowLimit(int(t[1:]), t[0] == "h") for w, t in limits if t != "-"},
        counters={w: Counters(*map(int, text.split(" "))) for w, text in counters},
        lots=tuple(lot_of(text) for text in fields["lots"].split(";") if text),
        held_credits_nano=int(fields["held"]),
        anchor_day=int(fields.get("anchor", 0)),  # kept answers of before have none
    )


def lot_of(text: str) -> Lot:
    """One lot of the state hash (lua/state.lua)."""
    lot_id, granted, remaining, worth, currency, expires, at, *more = text.split(",")
    frozen, fresh_until, fresh = more or ("0", "0", "0")
    return Lot(
        id=lot_id,
        granted_nano=int(granted),
        remaining_nano=int(remaining),
        worth_minor=int(worth),
        currency=currency,
        expires_ms=int(expires) or None,
        granted_ms=int(at),
        frozen=frozen == "1",
        fresh_until_ms=int(fresh_until) or None,
        fresh_nano=int(fresh),
    )
