"""Webhooks as they come on a bad day: late, doubled, shuffled and dropped, repeatable by seed."""

import random
from dataclasses import asdict, dataclass, fields
from typing import Any

from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.errors import StripeError

_COPIES_MAX = 5
_SECONDS_MAX = 24 * 3600


@dataclass(frozen=True)
class Chaos:
    """How webhooks go astray. The same seed and order of events gives the same day again."""

    seed: int = 0
    drop: int = 0
    """Percent of the deliveries that are never sent; the account page can send them after all."""
    double: int = 0
    """Percent that is sent two to five times."""
    shuffle_s: float = 0.0
    """Each delivery waits a random part of so many seconds, so that they overtake each other."""
    late: int = 0
    """Percent that is late by `late_s` on top of that."""
    late_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("drop", "double", "late"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(f"{name} is a percentage, from 0 to 100")
        for name in ("shuffle_s", "late_s"):
            if not 0 <= getattr(self, name) <= _SECONDS_MAX:
                raise ValueError(f"{name} is from 0 to {_SECONDS_MAX} seconds")

    def waits(self, number: int) -> list[float]:
        """Return the seconds that each copy of a delivery waits; none where it is dropped."""
        # Simulation, not cryptography; by the number, so that it does not depend on random ids.
        dice = random.Random(f"{self.seed}:{number}")  # noqa: S311
        dropped = dice.random() * 100 < self.drop
        copies = dice.randint(2, _COPIES_MAX) if dice.random() * 100 < self.double else 1
        return [] if dropped else [self._wait(dice) for _ in range(copies)]

    def _wait(self, dice: random.Random) -> float:
        late = self.late_s if dice.random() * 100 < self.late else 0.0
        return dice.random() * self.shuffle_s + late


def parse(text: str) -> Chaos:
    """Read `seed=7,drop=10,double=20,shuffle_s=2`. Raises ValueError for anything else."""
    given: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        given[name.strip()] = value.strip()
    return from_words(given)


def from_words(given: dict[str, str]) -> Chaos:
    """Make one of text. Raises ValueError for an unknown name or a wrong number."""
    known = {field.name: float if field.name.endswith("_s") else int for field in fields(Chaos)}
    unknown = set(given) - set(known)
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    values: dict[str, Any] = {
        name: known[name](value) for name, value in given.items() if value != ""
    }
    return Chaos(**values)


def chaos_of(account: Account) -> Chaos:
    """Return what is set for the account: nothing goes astray, unless it is."""
    return Chaos(**account.state.settings.get("chaos", {}))


def set_chaos(account: Account, given: dict[str, str]) -> Json:
    """Set it from a form; raises StripeError (400) for a wrong one."""
    try:
        chaos = from_words(given)
    except ValueError as error:
        raise StripeError(f"Invalid chaos: {error}", param="chaos") from error
    account.state.settings["chaos"] = asdict(chaos)
    return asdict(chaos)
