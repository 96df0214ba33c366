"""What the scripts of the payment side answer, and what they keep of a user, read."""

import json
from collections.abc import Mapping
from typing import Any

from tollkeeper_core.adapters.redis_answers import amounts_of, fields_of
from tollkeeper_core.domain.movements import Cause, Claimed, Granted, Hold
from tollkeeper_core.domain.top_ups import Stepped, TopUp


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
    return granted_of(user_id, {**fields_of(json.loads(text)), "claimed": "0", "replayed": "1"})


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
        lots_nano=amounts_of(fields["lots"]),
        owed_nano=int(fields["owed"]),
        frozen=fields["frozen"] == "1",
        claimed_ms=int(fields["at"]),
        replayed=fields["replayed"] == "1",
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
