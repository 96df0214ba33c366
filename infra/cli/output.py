"""Where a report goes, as its options say: a page in a file, JSON on stdout, or the terminal."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable

from infra.cli.screen import say


def put_out(
    options: Namespace,
    page: Callable[[], str],
    as_json: Callable[[], object],
    show: Callable[[], None],
) -> int:
    """Of the three forms the one that was asked for; answers the exit code."""
    if options.html:
        options.html.write_text(page(), "utf-8")
        say(f"✓ {options.html}", "green")
    elif options.json:
        sys.stdout.write(json.dumps(as_json(), indent=2) + "\n")
    else:
        show()
    return 0
