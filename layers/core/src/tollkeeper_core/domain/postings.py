"""The ledger's lines. Double entry: the lines of one set sum to zero for each asset.

A posting is immutable and additive: lines add up in any order, and the same id always stands for
the same line, so an archive with repetitions is still exact once it is read by id.

Accounts (``u`` is the user's id, percent-encoded, so that no two names can run together):

=======================  ================================================================
``user:u:usage``         AI spend of the user (grows with every call)
``user:u:allowance``     what the tier funded of it (falls)
``user:u:lot:l``         AI spend that lot ``l`` still holds
``sales:pack``           AI spend sold with a pack (falls)
``user:u:paid``          what the user paid (grows), in minor units of the currency
``cash``                 the other side of it
=======================  ================================================================
"""

from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from tollkeeper_core.domain.ledger import Granted, Settlement

NANO_USD = "usd_nano"


@dataclass(frozen=True, slots=True)
class Posting:
    """One line. ``id`` is the set's id and the line's place in it; ``amount`` is signed.

    ``asset``: ``usd_nano``, or ``<currency>_minor`` for what was paid.
    ``period_ids``: the periods of the call (empty for a purchase). ``at_ms``: when it was decided.
    ``terms``: what a rebuild needs beside the amounts (a lot's price and expiry, an overrun).
    """

    id: str
    set_id: str
    kind: str
    user_id: str
    account: str
    asset: str
    amount: int
    at_ms: int
    period_ids: tuple[str, ...]
    terms: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """A flat JSON object: what one line of the archive holds."""
        return asdict(self)


def settlement_postings(s: Settlement) -> list[Posting]:
    """The set of one settled call: usage up, allowance and lots down. Empty for a cost of 0."""
    set_id = f"settle:{_part(s.user_id)}:{_part(s.event_id)}"
    lines = [(f"user:{_part(s.user_id)}:usage", s.cost_nano, {}), *_funding(s)]
    return [
        Posting(
            id=f"{set_id}:{n}",
            set_id=set_id,
            kind="settle",
            user_id=s.user_id,
            account=account,
            asset=NANO_USD,
            amount=amount,
            at_ms=s.settled_ms,
            period_ids=s.period_ids,
            terms=terms,
        )
        for n, (account, amount, terms) in enumerate(lines)
        if amount
    ]


def _part(name: str) -> str:
    return quote(name, safe="@")


def _funding(s: Settlement) -> list[tuple[str, int, dict[str, Any]]]:
    allowance: dict[str, Any] = {"tier": s.tier, "overrun_nano": s.overrun_nano}
    return [
        (f"user:{_part(s.user_id)}:allowance", -s.allowance_nano, allowance),
        *((f"user:{_part(s.user_id)}:lot:{lot}", -nano, {}) for lot, nano in s.lots_nano.items()),
    ]


def grant_postings(g: Granted) -> list[Posting]:
    """The set of one purchase: the lot up and sales down, paid up and cash down."""
    terms = {
        "pack": g.pack,
        "granted_nano": g.granted_nano,
        "paid_minor": g.paid_minor,
        "currency": g.currency,
        "expires_ms": g.expires_ms,
    }
    minor = f"{g.currency}_minor"
    lines: list[tuple[str, str, int, dict[str, Any]]] = [
        (f"user:{_part(g.user_id)}:lot:{g.purchase_id}", NANO_USD, g.granted_nano, terms),
        (f"sales:{g.pack}", NANO_USD, -g.granted_nano, {}),
        (f"user:{_part(g.user_id)}:paid", minor, g.paid_minor, {}),
        ("cash", minor, -g.paid_minor, {}),
    ]
    return [
        Posting(
            id=f"grant:{g.purchase_id}:{n}",
            set_id=f"grant:{g.purchase_id}",
            kind="grant",
            user_id=g.user_id,
            account=account,
            asset=asset,
            amount=amount,
            at_ms=g.granted_ms,
            period_ids=(),
            terms=line_terms,
        )
        for n, (account, asset, amount, line_terms) in enumerate(lines)
        if amount
    ]
