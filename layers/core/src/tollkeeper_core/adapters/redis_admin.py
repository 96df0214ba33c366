"""Whole users in Redis: written as the archive has them, read to be compared, deleted."""

from collections.abc import Iterator, Sequence
from typing import Any

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_books import RedisBooks
from tollkeeper_core.adapters.redis_funnel import RedisFunnel
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.adapters.redis_texts import (
    idle_s,
    purchase_fields,
    settlement_text,
    state_fields,
    state_of,
    subscription_fields,
    top_up_text,
)
from tollkeeper_core.adapters.scripts import script
from tollkeeper_core.domain.books import Entry
from tollkeeper_core.domain.forgetting import Forgetting
from tollkeeper_core.domain.movements import Settlement
from tollkeeper_core.domain.record import RecordError
from tollkeeper_core.domain.transactions import Movement
from tollkeeper_core.domain.user_state import UserState

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
        return [state_of(u, *answers[5 * n : 5 * n + 5]) for n, u in enumerate(user_ids)]

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
                pipeline.set(keys.event(s.user_id, s.event_id), settlement_text(s), ex=left_s)
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
            hashes = (
                state_fields(state, now_ms),
                purchase_fields(state),
                subscription_fields(state),
            )
            counts = [str(len(fields)) for fields in hashes]
            pairs = [text for fields in hashes for pair in fields.items() for text in pair]
            first = [
                str(idle_s(state, now_ms)),
                *counts,
                state.customer_id or "",
                top_up_text(state),
            ]
            calls.append((code, names, [*first, *pairs]))
        for answer in self.run_many(calls):
            if answer == 0:
                raise RecordError(
                    "A configuration was published while the state was being rebuilt: "
                    "run tollkeeper rebuild --force."
                )
            if answer != 1:
                raise RecordError(f"Redis refused a user's state: {answer}")

    def books(self) -> Iterator[Entry]:
        """See record.LedgerAdmin."""
        months = [name.removeprefix(keys.BOOKS) for name in self._names(keys.ALL_BOOKS)]
        return RedisBooks(self).entries(months)

    def restore_books(
        self, entries: Sequence[Entry], booked: Sequence[tuple[str, str]], now_ms: int
    ) -> None:
        """See record.LedgerAdmin."""
        RedisBooks(self).restore(entries, booked, now_ms)

    def may_be_gone(self, state: UserState, now_ms: int) -> bool:
        """See record.LedgerAdmin."""
        left_s = idle_s(state, now_ms)
        return state.empty or (left_s != 0 and left_s <= _IDLE_SLACK_S)

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
