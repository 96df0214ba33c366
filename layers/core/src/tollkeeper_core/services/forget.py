"""A person's data, away: out of Redis, and off the postings, whose amounts stay."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tollkeeper_core.domain.forgetting import Forgetting, masked, masked_step
from tollkeeper_core.domain.funnel import step_line
from tollkeeper_core.domain.postings import Posting, money_postings
from tollkeeper_core.domain.record import ArchiveEditor, LedgerAdmin, Progress, Versions


@dataclass(slots=True)
class Forgotten:
    """What was done: keys deleted in Redis, objects of the archive rewritten, postings in them."""

    keys: int = 0
    objects: int = 0
    postings: int = 0


@dataclass(frozen=True)
class Forget:
    """``new_key`` makes a random key of 128 hex digits.

    The order makes it safe to break off anywhere and begin again:

    1. who it is, and the key of the names to come, are kept in the archive. From here on rebuild
       and verify refuse to run, so nobody sees half a person;
    2. Redis is cleared; who was seen in an experiment, and what they cost and brought in, goes on
       counting under the alias;
    3. each object that names the person is written anew, then deleted with all its versions. In
       between the postings stand under both names; the next run finds the old object again, and
       the same key gives the same new one;
    4. Redis is cleared again, of what came meanwhile;
    5. the key is deleted: from here on nobody can tell who it was.
    """

    archive: ArchiveEditor
    admin: LedgerAdmin
    new_key: Callable[[], str]

    def __call__(self, user_id: str, progress: Progress) -> Forgotten:
        """Forget. Raises RecordError where S3 refuses a deletion."""
        begun = (who for who in self.archive.forgetting() if who.user_id == user_id)
        who = next(begun, None)
        if who is None:
            who = Forgetting(user_id, self.new_key())
            self.archive.begin_forgetting(who)
        done = Forgotten(keys=self._clear(who))
        # Again until nothing is found: a function may have been writing meanwhile.
        while True:
            self._put_on_record(who)
            if not self._rewrite(who, done, progress):
                break
        done.keys += self._clear(who)
        self.archive.end_forgetting(who)
        return done

    def _clear(self, who: Forgetting) -> int:
        self.admin.mask_in_experiments(who)
        self.admin.mask_in_books(who)
        return self.admin.delete_user(who.user_id)

    def _put_on_record(self, who: Forgetting) -> None:
        """Money that a run of reconcile booked and left there: the next one would put it on record
        under the name.
        """
        pending = self.admin.pending_money(who.user_id)
        self.archive.write([line for movement in pending for line in money_postings(movement)])
        self.admin.money_recorded(pending)

    def _rewrite(self, who: Forgetting, done: Forgotten, progress: Progress) -> int:
        rewritten = 0
        for looked_at, (old, lines) in enumerate(self._objects(), 1):
            progress("read", looked_at, None, f"{done.objects} rewritten")
            new = [_masked(line, who) for line in lines]
            changed = sum(a != b for a, b in zip(lines, new, strict=True))
            if changed:
                self.archive.replace(old, new if old.current else None)
                rewritten += 1
                done.objects += 1
                done.postings += changed
        return rewritten

    def _objects(self) -> Iterator[tuple[Versions, list[str]]]:
        for page in self.archive.versions():
            yield from zip(page, self.archive.read_versions(page), strict=True)


def _masked(line: str, who: Forgetting) -> str:
    found = json.loads(line)
    if found["user_id"] != who.user_id:
        return line
    if found.get("kind") == "step":
        return step_line(masked_step(found, who))
    return masked(Posting.from_json(found), who).as_line()
