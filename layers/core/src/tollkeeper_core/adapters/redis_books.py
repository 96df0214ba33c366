"""The owner's books in Redis."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.adapters.scripts import Script, script
from tollkeeper_core.domain.books import Entry, entry_of
from tollkeeper_core.domain.ledger import LedgerUnavailableError, NothingPublishedError
from tollkeeper_core.domain.postings import money_postings
from tollkeeper_core.domain.transactions import Movement, Transaction

#: Fields of one answer, about: some hundred kilobytes.
_CHUNK = 5_000
#: What a pattern of SCAN would not take for itself.
_SPECIAL, _ESCAPED = re.compile(r"([*?\[\]\\])"), r"\\\1"
#: In place of what was told of a transaction, once that is on record.
ON_RECORD = ""


class RedisBooks:
    """Implements books.BooksSource and transactions.MoneyBooks over a store's connection."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def entries(self, months: Sequence[str]) -> Iterator[Entry]:
        """See books.BooksSource: one request for some thousand entries.

        A month that is being written is not read at one moment: an entry is what it was when its
        chunk was read.
        """
        for month in months:
            # HSCAN may name a field twice while the hash grows; the later value is the newer one.
            found: dict[str, str] = {}
            for chunk in self._store.scan_hash(keys.books(month), _CHUNK):
                found |= chunk
            for field, amount in found.items():
                yield Entry.of_field(month, field, int(amount))

    def on_record(self, transactions: Sequence[Transaction]) -> set[str]:
        """See transactions.MoneyBooks."""
        months: defaultdict[str, list[str]] = defaultdict(list)
        for transaction in transactions:
            months[transaction.month].append(transaction.id)
        asked = [(keys.money(month), ids) for month, ids in months.items()]
        return {
            txn_id
            for (_, ids), found in zip(asked, self._store.fields(asked), strict=True)
            for txn_id, word in zip(ids, found, strict=True)
            if word == ON_RECORD
        }

    def book(self, movements: Sequence[Movement]) -> list[Movement | None]:
        """See transactions.MoneyBooks."""
        answers = self._store.run_many([_call(movement) for movement in movements])
        return [
            _told(movement, answer) for movement, answer in zip(movements, answers, strict=True)
        ]

    def recorded(self, months_and_ids: Sequence[tuple[str, str]]) -> None:
        """See transactions.MoneyBooks. One request."""
        months: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for month, txn_id in months_and_ids:
            months[month][txn_id] = ON_RECORD
        self._store.write_hashes(
            [(keys.money(month), fields, keys.BOOKS_S) for month, fields in months.items()]
        )

    def of_user(self, names: Sequence[str], user_id: str) -> dict[str, dict[str, str]]:
        """A user's entries by name of the hash, as they are stored; those without any left out."""
        found: dict[str, dict[str, str]] = {}
        for name in names:
            for chunk in self._store.scan_hash(
                name, _CHUNK, f"*|{_SPECIAL.sub(_ESCAPED, user_id)}"
            ):
                # Another user's name may end with a bar and this one.
                mine = {f: n for f, n in chunk.items() if f.split("|", 2)[2] == user_id}
                if mine:
                    found.setdefault(name, {}).update(mine)
        return found

    def mask(self, names: Sequence[str], user_id: str, alias: str) -> int:
        """Count a user's entries for another one; answers how many there were."""
        found = self.of_user(names, user_id)
        for answer in self._store.run_many(
            [
                (script("mask"), [name], [text for f in fields for text in _renamed(f, alias)])
                for name, fields in found.items()
            ]
        ):
            if answer != 1:
                raise LedgerUnavailableError(f"mask: {answer}")
        return sum(map(len, found.values()))

    def pending(self, names: Sequence[str], user_id: str) -> list[Movement]:
        """What of a user's money is booked and not noted to be on record. Reads whole hashes."""
        words = (
            word
            for name in names
            for chunk in self._store.scan_hash(name, _CHUNK)
            for word in chunk.values()
            if word != ON_RECORD
        )
        return [m for m in map(Movement.of_word, words) if m.user_id == user_id]

    def restore(
        self, entries: Sequence[Entry], booked: Sequence[tuple[str, str]], now_ms: int
    ) -> None:
        """See record.LedgerAdmin.restore_books. Two requests."""
        self.recorded([one for one in booked if _left_s(one[0], now_ms) > 0])
        months: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for entry in entries:
            if _left_s(entry.month, now_ms) > 0:
                months[entry.month][entry.field] = str(entry.amount)
        self._store.write_hashes(
            [(keys.books(m), fields, _left_s(m, now_ms)) for m, fields in months.items()]
        )


def _call(movement: Movement) -> tuple[Script, list[str], list[str]]:
    names = [keys.CONFIG, keys.money(movement.utc_month), keys.books(movement.period_ids[2])]
    amounts = [
        text
        for posting in money_postings(movement)
        if (entry := entry_of(posting)) is not None
        for text in (entry.field, str(entry.amount))
    ]
    head = [movement.txn_id, movement.word(), str(keys.BOOKS_S)]
    return script("book"), names, [*head, *amounts]


def _told(movement: Movement, answer: object) -> Movement | None:
    if answer == -1:
        raise NothingPublishedError
    if answer == ON_RECORD:
        return None
    try:
        return Movement.of_word(str(answer))
    except ValueError:  # an error in place of an answer
        raise LedgerUnavailableError(f"book {movement.txn_id}: {answer}") from None


def _renamed(field: str, alias: str) -> tuple[str, str]:
    kind, of, _ = field.split("|", 2)
    return field, f"{kind}|{of}|{alias}"


def _left_s(month: str, now_ms: int) -> int:
    """Seconds until a month's books are gone, counted from the end of the month."""
    year, number = map(int, month.removeprefix("m:").split("-"))
    ended = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return keys.BOOKS_S + int(ended.timestamp()) - now_ms // 1000
