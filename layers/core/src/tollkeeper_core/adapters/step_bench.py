"""The record of steps, deduplicated and added up in a temporary SQLite file: memory stays flat."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from itertools import islice

from tollkeeper_core.adapters.record import S3Record
from tollkeeper_core.adapters.scratch import scratch
from tollkeeper_core.domain.experiments import Seen
from tollkeeper_core.domain.funnel import SEEN, Count, StepKind, Users
from tollkeeper_core.domain.record import Progress, RecordError

_SCHEMA = """
CREATE TABLE steps (
  id TEXT PRIMARY KEY, user_id TEXT NOT NULL, step TEXT NOT NULL, "trigger" TEXT NOT NULL,
  tier TEXT NOT NULL, offer TEXT NOT NULL, currency TEXT NOT NULL, minor INTEGER NOT NULL,
  day TEXT NOT NULL, week TEXT NOT NULL, month TEXT NOT NULL, variant TEXT NOT NULL
) WITHOUT ROWID;
"""
_FIELDS = (
    *("id", "user_id", "step", "trigger", "tier", "offer"),
    *("currency", "minor", "day", "week", "month"),
)
_ADD = f"INSERT OR IGNORE INTO steps VALUES ({', '.join('?' * (len(_FIELDS) + 1))})"  # noqa: S608
_COUNTS = """
SELECT step, "trigger", tier, offer, currency, variant, count(*), sum(minor) FROM steps
WHERE day = ? GROUP BY step, "trigger", tier, offer, currency, variant
"""
#: SQLite takes the other columns from the row that has the minimum (sqlite.org/lang_select.html,
#: "bare columns in an aggregate query").
_SEEN = """
SELECT user_id, variant, min(at_ms), EXISTS (
  SELECT 1 FROM seen paid WHERE paid.user_id = seen.user_id AND paid.step = 'paid'
) FROM seen WHERE step = 'prompt_shown' GROUP BY user_id
"""
_SEEN_SCHEMA = """
CREATE TABLE seen (
  id TEXT PRIMARY KEY, user_id TEXT NOT NULL, step TEXT NOT NULL, variant TEXT NOT NULL,
  at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX of_user ON seen (user_id, step);
"""
_SEE = "INSERT OR IGNORE INTO seen VALUES (?, ?, ?, ?, ?)"
_COLUMNS = {"d": "day", "w": "week", "m": "month"}
#: A week or month of which only some days are asked for begins or ends at most this far away.
_MARGIN = timedelta(days=31)
_OBJECTS = 500


class StepBench:
    """Implements funnel.FunnelSource and experiments.SeenSource over the archive."""

    def __init__(self, record: S3Record, progress: Progress) -> None:
        self._record, self._progress = record, progress

    def counts(self, days: Sequence[str], periods: Sequence[str]) -> tuple[list[Count], Users]:
        """See funnel.FunnelSource. Raises RecordError for a line that is no step."""
        with scratch(_SCHEMA) as db:
            for lines in self._read(self._around(days)):
                db.executemany(_ADD, map(_row, lines))
            return _counts(db, days), _users(db, periods)

    def seen(self, experiment: str) -> Iterator[Seen]:
        """See experiments.SeenSource: of all days. Raises RecordError for what is no step."""
        names = (name for page in self._record.step_pages() for name in page)
        with scratch(_SEEN_SCHEMA) as db:
            for lines in self._read(names):
                db.executemany(_SEE, _seen_rows(lines, f"{experiment}:"))
            for user_id, variant, first_ms, bought in db.execute(_SEEN):
                yield Seen(user_id, variant.partition(":")[2], first_ms, bool(bought))

    def _around(self, days: Sequence[str]) -> Iterator[str]:
        first, last = (date.fromisoformat(day.removeprefix("d:")) for day in (days[0], days[-1]))
        return self._record.step_names(first - _MARGIN, last + _MARGIN)

    def _read(self, found: Iterator[str]) -> Iterator[list[str]]:
        done = 0
        while names := list(islice(found, _OBJECTS)):
            for _, lines in self._record.read(names):
                yield lines
                done += 1
            self._progress("read", done)


def _row(line: str) -> list[object]:
    try:
        found = json.loads(line)
        # A step of before there were experiments names none.
        return [*(found[name] for name in _FIELDS), found.get("variant", "")]
    except (ValueError, KeyError, TypeError):
        raise _no_step(line) from None


def _seen_rows(lines: Iterable[str], experiment: str) -> Iterator[tuple[object, ...]]:
    for line in lines:
        try:
            found = json.loads(line)
            variant = found.get("variant", "")
            if variant.startswith(experiment) and found["step"] in SEEN:
                yield found["id"], found["user_id"], found["step"], variant, found["at_ms"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _no_step(line) from None


def _no_step(line: str) -> RecordError:
    return RecordError(f"this line of the archive is no step: {line[:200]}")


def _counts(db: sqlite3.Connection, days: Iterable[str]) -> list[Count]:
    return [
        Count(day, StepKind(kind), trigger, tier, offer, currency, variant, count, minor)
        for day in days
        for kind, trigger, tier, offer, currency, variant, count, minor in db.execute(
            _COUNTS, (day,)
        )
    ]


def _users(db: sqlite3.Connection, periods: Iterable[str]) -> Users:
    users: dict[tuple[str, StepKind], int] = {}
    for period in periods:
        column = _COLUMNS[period[0]]
        found = dict(
            db.execute(
                f"SELECT step, count(DISTINCT user_id) FROM steps WHERE {column} = ? GROUP BY step",  # noqa: S608
                (period,),
            )
        )
        users |= {(period, kind): found.get(kind.value, 0) for kind in StepKind}
    return users
