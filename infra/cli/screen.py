"""What a command shows: progress and questions on stderr, so that stdout holds the answer alone."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text
from tollkeeper_core.domain.differences import Difference
from tollkeeper_core.domain.record import Progress, RecordError

_STEPS = {
    "delete": "Deleting the old state (keys)",
    "list": "Listing the archive (objects)",
    "read": "Reading the archive (objects)",
    "wait": "Waiting for what still writes (s)",
    "restore": "Writing users",
    "compare": "Comparing users",
    **{
        name: f"Stripe's {name}"
        for name in (
            *("sessions", "payments", "invoices", "subscriptions"),
            *("refunds", "disputes", "warnings", "money"),
        )
    },
}
#: Differences in one table: they may be as many as there are users.
_ROWS = 200

#: Where the answer goes to a file or another program a row stays on one line, however long.
_PIPED = 10_000

console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED)
_errors = Console(stderr=True, highlight=False)


@contextmanager
def progress() -> Iterator[Progress]:
    """Bars, one a step, for as long as it is open."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=_errors) as bars:
        known: dict[str, TaskID] = {}

        def tell(step: str, done: int, total: int | None = None, detail: str = "") -> None:
            if step not in known:
                known[step] = bars.add_task(_STEPS[step], total=total, detail="")
            bars.update(known[step], completed=done, total=total, detail=detail)

        yield tell


def say(text: str, style: str = "") -> None:
    """One line of the answer."""
    console.print(Text(text, style), soft_wrap=True)


def fail(error: Exception) -> None:
    """Why there is no answer."""
    _errors.print(Text(f"✗ {error}", "red"), soft_wrap=True)


def confirm(question: str, *, yes: bool) -> None:
    """Ask; anything but yes ends the command. Raises RecordError."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise RecordError("There is nobody to ask: give --yes if it is meant.")
    if _errors.input(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
        raise RecordError("Nothing was done.")


def show_differences(found: Iterable[Difference]) -> int:
    """As tables; how many there were."""
    differences, count = iter(found), 0
    while rows := list(islice(differences, _ROWS)):
        table = Table("user", "what", "live", "archive", title_justify="left")
        for row in rows:
            table.add_row(*(Text(text) for text in (row.user_id, row.what, row.live, row.archive)))
        console.print(table)
        count += len(rows)
    return count
