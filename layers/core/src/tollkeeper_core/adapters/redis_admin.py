"""Whole users in Redis: written as the archive has them, read to be compared, deleted.

The texts written here are those of the scripts (lua/*.lua); tests/property/test_rebuild.py holds
one against the other.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_answers import lot_of
from tollkeeper_core.adapters.redis_books import RedisBooks
from tollkeeper_core.adapters.redis_funnel import RedisFunnel
from tollkeeper_core.adapters.redis_purchases import claimed_of, granted_of, top_up_of
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.adapters.scripts import script
from tollkeeper_core.domain.books import Entry
from tollkeeper_core.domain.fold import InEffect, Spent, Subscription, UserState, Word
from tollkeeper_core.domain.forgetting import Forgetting
from tollkeeper_core.domain.ledger import Lot
from tollkeeper_core.domain.movements import Claimed, FirstPayment, Granted, Hold, Settlement
from tollkeeper_core.domain.record import RecordError
from tollkeeper_core.domain.top_ups import SENT, Mandate
from tollkeeper_core.domain.transactions import Movement

#: Keys that one SCAN looks at, about; what it finds is deleted by one DEL.
_SCAN_COUNT = 500
#: A state's life is set anew once a day of use, so it may end this much before the last settlement
#: would let it: a day of 25 hours, and clocks that differ.
_IDLE_SLACK_S = 2 * keys.DAY_S


class RedisAdmin(RedisStore):
    """Implements record.LedgerAdmin. SCAN walks over all keys: nothing here is for traffic."""

    def is_published(self) -> bool:
        """See record.LedgerAdmin."""
        return bool(self._ask(lambda: self._client.exists(keys.CONFIG)))

    def unpublish(self) -> None:
        """See record.LedgerAdmin."""
        self._ask(lambda: self._client.delete(keys.CONFIG))

    def has_users(self) -> bool:
        """See record.LedgerAdmin."""
        return next(self._scan(keys.ALL_USERS), None) is not None

    def users(self) -> Iterator[Sequence[str]]:
        """See record.LedgerAdmin."""
        for found in self._scan(keys.ALL_STATES):
            yield [keys.user_of(key) for key in found]

    def states(self, user_ids: Sequence[str]) -> list[UserState]:
        """See record.LedgerAdmin. One request; what one user has is read at one moment each."""
        pipeline = self._client.multi()
        for user in user_ids:
            pipeline.hgetall(keys.user(user))
            pipeline.hgetall(keys.purchases(user))
            pipeline.hgetall(keys.subscriptions(user))
            pipeline.get(keys.customer(user))
            pipeline.get(keys.top_up(user))
        answers = self._ask(pipeline.exec) if user_ids else []
        return [_state(u, *answers[5 * n : 5 * n + 5]) for n, u in enumerate(user_ids)]

    def dump(self, user_id: str) -> dict[str, Any]:
        """See record.LedgerAdmin. A hash as an object, a set as an array, a sorted one as
        [member, score, ...]."""
        kept: dict[str, Any] = {}
        for found in self._scan(keys.everything(user_id)):
            for key in sorted(found):
                kept[key] = self._value(key)
        kept.update(RedisBooks(self).of_user(self._names(keys.ALL_BOOKS), user_id))
        kept.update(RedisFunnel(self).of_user(self._names(keys.ALL_EXPERIMENTS), user_id))
        return kept

    def begin_rebuild(self, now_ms: int) -> None:
        """See record.LedgerAdmin."""
        self._ask(lambda: self._client.set(keys.REBUILD, str(now_ms)))

    def is_rebuilding(self) -> bool:
        """See record.LedgerAdmin."""
        return bool(self._ask(lambda: self._client.exists(keys.REBUILD)))

    def end_rebuild(self) -> None:
        """See record.LedgerAdmin."""
        self._ask(lambda: self._client.delete(keys.REBUILD))

    def restore_settlements(self, settlements: Sequence[Settlement], now_ms: int) -> None:
        """See record.LedgerAdmin. One request."""
        pipeline = self._client.pipeline()
        for s in settlements:
            left_s = (s.settled_ms - now_ms) // 1000 + keys.SETTLED_S
            if left_s > 0:
                pipeline.set(keys.event(s.user_id, s.event_id), _text(_settled(s)), ex=left_s)
        if settlements:
            self._ask(pipeline.exec)

    def restore(self, states: Sequence[UserState], now_ms: int) -> None:
        """See record.LedgerAdmin. One request, one script a user."""
        code = script("restore")
        calls = []
        for state in states:
            user = state.user_id
            names = [
                keys.CONFIG,
                keys.user(user),
                keys.holds(user),
                keys.purchases(user),
                keys.subscriptions(user),
                keys.customer(user),
                keys.top_up(user),
            ]
            hashes = (_state_fields(state, now_ms), _purchase_fields(state), _subscriptions(state))
            counts = [str(len(fields)) for fields in hashes]
            pairs = [text for fields in hashes for pair in fields.items() for text in pair]
            first = [str(_idle_s(state, now_ms)), *counts, state.customer_id or "", _top_up(state)]
            calls.append((code, names, [*first, *pairs]))
        for answer in self.run_many(calls):
            if answer == 0:
                raise RecordError(
                    "A configuration was published while the state was being rebuilt: "
                    "run tollkeeper rebuild --force."
                )
            if answer != 1:
                raise RecordError(f"Redis refused a user's state: {answer}")

    def restore_books(
        self, entries: Sequence[Entry], booked: Sequence[tuple[str, str]], now_ms: int
    ) -> None:
        """See record.LedgerAdmin."""
        RedisBooks(self).restore(entries, booked, now_ms)

    def may_be_gone(self, state: UserState, now_ms: int) -> bool:
        """See record.LedgerAdmin."""
        idle_s = _idle_s(state, now_ms)
        return state.empty or (idle_s != 0 and idle_s <= _IDLE_SLACK_S)

    def delete_users(self) -> Iterator[int]:
        """See record.LedgerAdmin."""
        gone = 0
        for found in self._scan(keys.ALL_REBUILT):
            gone += self._delete(found)
            yield gone

    def delete_user(self, user_id: str) -> int:
        """See record.LedgerAdmin."""
        return sum(self._delete(found) for found in self._scan(keys.everything(user_id)))

    def mask_in_experiments(self, who: Forgetting) -> int:
        """See record.LedgerAdmin."""
        return RedisFunnel(self).mask(self._names(keys.ALL_EXPERIMENTS), who.user_id, who.alias)

    def mask_in_books(self, who: Forgetting) -> int:
        """See record.LedgerAdmin."""
        return RedisBooks(self).mask(self._names(keys.ALL_BOOKS), who.user_id, who.alias)

    def pending_money(self, user_id: str) -> list[Movement]:
        """See record.LedgerAdmin."""
        return RedisBooks(self).pending(self._names(keys.ALL_MONEY), user_id)

    def money_recorded(self, movements: Sequence[Movement]) -> None:
        """See record.LedgerAdmin."""
        RedisBooks(self).recorded([(m.utc_month, m.txn_id) for m in movements])

    def _names(self, pattern: str) -> list[str]:
        return sorted({name for found in self._scan(pattern) for name in found})

    def _scan(self, pattern: str) -> Iterator[list[str]]:
        """Keys that match, in batches; the empty ones are left out. A key may come twice."""
        cursor = 0
        while True:
            cursor, names = self._page(cursor, pattern)
            if names:
                yield names
            if cursor == 0:
                return

    def _page(self, cursor: int, pattern: str) -> tuple[int, list[str]]:
        found = self._ask(lambda: self._client.scan(cursor, match=pattern, count=_SCAN_COUNT))
        return int(found[0]), list(found[1])

    def _delete(self, names: Sequence[str]) -> int:
        return int(self._ask(lambda: self._client.delete(*names)))

    def _value(self, key: str) -> Any:
        kind = self._ask(lambda: self._client.type(key))
        if kind == "hash":
            return self._ask(lambda: self._client.hgetall(key))
        if kind == "zset":
            return self._ask(lambda: self._client.zrange(key, 0, -1, withscores=True))
        if kind == "set":
            return sorted(self._ask(lambda: self._client.smembers(key)))
        return self._ask(lambda: self._client.get(key))


# -- from a state to the texts that the scripts keep -----------------------------------------------


def _idle_s(state: UserState, now_ms: int) -> int:
    """Seconds until a user who never bought is forgotten; 0: never, whoever bought is not."""
    if state.bought or state.claims:
        return 0
    return max((state.settled_ms - now_ms) // 1000 + keys.IDLE_USER_S, 1)


def _state_fields(state: UserState, now_ms: int) -> dict[str, str]:
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


def _top_up(state: UserState) -> str:
    return "" if state.top_up is None else _text(state.top_up)


def _lot_text(lot: Lot) -> str:
    parts: list[object] = [lot.id, lot.granted_nano, lot.remaining_nano, lot.worth_minor]
    parts += [lot.currency, lot.expires_ms or 0, lot.granted_ms]
    if lot.frozen or lot.fresh_until_ms:
        parts += [int(lot.frozen), lot.fresh_until_ms or 0, lot.fresh_nano]
    return ",".join(map(str, parts))


def _purchase_fields(state: UserState) -> dict[str, str]:
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


def _subscriptions(state: UserState) -> dict[str, str]:
    return {
        name: f"{s.version[0]} {s.version[1]} {s.until_ms} {s.tier} {s.plan} {s.anchor_day} "
        f"{s.next_plan or '-'}"
        for name, s in state.subscriptions.items()
    }


def _settled(s: Settlement) -> dict[str, str | int]:
    return {
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


def _state(
    user_id: str,
    fields: dict[str, str],
    purchases: dict[str, str],
    subs: dict[str, str],
    customer_id: str | None,
    top_up: str | None,
) -> UserState:
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
