"""Experiments on the upgrade page: variants of its texts, packs and plans, and a hold-out.

Who is in which is a hash of the experiment's name and the user's id and nothing else: no state to
keep, none to lose, and every function says the same (docs/experiments.md).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tollkeeper_core.domain.names import NAME, Name
from tollkeeper_core.domain.page_style import Texts

#: Who sees the page as it is without an experiment.
HOLDOUT = "holdout"

#: ``<experiment>:<variant>``, or nothing; no name holds a colon.
LABEL = rf"({NAME}:{NAME})?"

_BUCKETS = 10_000
_HASH_BYTES = 8


class Variant(BaseModel):
    """One way to show the page. What is not given is as without an experiment.

    ``weight``: its share of who is not held out, by the sum of all weights. ``texts``: language ->
    key -> text, over those of `settings.page`. ``packs``, ``plans``: which are shown, in this
    order; the others can still be bought by their name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    texts: Texts = {}
    packs: Annotated[list[Name], Field(max_length=50)] | None = None
    plans: Annotated[list[Name], Field(max_length=50)] | None = None

    @model_validator(mode="after")
    def _shows_something_once(self) -> Self:
        if self.name == HOLDOUT:
            raise ValueError(f"{HOLDOUT!r} is who sees no variant: give it another name")
        for kind, names in (("packs", self.packs), ("plans", self.plans)):
            if names is not None and len(set(names)) < len(names):
                raise ValueError(f"{kind} names one twice")
        if self.packs == [] and self.plans == []:
            raise ValueError("neither packs nor plans: its page would sell nothing")
        return self


class Experiment(BaseModel):
    """The experiment that runs; put the parameter to begin it, delete it to end it.

    ``name`` decides with the user's id who is in which variant: another hold-out, another weight
    or another variant is another experiment and needs another name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    holdout_percent: Annotated[int, Field(ge=1, le=99)] = 10
    variants: Annotated[list[Variant], Field(min_length=1, max_length=20)]

    @model_validator(mode="after")
    def _everybody_has_users(self) -> Self:
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names):
            raise ValueError("two variants have the same name")
        for variant, buckets in zip(self.variants, self._variant_buckets(), strict=True):
            if not buckets:
                raise ValueError(f"variant {variant.name!r} would have no users: raise its weight")
        return self

    @property
    def shares(self) -> Mapping[str, int]:
        """How many of 10,000 users each is for, the hold-out first."""
        names = (variant.name for variant in self.variants)
        return {HOLDOUT: self._held_out, **dict(zip(names, self._variant_buckets(), strict=True))}

    def variant_of(self, user_id: str) -> Variant | None:
        """Always the same for the same user; None for who is held out."""
        bucket = self._bucket(user_id) - self._held_out
        if bucket < 0:
            return None
        for variant, buckets in zip(self.variants, self._variant_buckets(), strict=True):
            if bucket < buckets:
                return variant
            bucket -= buckets
        raise AssertionError("the shares are all of the buckets")

    @property
    def _held_out(self) -> int:
        return self.holdout_percent * _BUCKETS // 100

    def _variant_buckets(self) -> list[int]:
        """By weight, exactly (largest remainder; of equal ones the first)."""
        left, total = _BUCKETS - self._held_out, sum(each.weight for each in self.variants)
        buckets = [left * each.weight // total for each in self.variants]
        remainders = [left * each.weight % total for each in self.variants]
        ranked = sorted(range(len(buckets)), key=lambda n: -remainders[n])
        for n in ranked[: left - sum(buckets)]:
            buckets[n] += 1
        return buckets

    def _bucket(self, user_id: str) -> int:
        """0 to 9999, each as likely: 2**64 is so much more that its remainder does not count."""
        digest = hashlib.sha256(f"{self.name}:{user_id}".encode()).digest()
        return int.from_bytes(digest[:_HASH_BYTES]) % _BUCKETS


@dataclass(frozen=True, slots=True)
class Seen:
    """A user who was shown the page in an experiment. ``arm``: the variant or the hold-out, as it
    was then; ``bought``: paid for something from there.
    """

    user_id: str
    arm: str
    first_ms: int
    bought: bool


class SeenSource(Protocol):
    """Who saw what, from wherever it is kept."""

    def seen(self, experiment: str) -> Iterable[Seen]:
        """Each user once, in any order."""
        ...


@dataclass(frozen=True, slots=True)
class Assignment:
    """``label``: what the funnel counts under, "" without an experiment. ``variant``: None for who
    sees the page as it is.
    """

    label: str = ""
    variant: Variant | None = None

    @property
    def packs(self) -> Sequence[str] | None:
        """Which are shown; None: all that are for sale."""
        return self.variant.packs if self.variant else None

    @property
    def plans(self) -> Sequence[str] | None:
        """Which are shown; None: all that are for sale to this user."""
        return self.variant.plans if self.variant else None


def assign(experiment: Experiment | None, user_id: str) -> Assignment:
    """What this user sees."""
    if experiment is None:
        return Assignment()
    variant = experiment.variant_of(user_id)
    return Assignment(f"{experiment.name}:{variant.name if variant else HOLDOUT}", variant)
