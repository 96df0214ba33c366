"""The configuration in hand: read once per process, read again when it is found to be old.

The scripts compare the version that a caller has with the one that is published, so a change holds
for the very next check although nothing is read twice; whoever decides without a script sets an
age beyond which it looks again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from tollkeeper_core.domain.ledger import LedgerUnavailableError, StaleConfigError
from tollkeeper_core.domain.ports import Clock
from tollkeeper_core.domain.problems import Problem, unavailable

T = TypeVar("T")
#: All of the configuration, or what a check needs of it (domain/rules.py).
C = TypeVar("C")

#: A configuration that changes on each of so many tries in a row is not a race any more.
_TRIES = 4

#: The version of a configuration that was never published: once Redis is back it is found stale.
_FROM_PARAMETERS = "from parameters"


class UnpublishedError(Problem):
    """The store answers and holds no configuration: a new installation, or it was emptied."""

    def __init__(self) -> None:
        said = unavailable(
            "No configuration is published: put the parameters settings and tiers/<name>, then "
            "run sync_config. Where Redis was emptied, run tollkeeper rebuild."
        )
        super().__init__(said.status, said.code, said.detail, headers=said.headers)


class InHand(NamedTuple, Generic[C]):
    """A configuration, its version, and when it was read."""

    version: str
    config: C
    read_ms: int


@dataclass
class ConfigCache(Generic[C]):
    """``load`` answers (version, configuration), or None where none was published yet; ``source``
    the configuration while the store is away (from the parameters).
    """

    load: Callable[[], tuple[str, C] | None]
    source: Callable[[], C]
    clock: Clock
    _in_hand: InHand[C] | None = field(default=None, init=False)

    def current(self, age_ms_max: int | None = None) -> InHand[C]:
        """What is in hand, read again when older than ``age_ms_max``.

        Raises LedgerUnavailableError where nothing is in hand, and UnpublishedError (503).
        """
        found = self._in_hand
        if found is None:
            return self.reload()
        if age_ms_max is not None and self.clock() - found.read_ms > age_ms_max:
            try:
                return self.reload()
            except LedgerUnavailableError:
                return found
        return found

    def reload(self) -> InHand[C]:
        """Read what is published. Raises LedgerUnavailableError and UnpublishedError."""
        loaded = self.load()
        if loaded is None:
            raise UnpublishedError
        self._in_hand = InHand(*loaded, read_ms=self.clock())
        return self._in_hand

    def in_an_outage(self) -> InHand[C]:
        """What was in hand last, or else what the parameters say, while the store is away."""
        if self._in_hand is None:
            self._in_hand = InHand(_FROM_PARAMETERS, self.source(), self.clock())
        return self._in_hand

    def fresh(self, call: Callable[[InHand[C]], T]) -> T:
        """``call`` with the configuration in hand; again, when it raises StaleConfigError."""
        for _ in range(_TRIES):
            try:
                return call(self.current())
            except StaleConfigError:
                self.reload()
        raise unavailable("The configuration keeps changing; try again.")
