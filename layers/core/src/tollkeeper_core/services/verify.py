"""Compares the live state with the archive, user by user."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tollkeeper_core.domain.books import still_live
from tollkeeper_core.domain.differences import Difference, differences
from tollkeeper_core.domain.fold import UserFold, sets_of
from tollkeeper_core.domain.forgetting import is_forgotten
from tollkeeper_core.domain.periods import cutoffs
from tollkeeper_core.domain.ports import Clock
from tollkeeper_core.domain.record import (
    ArchiveReader,
    LedgerAdmin,
    OpenWorkbench,
    Progress,
    Workbench,
)
from tollkeeper_core.domain.user_state import UserState
from tollkeeper_core.services.read_archive import (
    all_users,
    problems_of,
    read_new,
    refuse_while_forgetting,
)


@dataclass(frozen=True)
class Verify:
    """What is settled is archived a moment later, so under traffic the two always differ somewhere.

    A user who differs is therefore looked at again, ``tries`` times in all with ``pause_s``
    between; what still differs at the last look is told.
    """

    archive: ArchiveReader
    admin: LedgerAdmin
    open_bench: OpenWorkbench
    clock: Clock
    sleep: Callable[[float], None]
    tries: int
    pause_s: float

    def __call__(self, progress: Progress) -> Iterator[Difference]:
        """Every difference. Raises RecordError."""
        refuse_while_forgetting(self.archive)
        with self.open_bench() as bench:
            read_new(self.archive, bench, progress)
            for names in self.admin.users():
                bench.note_users(names)
            bench.note_books(self.admin.books())
            for _ in range(self.tries - 1):
                if not self._clear_equal(bench, progress):
                    return
                self.sleep(self.pause_s)
                bench.note_books(self.admin.books())
                read_new(self.archive, bench, progress)
            for _, found in self._compared(bench, progress):
                yield from found

    def _clear_equal(self, bench: Workbench, progress: Progress) -> int:
        """Take from the bench who is as the archive says; how many remain."""
        remain = 0
        for user_id, found in self._compared(bench, progress):
            if any(True for _ in found):
                remain += 1
            else:
                bench.clear(user_id)
        return remain

    def _compared(
        self, bench: Workbench, progress: Progress
    ) -> Iterator[tuple[str, Iterator[Difference]]]:
        _, users = bench.count()
        done = 0
        for batch in all_users(bench):
            names = [name for name in batch if not is_forgotten(name)]
            for live in self.admin.states(names):
                yield live.user_id, self._differences(bench, live)
            for alias in filter(is_forgotten, batch):
                yield alias, self._in_books(bench, self._folded(bench, alias))
            done += len(batch)
            progress("compare", done, users)

    def _differences(self, bench: Workbench, live: UserState) -> Iterator[Difference]:
        now_ms = self.clock()
        fold = self._folded(bench, live.user_id)
        archived = fold.result()
        for problem in problems_of(bench, fold):
            yield Difference(live.user_id, problem, "", "")
        if not (live.empty and self.admin.may_be_gone(archived, now_ms)):
            yield from differences(live, archived, fold.cutoffs)
        yield from self._in_books(bench, fold)

    def _folded(self, bench: Workbench, user_id: str) -> UserFold:
        fold = UserFold(user_id, cutoffs(self.clock()))
        for lines in sets_of(bench.postings(user_id)):
            fold.add(lines)
        return fold

    def _in_books(self, bench: Workbench, fold: UserFold) -> Iterator[Difference]:
        """Of the months whose books cannot have ended yet."""
        now_ms = self.clock()
        live, recorded = (
            {(e.month, e.kind, e.of): e.amount for e in entries if still_live(e.month, now_ms)}
            for entries in (bench.books(fold.user_id), fold.books())
        )
        for at in sorted(live.keys() | recorded.keys()):
            ours, its = live.get(at, 0), recorded.get(at, 0)
            if ours != its:
                yield Difference(fold.user_id, f"books {' '.join(at)}", str(ours), str(its))
