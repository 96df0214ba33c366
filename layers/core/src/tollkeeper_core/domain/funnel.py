"""The way from a limit to a purchase: one step of one prompt, counted once (docs/funnel.md).

A step's identity is its prompt and its kind. Whoever tells of it may do so again, late and out of
order: what was told first counts, and every later word on it gets that one for an answer.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Protocol, Self

from pydantic_core import SchemaValidator, core_schema

from tollkeeper_core.domain.links import LinkReason
from tollkeeper_core.domain.periods import Periods, Window
from tollkeeper_core.domain.split import LABEL
from tollkeeper_core.domain.values import NAME

if TYPE_CHECKING:
    from tollkeeper_core.domain.movements import Granted

#: A step that is told later than this after it came about is not counted: by then nobody could tell
#: any more whether it was counted before (redis_keys.STEP_S is longer). Usage waits in the queue
#: for 14 days at most, and for 14 more in the dead-letter queue.
STEP_AGE_MS_MAX = 30 * 86_400_000

#: No link had a reason, or one of the app's own: the user came by themselves.
BUTTON = "button"
#: The call itself is larger than what any window would leave.
CALL = "call"

_MINOR_MAX = 10**12


class StepKind(StrEnum):
    """In the order in which they come about; the last two end in no purchase (UNPAID)."""

    LIMIT_REACHED = "limit_reached"
    PROMPT_SHOWN = "prompt_shown"
    OPTION_CLICKED = "option_clicked"
    CHECKOUT_OPENED = "checkout_opened"
    PAID = "paid"
    CREDITS_USED = "credits_used"
    DISMISSED = "dismissed"
    EXPIRED = "expired"


#: What an experiment knows of each of its users.
SEEN = frozenset((StepKind.PROMPT_SHOWN, StepKind.PAID))
#: Where somebody, or a checkout, has turned back.
UNPAID = frozenset((StepKind.DISMISSED, StepKind.EXPIRED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. ``offer``: the pack or plan; ``minor`` of ``currency``: what was paid;
    ``resets_ms``: when the limit that was reached begins anew, 0 where there is none; ``variant``:
    ``<experiment>:<variant>``, "" without one (experiments.Assignment).
    """

    kind: StepKind
    prompt_id: str
    user_id: str
    at_ms: int
    trigger: str
    tier: str = ""
    offer: str = ""
    currency: str = ""
    minor: int = 0
    resets_ms: int = 0
    variant: str = ""

    @property
    def group(self) -> str:
        """What it is counted under, as a field of the day's counters: a name holds no bar.

        Without a variant as it was before there were any, so that one day has one group.
        """
        parts = (self.kind, self.trigger, self.tier, self.offer, self.currency)
        return "|".join((*parts, self.variant) if self.variant else parts)

    @property
    def seen(self) -> tuple[str, str, str] | None:
        """Of a showing or a purchase in an experiment: the experiment's name, the field there and
        what it is to say (see experiments.Seen).
        """
        if not self.variant or self.kind not in SEEN:
            return None
        experiment, _, arm = self.variant.partition(":")
        return experiment, f"{self.kind}|{self.user_id}", f"{self.at_ms}|{arm}"

    def line(self, period_ids: Sequence[str]) -> str:
        """Its line of the record, in the periods in which it counts."""
        day, week, month = period_ids
        told = {
            "kind": "step",
            "id": f"{self.prompt_id}:{self.kind}",
            "step": self.kind.value,
            **{name: value for name, value in asdict(self).items() if name != "kind"},
            "day": day,
            "week": week,
            "month": month,
        }
        return step_line(told)


def step_line(told: Mapping[str, object]) -> str:
    """A step as the record keeps it."""
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


#: Takes steps that came about.
TellSteps = Callable[[Sequence[Step]], None]


@dataclass(frozen=True, slots=True)
class Counted:
    """``line``: the step as it was told first. ``first_of_period``: no other prompt of this user
    began before it at this limit in this period.
    """

    line: str
    first_of_period: bool


class FunnelStore(Protocol):
    """The live counters. Raises LedgerUnavailableError."""

    def count_steps(self, steps: Sequence[tuple[Step, Periods]]) -> list[Counted]:
        """Count each once, in one request; the answer to a repetition is the first one."""
        ...


class GrantSource(Protocol):
    """Purchases of credits as the ledger has them. Raises LedgerUnavailableError."""

    def granted(self, those: Sequence[tuple[str, str]]) -> "list[Granted | None]":
        """By (user id, purchase id), in one request; None for one that is not known."""
        ...


class StepArchive(Protocol):
    """The record of steps."""

    def write_steps(self, lines: Sequence[str]) -> None:
        """Durably, before it returns; the same lines twice are harmless."""
        ...


@dataclass(frozen=True, slots=True)
class Count:
    """How many steps of one group there were on one day, and what was paid with them."""

    day: str
    kind: StepKind
    trigger: str
    tier: str
    offer: str
    currency: str
    variant: str
    count: int
    minor: int

    @classmethod
    def of(cls, day: str, group: str, count: int, minor: int) -> Self:
        """From the name of a group (Step.group)."""
        kind, trigger, tier, offer, currency, variant = (*group.split("|"), "")[:6]
        return cls(day, StepKind(kind), trigger, tier, offer, currency, variant, count, minor)


#: Unique users by (id of a day, week or month; kind of step).
Users = Mapping[tuple[str, StepKind], int]


class FunnelSource(Protocol):
    """What was counted, from wherever it is kept."""

    def counts(self, days: Sequence[str], periods: Sequence[str]) -> tuple[list[Count], Users]:
        """Of these days, and the unique users of these periods."""
        ...


def trigger_of(reason: LinkReason | None) -> str:
    """What led to a prompt: a window's name, ``call``, or ``button``."""
    if reason is None:
        return BUTTON
    if reason.window in _WINDOWS:
        return str(reason.window)
    return CALL if reason.code in {"limit_reached", "hard_limit_reached"} else BUTTON


def step_message(step: Step) -> str:
    """A message of the usage queue."""
    return f"{_HEAD}{json.dumps(asdict(step), ensure_ascii=False, separators=(',', ':'))}}}"


def is_step_message(body: str) -> bool:
    """Whether a message of the usage queue tells of a step rather than of usage."""
    return body.startswith(_HEAD)


def read_step_message(body: str) -> Step:
    """The inverse of step_message. Raises pydantic_core.ValidationError."""
    return Step(**_message().validate_json(body)["step"])


_HEAD = '{"step":'
_WINDOWS = frozenset(window.value for window in Window)


@cache
def _message() -> SchemaValidator:
    name = core_schema.str_schema(pattern=rf"^({NAME})?$")
    instant = core_schema.int_schema(ge=0)
    given = {
        "kind": core_schema.enum_schema(StepKind, list(StepKind), sub_type="str"),
        "prompt_id": core_schema.str_schema(pattern=r"^[!-~]{1,128}$"),
        "user_id": core_schema.str_schema(min_length=1, max_length=128),
        "at_ms": instant,
        "trigger": core_schema.str_schema(pattern=r"^[a-z]{0,20}$"),
    }
    may_be_given = {
        "tier": name,
        "offer": name,
        "currency": core_schema.str_schema(pattern=r"^([a-z]{3})?$"),
        "minor": core_schema.int_schema(ge=0, le=_MINOR_MAX),
        "resets_ms": instant,
        "variant": core_schema.str_schema(pattern=f"^{LABEL}$"),
    }
    step = _object(given, may_be_given)
    return SchemaValidator(_object({"step": step}, {}))


def _object(
    given: Mapping[str, core_schema.CoreSchema], may_be_given: Mapping[str, core_schema.CoreSchema]
) -> core_schema.CoreSchema:
    field = core_schema.typed_dict_field
    fields = {name: field(schema) for name, schema in given.items()}
    fields |= {name: field(schema, required=False) for name, schema in may_be_given.items()}
    return core_schema.typed_dict_schema(fields, extra_behavior="forbid")
