"""Where what Redis has of a user is not what the record adds up to."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from tollkeeper_core.domain.ledger import Lot
from tollkeeper_core.domain.periods import is_old
from tollkeeper_core.domain.user_state import InEffect, Spent, Subscription, UserState


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on which the live state and the archive do not agree, as text."""

    user_id: str
    what: str
    live: str
    archive: str


def differences(
    live: UserState, archive: UserState, cutoffs: tuple[str, str, str]
) -> Iterator[Difference]:
    """Every one, for one user. Periods before ``cutoffs`` count on neither side."""

    def compare(
        kind: str, mine: Mapping[Any, Any], theirs: Mapping[Any, Any], none: object
    ) -> Iterator[Difference]:
        for name in sorted(mine.keys() | theirs.keys(), key=str):
            ours, its = mine.get(name, none), theirs.get(name, none)
            if ours != its:
                yield Difference(live.user_id, f"{kind} {_named(name)}", _said(ours), _said(its))

    spent = {name: each for name, each in live.spent.items() if not is_old(name, cutoffs)}
    recorded_spent = {
        name: each if spent.get(name, each).counts_calls else replace(each, calls=0)
        for name, each in archive.spent.items()
    }
    yield from compare("spent in", spent, recorded_spent, Spent())
    yield from compare("lot", _by_id(live.lots), _by_id(archive.lots), None)
    order, recorded = [lot.id for lot in live.lots], [lot.id for lot in archive.lots]
    if order != recorded and sorted(order) == sorted(recorded):
        yield Difference(live.user_id, "burn order", " ".join(order), " ".join(recorded))
    yield from compare("owed", {"usd": live.owed_nano}, {"usd": archive.owed_nano}, 0)
    yield from compare("purchase", live.purchases, archive.purchases, None)
    yield from compare("claims on", live.claims, archive.claims, None)
    yield from compare("claims in effect on", live.in_effect, archive.in_effect, InEffect())
    yield from compare("claim", live.claimed, archive.claimed, None)
    unused = [dict.fromkeys(each.unused, "not used yet") for each in (live, archive)]
    yield from compare("purchase", unused[0], unused[1], "used")
    yield from compare("first paid", live.first_payments, archive.first_payments, None)
    subscriptions = (_in_force(live.subscriptions), _in_force(archive.subscriptions))
    yield from compare("subscription", *subscriptions, None)
    yield from compare("month of billing day", live.months, archive.months, 0)
    top_ups = ({"topup": live.top_up or {}}, {"topup": archive.top_up or {}})
    yield from compare("automatic", *top_ups, {})
    if archive.customer_id and not live.customer_id:
        # Another one is no mistake: it came in place of one that is gone, and has bought nothing.
        yield Difference(live.user_id, "customer", "none", archive.customer_id)


def _by_id(lots: Iterable[Lot]) -> dict[str, Lot]:
    return {lot.id: lot for lot in lots}


def _in_force(subscriptions: Mapping[str, Subscription]) -> dict[str, Subscription | str]:
    """Ended is ended, whichever of several words of it came first."""
    return {name: "ended" if s.ended else s for name, s in subscriptions.items()}


def _named(name: object) -> str:
    return ", ".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _said(value: Any) -> str:
    """``allowance_nano 20, total_nano 50``: its fields, but whose it is."""
    if value is None or isinstance(value, str | int):
        return "none" if value is None else str(value)
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_said(each)}" for name, each in sorted(value.items()))
    names = getattr(value, "_fields", None) or [field.name for field in fields(value)]
    names = [name for name in names if name not in ("user_id", "id", "replayed")]
    return ", ".join(f"{name} {getattr(value, name)}" for name in names)
