"""The books added up from the record, in a temporary SQLite file: memory stays flat."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import islice

from tollkeeper_core.adapters.record import S3Record
from tollkeeper_core.adapters.scratch import scratch
from tollkeeper_core.domain.books import Entry, EntryKind, entry_of
from tollkeeper_core.domain.postings import Posting
from tollkeeper_core.domain.record import Progress, RecordError

_SCHEMA = """
CREATE TABLE entries (
  id TEXT PRIMARY KEY, month TEXT NOT NULL, kind TEXT NOT NULL, "of" TEXT NOT NULL,
  user_id TEXT NOT NULL, amount INTEGER NOT NULL
) WITHOUT ROWID;
"""
_ADD = "INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?, ?)"
_SUMS = """
SELECT month, kind, "of", user_id, sum(amount) FROM entries GROUP BY month, kind, "of", user_id
"""
#: A line lies on the UTC day on which it was settled, which comes after the day that counts: a
#: message waits in the queue and its dead-letter queue for 28 days at most, and as long again when
#: it is redriven.
_BEFORE, _AFTER = timedelta(days=2), timedelta(days=62)
_MONTH = timedelta(days=31)
_OBJECTS = 500


class BooksBench:
    """Implements books.BooksSource over the archive."""

    def __init__(self, record: S3Record, progress: Progress) -> None:
        self._record, self._progress = record, progress

    def entries(self, months: Sequence[str]) -> Iterator[Entry]:
        """See books.BooksSource. Raises RecordError for a line that is no posting."""
        with scratch(_SCHEMA) as db:
            self._read(db, frozenset(months))
            for month, kind, of, user_id, amount in db.execute(_SUMS):
                yield Entry(month, EntryKind(kind), of, user_id, amount)

    def _read(self, db: sqlite3.Connection, months: frozenset[str]) -> None:
        done, found = 0, self._record.posting_names(*_days_of(months))
        while names := list(islice(found, _OBJECTS)):
            for _, lines in self._record.read(names):
                db.executemany(_ADD, _rows(lines, months))
                done += 1
            self._progress("read", done)


def _days_of(months: frozenset[str]) -> tuple[date, date]:
    """The first and the last day on which lines of these months may lie."""
    first, last = (
        date.fromisoformat(f"{month.removeprefix('m:')}-01") for month in (min(months), max(months))
    )
    return first - _BEFORE, last + _MONTH + _AFTER


def _rows(lines: Sequence[str], months: frozenset[str]) -> Iterator[tuple[str, ...]]:
    for line in lines:
        try:
            posting = Posting.from_json(json.loads(line))
            entry = entry_of(posting)
        except (ValueError, KeyError, TypeError):
            raise RecordError(f"this line of the archive is no posting: {line[:200]}") from None
        if entry is not None and entry.month in months:
            # As text: SQLite's INTEGER takes it exactly, and nothing here is more than 64 bits.
            yield posting.id, entry.month, entry.kind, entry.of, entry.user_id, str(entry.amount)
