"""Brings consumers to life, one after the other, and tells how each ended.

A process without threads that has imported everything: a fork of it is a consumer at once, where a
new interpreter would take a second. Reads a line of JSON a life, writes one a death.
"""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Self

from tests.kills.consumer import Addresses, Consumer
from tests.kills.life import Death, Life, Notes, Point

#: A consumer that hangs is ended by its own alarm, and that is no SIGKILL.
_ALARM_S = 60
_ROOT = Path(__file__).parents[2]


class ConsumerError(Exception):
    """A consumer ended in a way that nobody chose."""


class Launcher:
    """The launcher's process, seen from outside."""

    def __init__(self, where: Addresses) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kills.launcher"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )
        self._tell(asdict(where))

    def live(self, life: Life) -> Death:
        """Until it is dead. Raises ConsumerError."""
        self._tell(asdict(life))
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the launcher ended"}
        if "error" in answer:
            raise ConsumerError(f"{life}: {answer['error']}")
        return Death(**{**answer, "last": Point(answer["last"])})

    def _tell(self, words: dict[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # closes its input, upon which it ends


def main() -> None:
    """Serve lives until the input ends."""
    consumer = Consumer(Addresses(**json.loads(sys.stdin.readline())))
    for line in sys.stdin:
        words = json.loads(line)
        life = Life(**{**words, "point": Point(words["point"]) if words["point"] else None})
        sys.stdout.write(json.dumps(_live(consumer, life)) + "\n")
        sys.stdout.flush()


def _live(consumer: Consumer, life: Life) -> dict[str, object]:
    with Notes(life) as notes:
        born = time.monotonic()
        child = os.fork()
        if child == 0:
            _be(consumer, life, notes)
        if life.after_s is not None:
            time.sleep(life.after_s)
            # Not waited for yet: the id cannot be anybody else's, even if it has ended by itself.
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status not in (0, -signal.SIGKILL):
            return {"error": f"the consumer ended with {status}"}
        return asdict(notes.read(killed=status != 0, seconds=time.monotonic() - born))


def _be(consumer: Consumer, life: Life, notes: Notes) -> None:
    """The child's whole life; it must never return into the launcher's code."""
    status = 1
    try:
        signal.alarm(_ALARM_S)
        consumer.live(life, notes)
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
