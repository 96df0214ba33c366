"""The owner's books in Redis."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.books import Entry

#: Fields of one answer, about: some hundred kilobytes.
_CHUNK = 5_000


class RedisBooks:
    """Implements books.BooksSource over a store's connection."""

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

    def restore(self, entries: Sequence[Entry], now_ms: int) -> None:
        """See record.LedgerAdmin.restore_books. One request."""
        months: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for entry in entries:
            if _left_s(entry.month, now_ms) > 0:
                months[entry.month][entry.field] = str(entry.amount)
        self._store.write_hashes(
            [(keys.books(m), fields, _left_s(m, now_ms)) for m, fields in months.items()]
        )


def _left_s(month: str, now_ms: int) -> int:
    """Seconds until a month's books are gone, counted from the end of the month."""
    year, number = map(int, month.removeprefix("m:").split("-"))
    ended = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return keys.BOOKS_S + int(ended.timestamp()) - now_ms // 1000
