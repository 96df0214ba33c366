"""The ledger's lines. Double entry: the lines of one set sum to zero for each asset.

A posting is immutable and additive: lines add up in any order, and the same id always stands for
the same line, so an archive with repetitions is still exact once it is read by id.

Accounts (``u`` is the user's id, percent-encoded, so that no two names can run together):

=======================  ================================================================
``user:u:usage``         AI spend of the user (grows with every call)
``user:u:allowance``     what the tier funded of it (falls)
``user:u:lot:l``         AI spend that lot ``l`` still holds
``user:u:claim:p``       never an amount: what is claimed back of purchase ``p``
``user:u:topup``          never an amount: the automatic top-up that the user agreed to
``user:u:customer:c``     never an amount: the payment provider's id ``c`` of the user
``user:u:owed``          credits used and then refunded (falls), repaid by purchases (rises)
``sales:pack``           AI spend sold with a pack (falls; rises with a refund)
``expired``              what lots lost at their expiry (rises)
``user:u:paid``          what the user paid (grows) and got back (falls), in minor units
``cash``                 the other side of it
``user:u:received``      what Stripe charged the user, in minor units of what it pays out in
``user:u:returned``      what it gave back or the bank took (falls), and what came back of that
``user:u:fees``          what Stripe kept for it (falls)
``stripe``               the other side: the balance there
=======================  ================================================================

What a rebuild needs beside the amounts is in a set's ``terms``, which stand on the one line of the
set that is never 0 and so never left out. With them a set says all that its answer said:
``domain/fold.py`` reads it back.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

from tollkeeper_core.domain.movements import (
    Cause,
    Claimed,
    FirstPayment,
    Granted,
    Settlement,
    SubscriptionState,
)
from tollkeeper_core.domain.top_ups import SENT, TopUp
from tollkeeper_core.domain.transactions import CHARGE, Movement

NANO_USD = "usd_nano"


@dataclass(frozen=True, slots=True)
class Posting:
    """One line. ``id`` is the set's id and the line's place in it; ``amount`` is signed.

    ``kind``: settle, expire, grant, claim, subscription, customer, topup, first, money.
    ``asset``: ``usd_nano``, or ``<currency>_minor`` for what was paid.
    ``period_ids``: day, week and month of a call or of money (empty for anything else).
    ``at_ms``: when it was decided. ``terms``: what the amounts do not say (a lot's price and
    expiry, an overrun).
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
        """What one line of the archive holds: flat, each field of one type for ever.

        So any reader takes it as it is (Athena's JSON readers want every field of a nested object
        declared): the periods are three dates ("" where there are none), the terms JSON as text.
        """
        day, week, month = (name[2:] for name in self.period_ids or _NO_PERIODS)
        return {
            "id": self.id,
            "set_id": self.set_id,
            "kind": self.kind,
            "user_id": self.user_id,
            "account": self.account,
            "asset": self.asset,
            "amount": self.amount,
            "at_ms": self.at_ms,
            "day": day,
            "week": week,
            "month": month,
            "terms": json.dumps(self.terms, separators=(",", ":"), sort_keys=True),
        }

    def as_line(self) -> str:
        """The same as text, without a line feed; equal postings are equal lines."""
        return json.dumps(self.as_json(), separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Self:
        """The inverse of ``as_json``. Raises KeyError, TypeError or ValueError."""
        dated = (line["day"], line["week"], line["month"])
        periods = tuple(f"{kind}:{date}" for kind, date in zip("dwm", dated, strict=True) if date)
        return cls(
            id=str(line["id"]),
            set_id=str(line["set_id"]),
            kind=str(line["kind"]),
            user_id=str(line["user_id"]),
            account=str(line["account"]),
            asset=str(line["asset"]),
            amount=int(line["amount"]),
            at_ms=int(line["at_ms"]),
            period_ids=periods,
            terms=json.loads(line["terms"]),
        )


#: Sets whose terms say something though nothing moves.
_TOLD_AT_0 = ("claim", "money")
_NO_PERIODS = ("", "", "")
_Line = tuple[str, str, int, dict[str, Any]]

#: The set of what was found expired while a call was settled lies beside that call's own.
EXPIRED_SET = ":expired"


def settlement_postings(s: Settlement) -> list[Posting]:
    """The set of one settled call: usage up, allowance and lots down. Empty for a cost of 0.

    With it the set of the lots that were found expired: lots down, ``expired`` up.
    """
    user = f"user:{_part(s.user_id)}"
    terms = {
        "event_id": s.event_id,
        "tier": s.tier,
        "said_tier": s.said_tier,
        "overrun_nano": s.overrun_nano,
        **({"begun_ids": list(s.begun)} if s.begun else {}),
    }
    lines: list[_Line] = [
        (f"{user}:usage", NANO_USD, s.cost_nano, terms),
        (f"{user}:allowance", NANO_USD, -s.allowance_nano, {}),
        *((f"{user}:lot:{lot}", NANO_USD, -nano, {}) for lot, nano in s.lots_nano.items()),
    ]
    gone: list[_Line] = []
    for lot, nano in s.expired_nano.items():
        gone += [(f"{user}:lot:{lot}", NANO_USD, -nano, {}), ("expired", NANO_USD, nano, {})]
    set_id = f"settle:{_part(s.user_id)}:{_part(s.event_id)}"
    settled = _set(set_id, "settle", s.user_id, s.settled_ms, lines, s.period_ids)
    # Named after the call, not the lot: a lot whose expiry was half recorded when Redis was emptied
    # may expire once more after the rebuild, and that is another set.
    return settled + _set(set_id + EXPIRED_SET, "expire", s.user_id, s.settled_ms, gone)


def grant_postings(g: Granted) -> list[Posting]:
    """The set of one purchase: the lot up and sales down, paid up and cash down, debts repaid."""
    user, minor = f"user:{_part(g.user_id)}", f"{g.currency}_minor"
    terms = {
        "purchase_id": g.purchase_id,
        "pack": g.pack,
        "granted_nano": g.granted_nano,
        "paid_minor": g.paid_minor,
        "worth_minor": g.worth_minor,
        "currency": g.currency,
        "expires_ms": g.expires_ms,
        "fresh_until_ms": g.fresh_until_ms,
        "fresh_nano": g.fresh_nano,
        "repaid_nano": g.repaid_nano,
        # Not where it says nothing: a line of before is the same line when it comes again.
        **({"paid_ms": g.paid_ms} if g.paid_ms != g.granted_ms else {}),
        **_cause_terms(g.cause),
    }
    lines: list[_Line] = [
        (f"{user}:lot:{g.purchase_id}", NANO_USD, g.granted_nano - g.repaid_nano, {}),
        (f"{user}:owed", NANO_USD, g.repaid_nano, {}),
        (f"sales:{g.pack}", NANO_USD, -g.granted_nano, terms),
        (f"{user}:paid", minor, g.paid_minor, {}),
        ("cash", minor, -g.paid_minor, {}),
    ]
    return _set(f"grant:{g.purchase_id}", "grant", g.user_id, g.granted_ms, lines)


def _cause_terms(cause: Cause | None) -> dict[str, str]:
    if cause is None:
        return {}
    return {
        "prompt_id": cause.prompt_id,
        "trigger": cause.trigger,
        "from_tier": cause.tier,
        "variant": cause.variant,
    }


def claim_postings(c: Claimed) -> list[Posting]:
    """The set of one word on a claim: what is claimed, and what that did.

    Taken from a purchase: lots down, debt up (owed falls), sales up again; paid down and cash up.
    Given back: the other way round. The first line has no amount and says what is claimed, for a
    claim may move nothing: it freezes a lot, or it came before its purchase.
    """
    user, minor = f"user:{_part(c.user_id)}", f"{c.currency}_minor"
    terms = {
        "purchase_id": c.purchase_id,
        "claim_id": c.claim_id,
        "version": list(c.version),
        "taken_minor": c.taken_minor,
        "hold": int(c.hold),
        "pack": c.pack,
        "currency": c.currency,
        "frozen": c.frozen,
    }
    lines: list[_Line] = [
        (f"{user}:claim:{c.purchase_id}", NANO_USD, 0, terms),
        *((f"{user}:lot:{lot}", NANO_USD, nano, {}) for lot, nano in c.lots_nano.items()),
        (f"{user}:owed", NANO_USD, -c.owed_nano, {}),
        (f"sales:{c.pack}", NANO_USD, c.revoked_nano, {}),
        (f"{user}:paid", minor, -c.refunded_minor, {}),
        ("cash", minor, c.refunded_minor, {}),
    ]
    return _set(f"claim:{c.purchase_id}:{c.word}", "claim", c.user_id, c.claimed_ms, lines)


def subscription_postings(s: SubscriptionState) -> list[Posting]:
    """What a subscription gives, as a line of amount 0: no money, but a rebuild needs to know."""
    terms = {
        "subscription_id": s.subscription_id,
        "plan": s.plan,
        "tier": s.tier,
        "until_ms": s.until_ms,
        "version": list(s.version),
        "anchor_day": s.anchor_day,
        "month_until_ms": s.month_until_ms,
        "next_plan": s.next_plan,
    }
    what = (s.subscription_id, *map(str, s.version), str(s.until_ms), s.tier, s.plan)
    # The day of one event is another one where the owner has moved the time zone in between.
    day = (str(s.anchor_day), str(s.month_until_ms))
    following = (s.next_plan,) if s.next_plan else ()
    set_id = ":".join(("subscription", *what, *day, *following))
    account = f"user:{_part(s.user_id)}:subscription:{s.subscription_id}"
    lines: list[_Line] = [(account, NANO_USD, 0, terms)]
    return _set(set_id, "subscription", s.user_id, s.version[0] * 1000, lines)


def customer_postings(user_id: str, customer_id: str, at_s: int) -> list[Posting]:
    """Who the user is at the payment provider, of something that they began at ``at_s``.

    Of two customers the one of what was begun later counts.
    """
    set_id = f"customer:{_part(user_id)}:{customer_id}:{at_s}"
    account = f"user:{_part(user_id)}:customer:{customer_id}"
    lines: list[_Line] = [(account, NANO_USD, 0, {"customer_id": customer_id})]
    return _set(set_id, "customer", user_id, at_s * 1000, lines)


def first_payment_postings(p: FirstPayment) -> list[Posting]:
    """By which invoice a prompt's plan was first paid, as a line of amount 0."""
    terms = {"prompt_id": p.prompt_id, "invoice_id": p.invoice_id}
    set_id = f"first:{_part(p.user_id)}:{p.prompt_id}"
    account = f"user:{_part(p.user_id)}:prompt:{p.prompt_id}"
    lines: list[_Line] = [(account, NANO_USD, 0, terms)]
    return _set(set_id, "first", p.user_id, p.paid_ms, lines)


def top_up_postings(user_id: str, top_up: TopUp) -> list[Posting]:
    """How an automatic top-up stands after a change; of all such the largest ``seq`` counts.

    Changes that were never recorded when Redis was emptied happen again otherwise, by the same
    number: hence the time in the id.
    """
    terms = {name: text for name, text in top_up.fields.items() if name != SENT}
    at_ms = int(terms["at_ms"])
    set_id = f"topup:{_part(user_id)}:{top_up.seq}:{at_ms}"
    lines: list[_Line] = [(f"user:{_part(user_id)}:topup", NANO_USD, 0, terms)]
    return _set(set_id, "topup", user_id, at_ms, lines)


def money_postings(m: Movement) -> list[Posting]:
    """The set of one transaction at Stripe, in the currency that it pays out in."""
    user, minor = f"user:{_part(m.user_id)}", f"{m.currency}_minor"
    terms = {"txn_id": m.txn_id, "source_id": m.source_id, "category": m.category}
    account = "received" if m.category == CHARGE else "returned"
    lines: list[_Line] = [
        (f"{user}:{account}", minor, m.amount_minor, terms),
        (f"{user}:fees", minor, -m.fee_minor, {}),
        ("stripe", minor, m.fee_minor - m.amount_minor, {}),
    ]
    return _set(f"money:{m.txn_id}", "money", m.user_id, m.at_ms, lines, m.period_ids)


def _part(name: str) -> str:
    return quote(name, safe="@")


def _set(
    set_id: str,
    kind: str,
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
            kind=kind,
            user_id=user_id,
            account=account,
            asset=asset,
            amount=amount,
            at_ms=at_ms,
            period_ids=period_ids,
            terms=terms,
        )
        for n, (account, asset, amount, terms) in enumerate(lines)
        if amount or len(lines) == 1 or (kind in _TOLD_AT_0 and terms)
    ]
