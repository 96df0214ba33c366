"""Kills process groups when the process that started this one is gone, by whatever signal.

Its standard input is a pipe that only the supervisor holds. A line `+<group>` puts a process group
under guard, `-<group>` releases it; at the end of the input every guarded group is killed.
Portable, and unlike PR_SET_PDEATHSIG not tied to the thread that started a child.
"""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path


class Guardian:
    """The supervisor's end of the pipe."""

    def __init__(self) -> None:
        # A session of its own: a Ctrl-C in the terminal must not end it before the supervisor.
        # -S and -I: no site-packages, it starts in 15 ms.
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-I", str(Path(__file__))],
            stdin=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def guard(self, group: int) -> None:
        """Kill this process group should this process end without releasing it."""
        self._tell(f"+{group}")

    def release(self, group: int) -> None:
        """The group is gone; its number may become somebody else's."""
        self._tell(f"-{group}")

    def close(self) -> None:
        """Kill what is still guarded and end."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()

    def _tell(self, line: str) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()


def kill_group(group: int) -> None:
    """Kill every process of a group, if there is one left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def main() -> None:
    """Read until the supervisor is gone."""
    guarded: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            guarded.add(group)
        else:
            guarded.discard(group)
    for group in guarded:
        kill_group(group)


if __name__ == "__main__":
    main()
