"""A user's state and the texts in which the scripts (lua/*.lua) keep it.

tests/property/test_rebuild.py holds one against the other.
"""

import json
from collections.abc import Mapping

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_answers import lot_of
from tollkeeper_core.adapters.redis_purchases import claimed_of, granted_of, top_up_of
from tollkeeper_core.domain.ledger import Lot
from tollkeeper_core.domain.movements import Claimed, FirstPayment, Granted, Hold, Settlement
from tollkeeper_core.domain.top_ups import SENT, Mandate
from tollkeeper_core.domain.user_state import InEffect, Spent, Subscription, UserState, Word

# -- from a state to the texts that the scripts keep -----------------------------------------------


def idle_s(state: UserState, now_ms: int) -> int:
    """Seconds until a user who never bought is forgotten; 0: never, whoever bought is not."""
    if state.bought or state.claims:
        return 0
    return max((state.settled_ms - now_ms) // 1000 + keys.IDLE_USER_S, 1)


def state_fields(state: UserState, now_ms: int) -> dict[str, str]:
    """Of the state hash (lua/state.lua)."""
    periods = {
        name: f"{each.allowance_nano} {each.total_nano} 0 0 {each.calls}"
        for name, each in state.spent.items()
    }
    subscriptions = (
        f"{s.tier}:{s.until_ms}:{s.anchor_day}"
        for s in state.subscriptions.values()
        if s.until_ms > now_ms
    )
    months = ";".join(sorted(f"{day}:{until_ms}" for day, until_ms in state.months.items()))
    return {
        **periods,
        "periods": ",".join(periods),
        "lots": ";".join(map(_lot_text, state.lots)),
        "held": "0",
        "expiry": "",
        "tier": state.said_tier,
        "subs": ";".join(subscriptions),
        **({"months": months} if months else {}),
        "owed": str(state.owed_nano),
        "unused": ",".join(sorted(state.unused)),
        **({"bought": "1"} if state.bought else {}),
        **_watched(state),
    }


def _watched(state: UserState) -> dict[str, str]:
    """What settlements look at of an automatic top-up."""
    top_up = state.top_up
    if top_up is None or top_up["mandate"] != Mandate.ON:
        return {}
    return {"topup": f"{top_up['below_nano']} {top_up['wait_ms']}"}


def top_up_text(state: UserState) -> str:
    """Of the automatic top-up, "" where there is none."""
    return "" if state.top_up is None else _text(state.top_up)


def _lot_text(lot: Lot) -> str:
    parts: list[object] = [lot.id, lot.granted_nano, lot.remaining_nano, lot.worth_minor]
    parts += [lot.currency, lot.expires_ms or 0, lot.granted_ms]
    if lot.frozen or lot.fresh_until_ms:
        parts += [int(lot.frozen), lot.fresh_until_ms or 0, lot.fresh_nano]
    return ",".join(map(str, parts))


def purchase_fields(state: UserState) -> dict[str, str]:
    """Of the hash of purchases: answers, claims, and what these came to."""
    fields = {name: _text(_grant_answer(g)) for name, g in state.purchases.items()}
    for name, words in state.claims.items():
        texts = (
            f"{claim} {w.version[0]} {w.version[1]} {w.taken_minor} {int(w.hold)}"
            for claim, w in words.items()
        )
        fields[f"claims:{name}"] = ";".join(sorted(texts))
    for name, effect in state.in_effect.items():
        fields[f"taken:{name}"] = f"{effect.taken_minor} {effect.revoked_nano}"
    for prompt, first in state.first_payments.items():
        fields[f"first:{prompt}"] = f"{first.invoice_id} {first.paid_ms}"
    for (name, word), claimed in state.claimed.items():
        fields[f"claimed:{name}:{word}"] = _text(_claim_answer(claimed))
    return fields


def subscription_fields(state: UserState) -> dict[str, str]:
    """Of the hash of subscriptions."""
    return {
        name: f"{s.version[0]} {s.version[1]} {s.until_ms} {s.tier} {s.plan} {s.anchor_day} "
        f"{s.next_plan or '-'}"
        for name, s in state.subscriptions.items()
    }


def settlement_text(s: Settlement) -> str:
    """The answer of an event that was settled (settle.lua)."""
    answer: dict[str, str | int] = {
        "status": "ok",
        "event": s.event_id,
        "cost": s.cost_nano,
        "allowance": s.allowance_nano,
        "overrun": s.overrun_nano,
        "burnt": _parts(s.lots_nano),
        "periods": " ".join(s.period_ids),
        "tier": s.tier,
        "said": s.said_tier,
        "expired": _parts(s.expired_nano),
        "settled": s.settled_ms,
        **({"begun": ",".join(s.begun)} if s.begun else {}),
    }
    return _text(answer)


def _grant_answer(g: Granted) -> dict[str, str | int]:
    return {
        "purchase": g.purchase_id,
        "pack": g.pack,
        "granted": g.granted_nano,
        "paid": g.paid_minor,
        "worth": g.worth_minor,
        "currency": g.currency,
        "expires": g.expires_ms or 0,
        "fresh_until": g.fresh_until_ms or 0,
        "fresh": g.fresh_nano,
        "at": g.granted_ms,
        "paid_at": g.paid_ms,
        "repaid": g.repaid_nano,
        **_cause(g),
    }


def _cause(g: Granted) -> dict[str, str]:
    cause = g.cause
    if cause is None:
        return {}
    names = ("prompt", "trigger", "from_tier", "variant")
    return dict(
        zip(names, (cause.prompt_id, cause.trigger, cause.tier, cause.variant), strict=True)
    )


def _claim_answer(c: Claimed) -> dict[str, str | int]:
    return {
        "status": "ok",
        "purchase": c.purchase_id,
        "claim": c.claim_id,
        "created": c.version[0],
        "rank": c.version[1],
        "minor": c.taken_minor,
        "hold": int(c.hold),
        "pack": c.pack,
        "currency": c.currency,
        "taken": c.refunded_minor,
        "revoked": c.revoked_nano,
        "lots": _parts(c.lots_nano),
        "owed": c.owed_nano,
        "frozen": int(c.frozen),
        "at": c.claimed_ms,
    }


def _parts(amounts: Mapping[str, int]) -> str:
    return ";".join(f"{lot}={nano}" for lot, nano in amounts.items())


def _text(answer: Mapping[str, str | int]) -> str:
    """As cjson writes a script's answer: a list of names and values, all of them strings."""
    flat = [str(item) for pair in answer.items() for item in pair]
    return json.dumps(flat, separators=(",", ":"), ensure_ascii=False)


# -- and back --------------------------------------------------------------------------------------


def state_of(
    user_id: str,
    fields: dict[str, str],
    purchases: dict[str, str],
    subs: dict[str, str],
    customer_id: str | None,
    top_up: str | None,
) -> UserState:
    """What a user's keys hold."""
    state = UserState(user_id, customer_id=customer_id)
    if (kept := top_up_of(top_up)) is not None:
        state.top_up = {name: text for name, text in kept.fields.items() if name != SENT}
    for period in filter(None, fields.get("periods", "").split(",")):
        allowance, total, _, _, calls = (*fields[period].split(" "), "0")[:5]
        state.spent[period] = Spent(int(allowance), int(total), int(calls))
    state.lots = tuple(map(lot_of, filter(None, fields.get("lots", "").split(";"))))
    state.owed_nano = int(fields.get("owed", 0))
    state.said_tier = fields.get("tier", "")
    state.unused = set(filter(None, fields.get("unused", "").split(",")))
    for name, text in purchases.items():
        kind, _, purchase = name.partition(":")
        if kind == "claims":
            state.claims[purchase] = dict(map(_word, text.split(";")))
        elif kind == "first":
            invoice, paid_ms = text.split(" ")
            first = FirstPayment(user_id, purchase, invoice, int(paid_ms))
            state.first_payments[purchase] = first
        elif kind == "taken":
            taken, revoked = text.split(" ")
            state.in_effect[purchase] = InEffect(int(taken), int(revoked))
        else:
            _add_answer(state, json.loads(text))
    for name, text in subs.items():
        created, kind, until, tier, plan, day, following = (*text.split(" "), "0", "-")[:7]
        state.subscriptions[name] = Subscription(
            (int(created), int(kind)), int(until), tier, plan, int(day), following.strip("-")
        )
    for text in filter(None, fields.get("months", "").split(";")):
        day_of, until = text.split(":")
        state.months[int(day_of)] = int(until)
    return state


def _word(text: str) -> tuple[str, Word]:
    claim, created, rank, taken, hold = text.split(" ")
    return claim, Word((int(created), int(rank)), int(taken), Hold(int(hold)))


def _add_answer(state: UserState, answer: list[str]) -> None:
    fields = {**dict(zip(answer[::2], answer[1::2], strict=True)), "claimed": "0", "replayed": "1"}
    if "granted" in fields:
        state.purchases[fields["purchase"]] = granted_of(state.user_id, fields)
    else:
        claimed = claimed_of(state.user_id, fields)
        state.claimed[claimed.purchase_id, claimed.word] = claimed
