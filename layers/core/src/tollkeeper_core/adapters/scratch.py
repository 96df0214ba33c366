"""A temporary SQLite file, for what is added up from an archive larger than memory."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

#: SQLite's own cache, whatever the file's size.
_CACHE_KIB = 32 * 1024


@contextmanager
def scratch(schema: str) -> Iterator[sqlite3.Connection]:
    """With these tables, and gone when it is closed: it is not made to survive a crash."""
    with TemporaryDirectory(prefix="tollkeeper-") as folder:
        db = sqlite3.connect(Path(folder) / "scratch.sqlite")
        try:
            for pragma in ("journal_mode = OFF", f"cache_size = -{_CACHE_KIB}"):
                db.execute(f"PRAGMA {pragma}")
            db.executescript(schema)
            yield db
        finally:
            db.close()
