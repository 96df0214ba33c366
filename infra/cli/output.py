"""Where a report comes from, and where it goes, as its options say."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import TypeVar

from tollkeeper_core.domain.record import Progress

from infra.cli.screen import progress, say

T = TypeVar("T")


def look(options: Namespace, live: Callable[[], T], recorded: Callable[[Progress], T]) -> T:
    """From the counters; with ``--from-archive`` from the record, with a bar while it is read."""
    if not options.from_archive:
        return live()
    with progress() as tell:
        return recorded(tell)


def put_out(
    options: Namespace,
    page: Callable[[], str],
    as_json: Callable[[], object],
    show: Callable[[], None],
) -> int:
    """A page in a file, JSON on stdout, or the terminal; answers the exit code."""
    if options.html:
        options.html.write_text(page(), "utf-8")
        say(f"✓ {options.html}", "green")
    elif options.json:
        sys.stdout.write(json.dumps(as_json(), indent=2) + "\n")
    else:
        show()
    return 0
