"""The archive as the record: what those who read it whole need, as Protocols.

Nothing here is on the way of a check or of a settlement: it is for ``tollkeeper rebuild``,
``verify``, ``export`` and ``forget``, where a day's objects may be a million and memory must not
notice.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from tollkeeper_core.domain.books import Entry
from tollkeeper_core.domain.forgetting import Forgetting
from tollkeeper_core.domain.movements import Settlement
from tollkeeper_core.domain.ports import Archive
from tollkeeper_core.domain.postings import Posting
from tollkeeper_core.domain.transactions import Movement
from tollkeeper_core.domain.user_state import UserState


class Progress(Protocol):
    """Is told what is going on."""

    def __call__(self, step: str, done: int, total: int | None = None, detail: str = "") -> None:
        """How much of a step is done, of how much (None: not known yet), and where it stands."""
        ...


class RecordError(Exception):
    """The record or the live state is not as the command needs it; the text says what to do."""


class ArchiveReader(Protocol):
    """The archive, read. A line is the JSON text of one posting, without its line feed."""

    def holds_postings(self) -> bool:
        """Whether there are any."""
        ...

    def names(self) -> Iterator[Sequence[str]]:
        """The objects' names, page by page, oldest day first."""
        ...

    def step_pages(self) -> Iterator[Sequence[str]]:
        """The names of the objects that hold the funnel's steps, page by page, oldest day first."""
        ...

    def read(self, names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
        """Each object's name and lines, in order. Raises RecordError for one that is gone."""
        ...

    def forgetting(self) -> Iterator[Forgetting]:
        """Who is being forgotten at the moment, or was when it broke off."""
        ...


class ArchiveEditor(ArchiveReader, Archive, Protocol):
    """The archive, with what only the forgetting of a person may do to it."""

    def begin_forgetting(self, who: Forgetting) -> None:
        """Keep who it is and the key, so that a run that broke off is taken up, not begun anew."""
        ...

    def end_forgetting(self, who: Forgetting) -> None:
        """Delete that too, every version."""
        ...

    def versions(self) -> Iterator[Sequence["Versions"]]:
        """Every object that is or was, page by page, with all its versions."""
        ...

    def read_versions(self, objects: Sequence["Versions"]) -> Iterator[list[str]]:
        """The lines of each, all its versions taken together."""
        ...

    def replace(self, old: "Versions", lines: Sequence[str] | None) -> None:
        """Write ``lines`` (None: nothing) of the same day, then delete every version of ``old``."""
        ...


@dataclass(frozen=True, slots=True)
class Versions:
    """One object's versions, newest first. ``current``: whether the newest is no deletion."""

    name: str
    ids: tuple[str, ...]
    markers: tuple[str, ...]
    current: bool


class Workbench(Protocol):
    """Room for an archive that is larger than memory: deduplicated, and sorted by user."""

    def note(self, names: Iterable[str]) -> int:
        """Remember objects that are to be read; answers how many are new."""
        ...

    def unread(self, count_max: int) -> list[str]:
        """The next objects to be read, in the order in which they were noted; [] at the end."""
        ...

    def add(self, lines: Iterable[str]) -> None:
        """Postings that were read. Raises RecordError for what is none."""
        ...

    def note_users(self, user_ids: Iterable[str]) -> None:
        """Users to look at, beside those who have postings."""
        ...

    def note_books(self, entries: Iterable[Entry]) -> None:
        """The live books, in place of those that were noted before; whose they are is looked at."""
        ...

    def books(self, user_id: str) -> Sequence[Entry]:
        """One user's of them."""
        ...

    def count(self) -> tuple[int, int]:
        """How many postings and users there are."""
        ...

    def users(self, after: str, count_max: int) -> list[str]:
        """The next users in the order of their ids, those who were cleared left out."""
        ...

    def clear(self, user_id: str) -> None:
        """Leave a user out from now on."""
        ...

    def postings(self, user_id: str) -> Iterator[Posting]:
        """One user's, sorted by id, each id once."""
        ...

    def contradictions(self, user_id: str) -> list[str]:
        """Ids under which different postings of this user were found."""
        ...


#: Opens a workbench, and leaves nothing behind when it is closed.
OpenWorkbench = Callable[[], AbstractContextManager[Workbench]]


class LedgerAdmin(Protocol):
    """Whole users of the live state. Raises LedgerUnavailableError."""

    def is_published(self) -> bool:
        """Whether there is a configuration, and so traffic."""
        ...

    def unpublish(self) -> None:
        """Take the configuration away: from now on nothing is decided and nothing settled."""
        ...

    def has_users(self) -> bool:
        """Whether anything of any user is kept."""
        ...

    def users(self) -> Iterator[Sequence[str]]:
        """Everybody who has a state, batch by batch; somebody may come twice."""
        ...

    def states(self, user_ids: Sequence[str]) -> list[UserState]:
        """The live state of each."""
        ...

    def dump(self, user_id: str) -> dict[str, Any]:
        """Everything that is kept of one user: key -> value, as it is stored; of the books and of
        experiments, which are everybody's, their own entries.
        """
        ...

    def begin_rebuild(self, now_ms: int) -> None:
        """Note that what users have from now on is a rebuild's, and not to be trusted before
        ``end_rebuild``.
        """
        ...

    def is_rebuilding(self) -> bool:
        """Whether a rebuild began and did not end."""
        ...

    def end_rebuild(self) -> None:
        """The rebuild is complete."""
        ...

    def restore_settlements(self, settlements: Sequence[Settlement], now_ms: int) -> None:
        """Remember that these events were settled, for as long as their first settlement would."""
        ...

    def restore(self, states: Sequence[UserState], now_ms: int) -> None:
        """Write users as they are here, each at once, in place of what they have.

        Raises RecordError when a configuration is published.
        """
        ...

    def books(self) -> Iterator[Entry]:
        """The owner's books, as they are."""
        ...

    def restore_books(
        self, entries: Sequence[Entry], booked: Sequence[tuple[str, str]], now_ms: int
    ) -> None:
        """Write entries of the books as they are here, and which transactions (UTC month, id) are
        in them; those of months long past are left out.
        """
        ...

    def may_be_gone(self, state: UserState, now_ms: int) -> bool:
        """Whether a user with this state need not be kept: nothing in it, or long away and never
        bought.
        """
        ...

    def delete_users(self) -> Iterator[int]:
        """Delete everything of every user, and the books; yields how many keys have gone so far."""
        ...

    def mask_in_experiments(self, who: Forgetting) -> int:
        """Put the alias in the place of who was seen in experiments; answers how often."""
        ...

    def mask_in_books(self, who: Forgetting) -> int:
        """Count for the alias what the user cost and brought in; answers how many entries."""
        ...

    def pending_money(self, user_id: str) -> Sequence[Movement]:
        """Money of the user's that was booked and is not noted to be on record."""
        ...

    def money_recorded(self, movements: Sequence[Movement]) -> None:
        """Note that these are on record."""
        ...

    def delete_user(self, user_id: str) -> int:
        """Delete everything of one user; how many keys that were."""
        ...
