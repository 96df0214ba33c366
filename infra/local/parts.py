"""One part of the local cloud: a Python module that runs as a process of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.guardian import Guardian, kill_group
from infra.local.ports import accepts, is_free

# A dozen processes start at once, maybe on a busy machine of two cores.
READY_DEADLINE_S = 60.0
STOP_DEADLINE_S = 3.0
POLL_S = 0.02
LAST_LINES = 40

OnLine = Callable[[str, str], None]


class PartError(RuntimeError):
    """A part did not come up, or is gone; the message ends with its last lines."""


class PortTakenError(PartError):
    """Somebody else has the port that was free a moment ago."""


@dataclass(frozen=True, slots=True)
class Part:
    """What to run and where it listens.

    With `tagged` each line of its output is `<source>\\t<line>`, else the part is the source.
    """

    name: str
    arguments: Sequence[str]
    ports: Sequence[int]
    environment: Mapping[str, str] = field(default_factory=dict)
    tagged: bool = False


class RunningPart:
    """A part's process, in a process group of its own."""

    def __init__(self, part: Part, *, root: Path, guardian: Guardian, on_line: OnLine) -> None:
        self.part = part
        self._guardian = guardian
        self._on_line = on_line
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._stopping = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", *part.arguments],
            cwd=root,
            env={**_clean_environment(), **part.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C reaches the terminal's whole group; in which order parts end is decided here.
            start_new_session=True,
        )
        guardian.guard(self._process.pid)
        self._reader = threading.Thread(target=self._read, name=part.name, daemon=True)
        self._reader.start()

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def wait_ready(self) -> None:
        """Wait until it accepts on all its ports; raises `PartError`."""
        deadline = time.monotonic() + READY_DEADLINE_S
        waiting = list(self.part.ports)
        while waiting:
            self.check()
            if time.monotonic() > deadline:
                raise self._error(f"does not listen after {READY_DEADLINE_S:.0f} s")
            if accepts(waiting[0]):
                waiting.pop(0)
            else:
                time.sleep(POLL_S)

    def check(self) -> None:
        """Raise `PartError` if the process has ended: `PortTakenError` if a port explains it."""
        if self.running:
            return
        self._reader.join(timeout=1)
        # Whoever had the port may be gone again by now, or has said nothing of it.
        told = any("already in use" in line.lower() for line in self._last_lines)
        if told or any(not is_free(port) for port in self.part.ports):
            raise PortTakenError(f"{self.part.name}: a port was taken in between")
        raise self._error(f"ended with exit code {self._process.returncode}")

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the part's own process, which ends those it started."""
        self._stopping = True
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)

    def wait_stopped(self) -> None:
        """Wait a moment, then kill whatever is left of its group."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_DEADLINE_S)
        kill_group(self._process.pid)
        self._process.wait()
        self._guardian.release(self._process.pid)
        self._reader.join(timeout=1)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _error(self, what: str) -> PartError:
        lines = "".join(f"\n    {line}" for line in self._last_lines) or " (it said nothing)"
        return PartError(f"{self.part.name} {what}; its last lines:{lines}")

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - PIPE above
        for raw in self._process.stdout:
            source, line = self.part.name, raw.rstrip("\n")
            if self.part.tagged and "\t" in line:
                source, line = line.split("\t", 1)
            self._last_lines.append(line if source == self.part.name else f"{source}: {line}")
            if not self._stopping:
                self._on_line(source, line)


def direct_to_loopback() -> dict[str, str]:
    """The variables that keep a proxy of the machine's owner out of what stays on the machine."""
    given = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
    no_proxy = ",".join(filter(None, [given, "127.0.0.1", "localhost"]))
    return {"NO_PROXY": no_proxy, "no_proxy": no_proxy}


def _clean_environment() -> dict[str, str]:
    """This process's environment without what would point a part at a real account."""
    theirs = ("AWS_", "STRIPE_", "UPSTASH_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    return {**kept, **direct_to_loopback(), "PYTHONUNBUFFERED": "1"}
