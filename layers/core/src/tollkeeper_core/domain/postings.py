"""The ledger's lines. Double entry: the lines of one set sum to zero for each asset.

A posting is immutable and additive: lines add up in any order, and the same id always stands for
the same line, so an archive with repetitions is still exact once it is read by id.

Accounts (``u`` is the user's id, percent-encoded, so that no two names can run together):

=======================  ================================================================
``user:u:usage``         AI spend of the user (grows with every call)
``user:u:allowance``     what the tier funded of it (falls)
``user:u:lot:l``         AI spend that lot ``l`` still holds
``user:u:owed``          credits used and then refunded (falls), repaid by purchases (rises)
``sales:pack``           AI spend sold with a pack (falls; rises with a refund)
``expired``              what lots lost at their expiry (rises)
``user:u:paid``          what the user paid (grows), in minor units of the currency
``cash``                 the other side of it
=======================  ================================================================
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from tollkeeper_core.domain.ledger import Granted, Revoked, Settlement, SubscriptionState

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


_Line = tuple[str, str, int, dict[str, Any]]


def settlement_postings(s: Settlement) -> list[Posting]:
    """The set of one settled call: usage up, allowance and lots down. Empty for a cost of 0.

    With it the sets of lots that were found expired: lot down, ``expired`` up.
    """
    user = f"user:{_part(s.user_id)}"
    allowance = {"tier": s.tier, "overrun_nano": s.overrun_nano}
    lines: list[_Line] = [
        (f"{user}:usage", NANO_USD, s.cost_nano, {}),
        (f"{user}:allowance", NANO_USD, -s.allowance_nano, allowance),
        *((f"{user}:lot:{lot}", NANO_USD, -nano, {}) for lot, nano in s.lots_nano.items()),
    ]
    set_id = f"settle:{_part(s.user_id)}:{_part(s.event_id)}"
    settled = _set(set_id, s.user_id, s.settled_ms, lines, s.period_ids)
    for lot, nano in s.expired_nano.items():
        gone: list[_Line] = [
            (f"{user}:lot:{lot}", NANO_USD, -nano, {}),
            ("expired", NANO_USD, nano, {}),
        ]
        settled += _set(f"expire:{lot}", s.user_id, s.settled_ms, gone)
    return settled


def grant_postings(g: Granted) -> list[Posting]:
    """The set of one purchase: the lot up and sales down, paid up and cash down, debts repaid."""
    user, minor = f"user:{_part(g.user_id)}", f"{g.currency}_minor"
    terms = {
        "pack": g.pack,
        "granted_nano": g.granted_nano,
        "paid_minor": g.paid_minor,
        "currency": g.currency,
        "expires_ms": g.expires_ms,
        "granted_ms": g.granted_ms,
        "repaid_nano": g.repaid_nano,
    }
    lines: list[_Line] = [
        (f"{user}:lot:{g.purchase_id}", NANO_USD, g.granted_nano - g.repaid_nano, terms),
        (f"{user}:owed", NANO_USD, g.repaid_nano, {}),
        (f"sales:{g.pack}", NANO_USD, -g.granted_nano, {}),
        (f"{user}:paid", minor, g.paid_minor, terms),
        ("cash", minor, -g.paid_minor, {}),
    ]
    return _set(f"grant:{g.purchase_id}", g.user_id, g.granted_ms, lines)


def revocation_postings(r: Revoked) -> list[Posting]:
    """The set of one refund's total: lot down, debt up (owed falls), sales up again."""
    user = f"user:{_part(r.user_id)}"
    terms = {"purchase_id": r.purchase_id, "refunded_minor": r.refunded_minor}
    lines: list[_Line] = [
        (f"{user}:lot:{r.purchase_id}", NANO_USD, -r.from_lot_nano, terms),
        (f"{user}:owed", NANO_USD, -r.owed_nano, terms),
        (f"sales:{r.pack}", NANO_USD, r.revoked_nano, terms),
    ]
    set_id = f"revoke:{r.purchase_id}:{r.refunded_minor}"
    return _set(set_id, r.user_id, r.revoked_ms, lines)


def subscription_postings(s: SubscriptionState) -> list[Posting]:
    """What a subscription gives, as a line of amount 0: no money, but a rebuild needs to know."""
    terms = {
        "subscription_id": s.subscription_id,
        "plan": s.plan,
        "tier": s.tier,
        "until_ms": s.until_ms,
        "version": list(s.version),
    }
    what = (s.subscription_id, *map(str, s.version), str(s.until_ms), s.tier, s.plan)
    set_id = ":".join(("subscription", *what))
    account = f"user:{_part(s.user_id)}:subscription:{s.subscription_id}"
    return _set(set_id, s.user_id, s.version[0] * 1000, [(account, NANO_USD, 0, terms)])


def _part(name: str) -> str:
    return quote(name, safe="@")


def _set(
    set_id: str,
    user_id: str,
    at_ms: int,
    lines: Sequence[_Line],
    period_ids: tuple[str, ...] = (),
) -> list[Posting]:
    """Lines of amount 0 say nothing and are left out, unless they are all there is to say."""
    return [
        Posting(
            id=f"{set_id}:{n}",
            set_id=set_id,
            kind=set_id.partition(":")[0],
            user_id=user_id,
            account=account,
            asset=asset,
            amount=amount,
            at_ms=at_ms,
            period_ids=period_ids,
            terms=terms,
        )
        for n, (account, asset, amount, terms) in enumerate(lines)
        if amount or len(lines) == 1
    ]
