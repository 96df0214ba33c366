"""Reads the archive onto a workbench, and one user from there: what every command begins with."""

from collections.abc import Iterator

from tollkeeper_core.domain.fold import UserFold
from tollkeeper_core.domain.record import ArchiveReader, Progress, RecordError, Workbench

#: Objects whose names are in memory at a time.
_NAMES = 500
#: Users that are looked at together: one request to Redis for each so many.
USERS = 100


def read_new(archive: ArchiveReader, bench: Workbench, progress: Progress) -> int:
    """Read every object that the bench has not seen; how many these were."""
    found = done = listed = 0
    for page in archive.names():
        found += bench.note(page)
        listed += len(page)
        progress("list", listed)
    while names := bench.unread(_NAMES):
        for name, lines in archive.read(names):
            bench.add(lines)
            done += 1
            progress("read", done, found, name.split("/")[1].removeprefix("dt="))
    return found


def all_users(bench: Workbench) -> Iterator[list[str]]:
    """Everybody on the bench, batch by batch; who is cleared meanwhile does not matter."""
    after = ""
    while users := bench.users(after, USERS):
        yield users
        after = users[-1]


def refuse_while_forgetting(archive: ArchiveReader) -> None:
    """Raises RecordError while a person is half forgotten: their postings stand under two names."""
    for who in archive.forgetting():
        raise RecordError(
            f"The forgetting of {who.user_id!r} began and did not end: "
            f"run tollkeeper forget {who.user_id!r} first."
        )


def problems_of(bench: Workbench, fold: UserFold) -> list[str]:
    """What is wrong with one user's record, whatever the live state says."""
    contradictions = [
        f"the posting {posting_id} is on record with two contents"
        for posting_id in bench.contradictions(fold.user_id)
    ]
    return [*contradictions, *fold.problems]
