"""One event of Stripe's, and how its fields are read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tollkeeper_core.domain.offers import MARK

Fields = Mapping[str, Any]


class Effect(StrEnum):
    """What an event did."""

    GRANTED = "granted"
    ALREADY_GRANTED = "already_granted"
    CLAIMED = "claimed"
    SUBSCRIPTION = "subscription"
    NOT_PAID = "not_paid"
    NOT_OURS = "not_ours"
    NOTHING = "nothing"
    UNKNOWN = "unknown"


class UnusableEventError(Exception):
    """An event that is Stripe's and ours, and that this code cannot apply: somebody may have paid.

    Its text names the event and the field, and nobody's data.
    """


@dataclass(frozen=True, slots=True)
class Event:
    """``subject`` is the object that it is about, as it was at ``created_s`` (epoch seconds)."""

    id: str
    type: str
    created_s: int
    subject: Fields


Action = Callable[[Event], Effect]


def ours(metadata: object, stage: str) -> Fields | None:
    """The metadata, where it is of a purchase that was begun in this stage."""
    if isinstance(metadata, Mapping) and metadata.get(MARK) == stage:
        return metadata
    return None


def text(source: Fields, key: str) -> str:
    """A text that has to be there. Raises UnusableEventError."""
    value = source.get(key)
    if not isinstance(value, str) or not value:
        raise UnusableEventError(f"{key} is missing or no text")
    return value


def number(source: Fields, key: str) -> int:
    """Seconds or minor units. Raises UnusableEventError."""
    value = source.get(key)
    if type(value) is not int or value < 0:
        raise UnusableEventError(f"{key} is missing or no number")
    return value


def mapping(source: Fields, key: str) -> Fields:
    """An object. Raises UnusableEventError."""
    value = source.get(key)
    if not isinstance(value, Mapping):
        raise UnusableEventError(f"{key} is missing or no object")
    return value


def listed(source: Fields, key: str) -> Sequence[Fields]:
    """What is in a list of Stripe's (``{"data": [...]}``). Raises UnusableEventError."""
    found = mapping(source, key).get("data")
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise UnusableEventError(f"{key} is no list")
    return found


def reference(source: Fields, key: str) -> str | None:
    """The id of another object, which may stand there in full ("expanded"); None without one."""
    value = source.get(key)
    if isinstance(value, Mapping):
        return text(value, "id")
    return value if isinstance(value, str) and value else None
