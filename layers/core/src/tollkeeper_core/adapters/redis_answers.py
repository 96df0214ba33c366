"""What the scripts answer, read: lists of names and values become the domain's answers."""

import json
from collections.abc import Mapping
from typing import Any

from upstash_redis.errors import UpstashError

from tollkeeper_core.domain.ledger import (
    Cause,
    Claimed,
    Counters,
    Granted,
    Hold,
    LedgerError,
    LedgerUnavailableError,
    Lot,
    NothingPublishedError,
    Reservation,
    Settle,
    Settlement,
    StaleConfigError,
    Standing,
    UnknownTierError,
    WindowLimit,
)
from tollkeeper_core.domain.periods import Window
from tollkeeper_core.domain.top_ups import Stepped, TopUp


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
        period_ids=_ids(fields["periods"]),
        standing=standing_of(fields),
    )


def settlement_of(request: Settle, answer: Any) -> Settlement | LedgerError:
    """A settlement's answer, or why there is none."""
    if isinstance(answer, UpstashError):
        return LedgerUnavailableError(f"settle: {answer}")
    try:
        fields = checked(answer, None)
    except LedgerError as error:
        return error
    return Settlement(
        user_id=request.user_id,
        event_id=fields["event"],
        cost_nano=int(fields["cost"]),
        allowance_nano=int(fields["allowance"]),
        overrun_nano=int(fields["overrun"]),
        lots_nano=_amounts(fields["burnt"]),
        period_ids=_ids(fields["periods"]),
        tier=fields["tier"],
        said_tier=fields["said"],
        expired_nano=_amounts(fields["expired"]),
        settled_ms=int(fields["settled"]),
        replayed=fields["replayed"] == "1",
        tops_up="topup" in fields,
        crossed=_amounts(fields.get("crossed", "")),
        begun=tuple(filter(None, fields.get("begun", "").split(","))),
    )


def granted_of(user_id: str, fields: dict[str, str]) -> Granted:
    """A grant's answer, as its script gives and keeps it."""
    return Granted(
        user_id=user_id,
        purchase_id=fields["purchase"],
        pack=fields["pack"],
        granted_nano=int(fields["granted"]),
        paid_minor=int(fields["paid"]),
        worth_minor=int(fields["worth"]),
        currency=fields["currency"],
        expires_ms=int(fields["expires"]) or None,
        fresh_until_ms=int(fields["fresh_until"]) or None,
        fresh_nano=int(fields["fresh"]),
        granted_ms=int(fields["at"]),
        repaid_nano=int(fields["repaid"]),
        claimed=fields["claimed"] == "1",
        replayed=fields["replayed"] == "1",
        paid_ms=_paid_ms(fields),
        cause=_cause(fields),
    )


def kept_grant_of(user_id: str, text: str) -> Granted:
    """A grant's answer as it is kept (lua/grant.lua)."""
    return granted_of(user_id, {**_fields(json.loads(text)), "claimed": "0", "replayed": "1"})


def _cause(fields: dict[str, str]) -> Cause | None:
    """Of a purchase that a prompt led to."""
    if "prompt" not in fields:
        return None
    return Cause(fields["prompt"], fields["trigger"], fields["from_tier"], fields["variant"])


def stepped_of(fields: dict[str, str]) -> Stepped:
    """What a step of an automatic top-up did (lua/top_up.lua)."""
    effect = fields["effect"]
    kept = {name: value for name, value in fields.items() if name not in ("status", "effect")}
    return Stepped(effect, TopUp(kept) if kept else None)


def top_up_of(text: str | None) -> TopUp | None:
    """An automatic top-up as its script keeps it."""
    if not text:
        return None
    words = json.loads(text)
    return TopUp(dict(zip(words[::2], words[1::2], strict=True)))


def claimed_of(user_id: str, fields: dict[str, str]) -> Claimed:
    """A claim's answer, as its script gives and keeps it."""
    return Claimed(
        user_id=user_id,
        purchase_id=fields["purchase"],
        claim_id=fields["claim"],
        version=(int(fields["created"]), int(fields["rank"])),
        taken_minor=int(fields["minor"]),
        hold=Hold(int(fields["hold"])),
        pack=fields["pack"],
        currency=fields["currency"],
        refunded_minor=int(fields["taken"]),
        revoked_nano=int(fields["revoked"]),
        lots_nano=_amounts(fields["lots"]),
        owed_nano=int(fields["owed"]),
        frozen=fields["frozen"] == "1",
        claimed_ms=int(fields["at"]),
        replayed=fields["replayed"] == "1",
    )


def _amounts(text: str) -> dict[str, int]:
    return {lot: int(nano) for lot, nano in (part.split("=") for part in text.split(";") if part)}


def _fields(answer: Any) -> dict[str, str]:
    # Redis of Lua answers an empty table as an empty list: "" in a script stays "".
    return dict(zip(answer[::2], answer[1::2], strict=True))


def checked(answer: Any, tier: str | None) -> dict[str, str]:
    """The fields of an answer. Raises what its status says."""
    fields = _fields(answer)
    if fields["status"] == "stale":
        raise StaleConfigError("the configuration changed")
    if fields["status"] == "empty":
        raise NothingPublishedError
    if fields["status"] == "unknown_tier":
        raise UnknownTierError(tier or "")
    return fields


def _ids(text: str) -> tuple[str, str, str]:
    day, week, month = text.split(" ")
    return day, week, month


def standing_of(fields: dict[str, str]) -> Standing:
    """Where a user stands, of any answer that says it."""
    limits = zip(Window, fields["limits"].split(" "), strict=True)
    counters = zip(Window, fields["used"].split(","), strict=True)
    return Standing(
        tier=fields["tier"],
        limits={w: WindowLimit(int(t[1:]), t[0] == "h") for w, t in limits if t != "-"},
        counters={w: Counters(*(int(n) for n in text.split(" "))) for w, text in counters},
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


def running_plans(subscriptions: Mapping[str, str], now_ms: int) -> dict[str, str]:
    """Of the hash of subscriptions (lua/subscribe.lua): id -> plan, of those that run."""
    words = {name: text.split(" ") for name, text in subscriptions.items()}
    return {
        name: plan
        for name, (_, kind, until, _, plan, *_) in words.items()
        if kind != "2" and int(until) > now_ms
    }


def next_plans(subscriptions: Mapping[str, str], now_ms: int) -> dict[str, str]:
    """Of the same: id -> the plan that follows, where one does."""
    words = {name: subscriptions[name].split(" ") for name in running_plans(subscriptions, now_ms)}
    return {name: word[6] for name, word in words.items() if word[6:] not in ([], ["-"])}


def purchases_since(purchases: Mapping[str, str], since_ms: int) -> int:
    """Of the hash of purchases (lua/grant.lua): how many packs, by their payments and sessions."""
    bought = [one for one in _grants(purchases) if not one["purchase"].startswith("in_")]
    return sum(_paid_ms(one) >= since_ms for one in bought)


def first_paid(purchases: Mapping[str, str]) -> int | None:
    """Of the same hash: when money first came in on which there is no claim (lua/claim.lua)."""
    return min(
        (
            _paid_ms(one)
            for one in _grants(purchases)
            if int(one["paid"]) > 0 and f"claims:{one['purchase']}" not in purchases
        ),
        default=None,
    )


def _paid_ms(fields: Mapping[str, str]) -> int:
    """Grants of before have no such time: they were granted when they were paid, or soon after."""
    return int(fields.get("paid_at", fields["at"]))


def _grants(purchases: Mapping[str, str]) -> list[dict[str, Any]]:
    answers = [json.loads(text) for text in purchases.values() if text.startswith("[")]
    fields = [dict(zip(one[::2], one[1::2], strict=True)) for one in answers]
    return [one for one in fields if "granted" in one]
