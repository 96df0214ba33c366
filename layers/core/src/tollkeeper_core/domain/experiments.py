"""Experiments on the upgrade page: variants of its texts, packs and plans, and a hold-out.

Who is in which: ``domain/split.py``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tollkeeper_core.domain.names import Name
from tollkeeper_core.domain.page_style import Texts
from tollkeeper_core.domain.split import HOLDOUT, Split


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
        for name, share in self.split.shares.items():
            if not share:
                raise ValueError(f"variant {name!r} would have no users: raise its weight")
        return self

    @property
    def split(self) -> Split:
        """Who is in which variant."""
        weights = {variant.name: variant.weight for variant in self.variants}
        return Split.of(self.name, self.holdout_percent, weights)


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
    split = experiment.split
    variants = {variant.name: variant for variant in experiment.variants}
    return Assignment(split.label_of(user_id), variants.get(split.variant_of(user_id)))
