"""What may happen to a request on its way, and how a seed decides it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """What the proxy does to one request."""

    PASS = "pass"
    DELAY = "delay"
    CUT = "cut before the server"
    LATE = "cut, and the request arrives later"
    REFUSE = "429 or 5xx, no effect"
    REPEAT = "the server gets it twice"
    LOSE = "effect, no answer"
    HIDE = "effect, then 429 or 5xx"
    TRUNCATE = "effect, half an answer"
    HANG_BEFORE = "no effect, silence"
    HANG_AFTER = "effect, silence"


#: After these the caller has its answer.
ANSWERED = frozenset({Fault.PASS, Fault.DELAY, Fault.REPEAT})
#: The effect took place and the answer did not arrive.
LOST = frozenset({Fault.LOSE, Fault.HIDE, Fault.TRUNCATE, Fault.HANG_AFTER})

# Silence costs the caller its whole deadline, so it is rare. A cut takes no time, and is to the
# ledger the same: the caller does not know.
_WEIGHTS = {
    Fault.PASS: 560,
    Fault.DELAY: 10,
    Fault.CUT: 50,
    Fault.LATE: 70,
    Fault.REFUSE: 60,
    Fault.REPEAT: 70,
    Fault.LOSE: 80,
    Fault.HIDE: 50,
    Fault.TRUNCATE: 47,
    Fault.HANG_BEFORE: 1,
    Fault.HANG_AFTER: 2,
}
_STATUSES = (429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Decision:
    """One request's fate. ``part``: in [0, 1), how much of an answer, or how long a delay.

    ``status``: the answer in the server's place. ``after``: a late one arrives before the request
    that is this many further on.
    """

    fault: Fault
    status: int
    part: float
    after: int


class Schedule:
    """Decides by the seed, the request's tag and how often that tag was seen: by nothing else.

    So a moment's slowness of the machine, which may add a request, moves no other decision, and
    the seed alone replays the run.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._seen: Counter[str] = Counter()

    def decide(self, tag: str) -> Decision:
        self._seen[tag] += 1
        random = Random(f"{self._seed}/{tag}/{self._seen[tag]}")
        (fault,) = random.choices(_FAULTS, _CHANCES)
        return Decision(fault, random.choice(_STATUSES), random.random(), random.randint(1, 6))


_FAULTS: Sequence[Fault] = tuple(_WEIGHTS)
_CHANCES: Sequence[int] = tuple(_WEIGHTS.values())
CALM = Decision(Fault.PASS, 0, 0.0, 0)
