"""Folds the archive into an empty Redis, and only then lets traffic in again."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tollkeeper_core.domain.fold import UserFold, sets_of, settlement_of
from tollkeeper_core.domain.forgetting import is_forgotten
from tollkeeper_core.domain.movements import Settlement
from tollkeeper_core.domain.periods import cutoffs
from tollkeeper_core.domain.ports import Clock
from tollkeeper_core.domain.record import (
    ArchiveReader,
    LedgerAdmin,
    OpenWorkbench,
    Progress,
    RecordError,
    Workbench,
)
from tollkeeper_core.domain.user_state import UserState
from tollkeeper_core.services.read_archive import (
    all_users,
    problems_of,
    read_new,
    refuse_while_forgetting,
)
from tollkeeper_core.services.sync_config import SyncConfig, read_config

#: Settled events that go to Redis in one request.
_SETTLEMENTS = 200
#: An event that comes later than this after it was settled cannot come at all (redis_keys).
_SETTLED_MS = 16 * 86_400_000
#: Problems that are told in words; the others are counted.
_PROBLEMS_TOLD = 20


@dataclass(slots=True)
class Rebuilt:
    """What came of it. ``problems``: (user, what is wrong with their record), the first of them."""

    objects: int = 0
    postings: int = 0
    users: int = 0
    settlements: int = 0
    problems_count: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Rebuild:
    """``sync`` publishes the configuration, whatever the archive holds.

    ``grace_s``: a function that settled something just before Redis was emptied may still be
    writing it to the archive. What is read last is listed this long after the beginning, so it has
    to be longer than the longest time-out of those that write (60 s, template.yaml).
    """

    archive: ArchiveReader
    admin: LedgerAdmin
    open_bench: OpenWorkbench
    sync: SyncConfig
    clock: Clock
    sleep: Callable[[float], None]
    grace_s: float

    def refuse(self, *, force: bool) -> None:
        """Raises RecordError or ConfigError for whatever makes a rebuild wrong or useless."""
        read_config(self.sync.source)
        refuse_while_forgetting(self.archive)
        if force:
            if not self.archive.holds_postings():
                raise RecordError("The archive is empty: what Redis has could not be replaced.")
        elif self.admin.is_published():
            raise RecordError(
                "This Redis is in use: it has a configuration, so the state was not lost. Compare "
                "it with the archive (tollkeeper verify); --force replaces it by the archive's."
            )
        elif self.admin.has_users() and not self.admin.is_rebuilding():
            raise RecordError(
                "This Redis is not empty: it has users, though no configuration. If it is the "
                "right one, --force deletes them and writes what the archive says."
            )

    def __call__(self, progress: Progress, *, force: bool = False) -> Rebuilt:
        """Rebuild. May be broken off and begun again at any point. Raises as ``refuse`` does.

        While there is no configuration nothing is decided, settled or granted. So nothing can
        reach the archive any more, but for what functions had in hand when Redis was emptied.
        """
        self.refuse(force=force)
        resumed = self.admin.is_rebuilding()
        self.admin.begin_rebuild(self.clock())
        if force or resumed:
            self.admin.unpublish()
            for gone in self.admin.delete_users():
                progress("delete", gone)
        began_ms = self.clock()
        with self.open_bench() as bench:
            rebuilt = Rebuilt(objects=read_new(self.archive, bench, progress))
            self._wait(began_ms, progress)
            rebuilt.objects += read_new(self.archive, bench, progress)
            rebuilt.postings, users = bench.count()
            self._restore(bench, users, rebuilt, progress)
        self.sync()
        self.admin.end_rebuild()
        return rebuilt

    def _wait(self, began_ms: int, progress: Progress) -> None:
        while (left_s := self.grace_s - (self.clock() - began_ms) / 1000) > 0:
            progress("wait", int(self.grace_s - left_s), int(self.grace_s))
            self.sleep(min(left_s, 1.0))
        progress("wait", int(self.grace_s), int(self.grace_s))

    def _restore(self, bench: Workbench, users: int, rebuilt: Rebuilt, progress: Progress) -> None:
        now_ms, done = self.clock(), 0
        for batch in all_users(bench):
            folds = [self._fold(bench, user_id, now_ms, rebuilt) for user_id in batch]
            self.admin.restore_books(
                [entry for fold in folds for entry in fold.books()],
                # A forgotten user's have other names by now, which Stripe never says.
                [t for f in folds if not is_forgotten(f.user_id) for t in f.transactions()],
                now_ms,
            )
            states = [
                state
                for fold in folds
                if not is_forgotten(fold.user_id)
                for state in [self._result(bench, fold, rebuilt)]
                if not self.admin.may_be_gone(state, now_ms)
            ]
            # A user's state comes last: who has one has everything.
            self.admin.restore(states, now_ms)
            rebuilt.users += len(states)
            done += len(batch)
            progress("restore", done, users)

    def _fold(self, bench: Workbench, user_id: str, now_ms: int, rebuilt: Rebuilt) -> UserFold:
        """Forgotten users have no state any more, nor events that could come again."""
        gone = is_forgotten(user_id)
        fold = UserFold(user_id, cutoffs(now_ms))
        waiting: list[Settlement] = []
        for lines in sets_of(bench.postings(user_id)):
            fold.add(lines)
            settled = settlement_of(lines)
            if settled is not None and not gone and settled.settled_ms + _SETTLED_MS > now_ms:
                waiting.append(settled)
                rebuilt.settlements += 1
            if len(waiting) == _SETTLEMENTS:
                self.admin.restore_settlements(waiting, now_ms)
                waiting.clear()
        self.admin.restore_settlements(waiting, now_ms)
        return fold

    def _result(self, bench: Workbench, fold: UserFold, rebuilt: Rebuilt) -> UserState:
        state = fold.result()
        problems = [(fold.user_id, problem) for problem in problems_of(bench, fold)]
        rebuilt.problems_count += len(problems)
        rebuilt.problems += problems[: _PROBLEMS_TOLD - len(rebuilt.problems)]
        return state
