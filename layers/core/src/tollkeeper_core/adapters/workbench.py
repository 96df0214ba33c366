"""A temporary SQLite file in which an archive of any length is deduplicated and sorted."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tollkeeper_core.domain.books import Entry
from tollkeeper_core.domain.postings import Posting
from tollkeeper_core.domain.record import RecordError

#: SQLite's own cache, whatever the file's size: 32 MiB.
_CACHE_KIB = 32 * 1024

_SCHEMA = """
CREATE TABLE objects (place INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE users (user_id TEXT PRIMARY KEY, cleared INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE books (
  user_id TEXT NOT NULL, month TEXT NOT NULL, field TEXT NOT NULL, amount TEXT NOT NULL,
  PRIMARY KEY (user_id, month, field)
) WITHOUT ROWID;
CREATE TABLE postings (
  user_id TEXT NOT NULL, id TEXT NOT NULL, line TEXT NOT NULL, twofold INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (user_id, id)
) WITHOUT ROWID;
"""

# Of two different postings with one id the same one must count in any order of reading: the lesser.
_ADD = """
INSERT INTO postings (user_id, id, line) VALUES (?, ?, ?)
ON CONFLICT (user_id, id) DO UPDATE
SET twofold = 1, line = min(line, excluded.line) WHERE line <> excluded.line
"""


class SqliteWorkbench:
    """Implements record.Workbench. The file is scratch: it is not made to survive a crash."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        self._read_to = 0

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def note(self, names: Iterable[str]) -> int:
        """See record.Workbench."""
        before = self._db.total_changes
        self._db.executemany(
            "INSERT OR IGNORE INTO objects (name) VALUES (?)", ((name,) for name in names)
        )
        return self._db.total_changes - before

    def unread(self, count_max: int) -> list[str]:
        """See record.Workbench."""
        found = self._db.execute(
            "SELECT place, name FROM objects WHERE place > ? ORDER BY place LIMIT ?",
            (self._read_to, count_max),
        ).fetchall()
        self._read_to = max((place for place, _ in found), default=self._read_to)
        return [name for _, name in found]

    def add(self, lines: Iterable[str]) -> None:
        """See record.Workbench."""
        rows = [_row(line) for line in lines]
        self._db.executemany(_ADD, rows)
        self.note_users(dict.fromkeys(user_id for user_id, _, _ in rows))

    def note_users(self, user_ids: Iterable[str]) -> None:
        """See record.Workbench."""
        self._db.executemany(
            "INSERT OR IGNORE INTO users (user_id) VALUES (?)", ((name,) for name in user_ids)
        )

    def note_books(self, entries: Iterable[Entry]) -> None:
        """See record.Workbench."""
        self._db.execute("DELETE FROM books")
        self._db.executemany(
            "INSERT OR REPLACE INTO books VALUES (?, ?, ?, ?)",
            ((e.user_id, e.month, e.field, str(e.amount)) for e in entries),
        )
        self._db.execute("INSERT OR IGNORE INTO users (user_id) SELECT user_id FROM books")

    def books(self, user_id: str) -> list[Entry]:
        """See record.Workbench."""
        found = self._db.execute(
            "SELECT month, field, amount FROM books WHERE user_id = ?", (user_id,)
        )
        return [Entry.of_field(month, field, int(amount)) for month, field, amount in found]

    def count(self) -> tuple[int, int]:
        """See record.Workbench."""
        (postings,) = self._db.execute("SELECT count(*) FROM postings").fetchone()
        (users,) = self._db.execute("SELECT count(*) FROM users WHERE NOT cleared").fetchone()
        return postings, users

    def users(self, after: str, count_max: int) -> list[str]:
        """See record.Workbench."""
        found = self._db.execute(
            "SELECT user_id FROM users WHERE user_id > ? AND NOT cleared ORDER BY user_id LIMIT ?",
            (after, count_max),
        )
        return [user_id for (user_id,) in found]

    def clear(self, user_id: str) -> None:
        """See record.Workbench."""
        self._db.execute("UPDATE users SET cleared = 1 WHERE user_id = ?", (user_id,))

    def postings(self, user_id: str) -> Iterator[Posting]:
        """See record.Workbench."""
        lines = self._db.execute(
            "SELECT line FROM postings WHERE user_id = ? ORDER BY id", (user_id,)
        )
        for (line,) in lines:
            yield Posting.from_json(json.loads(line))

    def contradictions(self, user_id: str) -> list[str]:
        """See record.Workbench."""
        found = self._db.execute(
            "SELECT id FROM postings WHERE user_id = ? AND twofold ORDER BY id", (user_id,)
        )
        return [posting_id for (posting_id,) in found]


@contextmanager
def open_workbench() -> Iterator[SqliteWorkbench]:
    """A workbench in a directory of its own, which goes with it."""
    with TemporaryDirectory(prefix="tollkeeper-") as folder:
        bench = SqliteWorkbench(Path(folder) / "archive.sqlite")
        try:
            yield bench
        finally:
            bench.close()


def _row(line: str) -> tuple[str, str, str]:
    try:
        posting = json.loads(line)
        return str(posting["user_id"]), str(posting["id"]), line
    except (ValueError, KeyError, TypeError):
        raise RecordError(f"this line of the archive is no posting: {line[:200]}") from None
