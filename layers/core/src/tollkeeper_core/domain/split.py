"""Who is in which variant of an experiment (docs/experiments.md): all that a check needs of it.

A hash of the experiment's name and the user's id and nothing else: no state to keep, none to lose,
and every function says the same.
"""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple, Self

from tollkeeper_core.domain.values import NAME

#: Who sees the page as it is without an experiment.
HOLDOUT = "holdout"

#: ``<experiment>:<variant>``, or nothing; no name holds a colon.
LABEL = rf"({NAME}:{NAME})?"

_BUCKETS = 10_000
_HASH_BYTES = 8


class Split(NamedTuple):
    """``shares``: how many of 10,000 users each variant is for, the hold-out first."""

    experiment: str
    shares: Mapping[str, int]

    @classmethod
    def of(cls, experiment: str, holdout_percent: int, weights: Mapping[str, int]) -> Self:
        """By weight, exactly (largest remainder; of equal ones the first)."""
        held_out = holdout_percent * _BUCKETS // 100
        left, total = _BUCKETS - held_out, sum(weights.values())
        shares = {name: left * weight // total for name, weight in weights.items()}
        ranked = sorted(weights, key=lambda name: -(left * weights[name] % total))
        for name in ranked[: left - sum(shares.values())]:
            shares[name] += 1
        return cls(experiment, {HOLDOUT: held_out, **shares})

    def variant_of(self, user_id: str) -> str:
        """Always the same for the same user."""
        bucket = self._bucket(user_id)
        for name, share in self.shares.items():
            if bucket < share:
                return name
            bucket -= share
        raise AssertionError("the shares are all of the buckets")

    def label_of(self, user_id: str) -> str:
        """What the funnel counts this user under."""
        return f"{self.experiment}:{self.variant_of(user_id)}"

    def _bucket(self, user_id: str) -> int:
        """0 to 9999, each as likely: 2**64 is so much more that its remainder does not count."""
        digest = hashlib.sha256(f"{self.experiment}:{user_id}".encode()).digest()
        return int.from_bytes(digest[:_HASH_BYTES]) % _BUCKETS
