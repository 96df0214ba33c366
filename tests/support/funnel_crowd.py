"""Simulated users on their way through the funnel, with the count that the crowd keeps itself."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tollkeeper_core.domain.experiments import Experiment, assign
from tollkeeper_core.domain.funnel import Step, StepKind
from tollkeeper_core.domain.periods import Calendar, periods_at

DAY_MS = 86_400_000
#: How far those who are left go on to the next step.
_GOES_ON = {
    StepKind.LIMIT_REACHED: 0.7,
    StepKind.PROMPT_SHOWN: 0.4,
    StepKind.OPTION_CLICKED: 0.9,
    StepKind.CHECKOUT_OPENED: 0.6,
    StepKind.PAID: 0.8,
    StepKind.CREDITS_USED: 0.0,
}
#: Where those who are left may turn back, and how many of them are heard of.
_TURNS_BACK = {
    StepKind.PROMPT_SHOWN: (StepKind.DISMISSED, 0.5),
    StepKind.OPTION_CLICKED: (StepKind.DISMISSED, 0.3),
    StepKind.CHECKOUT_OPENED: (StepKind.EXPIRED, 0.9),
}
#: Told by whoever is asked again: these are never lost.
_CERTAIN = {StepKind.PAID, StepKind.CREDITS_USED, StepKind.EXPIRED}
#: Those that come about before anything is chosen, or after the choice was taken back.
_NAMELESS = {StepKind.LIMIT_REACHED, StepKind.PROMPT_SHOWN, StepKind.DISMISSED}
_PRICES = {"starter": (500, "usd"), "plus": (2000, "usd"), "kanso": (780, "jpy")}
_TIERS = ("free", "pro")
_TRIGGERS = ("daily", "weekly", "monthly")
#: Who is in none began before there was one.
EXPERIMENT = Experiment.model_validate(
    {"name": "copy", "variants": [{"name": "short"}, {"name": "long", "weight": 2}]}
)
_BEFORE_ONE = 0.2


@dataclass
class Crowd:
    """``steps``: what comes about. ``lost``: steps that never reach the queue: nobody can count
    them, so they count nowhere.
    """

    users: int
    first_ms: int
    seed: int
    calendar: Calendar = field(default_factory=Calendar)
    days: int = 28
    groups: Counter[tuple[str, str]] = field(default_factory=Counter)
    minor: Counter[tuple[str, str]] = field(default_factory=Counter)
    seen: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    reached: set[tuple[str, str, str]] = field(default_factory=set)
    lost: int = 0

    def steps(self) -> Iterator[Step]:
        """Each once, as it came about."""
        chance = random.Random(self.seed)
        for user in range(self.users):
            for prompt in range(chance.choice((1, 1, 1, 2, 3))):
                yield from self._prompt(chance, f"user {user} é", f"prm_{user}_{prompt}")

    def _prompt(self, chance: random.Random, user_id: str, prompt_id: str) -> Iterator[Step]:
        at_ms = self.first_ms + chance.randrange(self.days * DAY_MS)
        tier, offer = chance.choice(_TIERS), chance.choice(list(_PRICES))
        trigger = chance.choice(_TRIGGERS)
        running = None if chance.random() < _BEFORE_ONE else EXPERIMENT
        variant = assign(running, user_id).label
        price, currency = _PRICES[offer]
        for kind in _way(chance):
            paid = kind is StepKind.PAID
            step = Step(
                kind=kind,
                prompt_id=prompt_id,
                user_id=user_id,
                at_ms=at_ms,
                trigger=trigger,
                tier=tier,
                offer="" if kind in _NAMELESS else offer,
                currency=currency if paid else "",
                minor=price + chance.randrange(100) if paid else 0,
                variant=variant,
            )
            if kind not in _CERTAIN and chance.random() < 0.02:
                self.lost += 1
            else:
                self._note(step)
                yield step
            at_ms += chance.randrange(600_000)

    def _note(self, step: Step) -> None:
        periods = periods_at(self.calendar, step.at_ms)
        day, _, _ = periods.ids
        self.groups[day, step.group] += 1
        self.minor[day, step.group] += step.minor
        for period in periods.ids:
            self.seen[period, step.kind].add(step.user_id)
        if step.kind is StepKind.LIMIT_REACHED:
            window = {"daily": 0, "weekly": 1, "monthly": 2}[step.trigger]
            self.reached.add((step.user_id, step.trigger, periods.ids[window]))


def _way(chance: random.Random) -> Iterator[StepKind]:
    """How far a prompt comes, and whether it is heard of where it ends."""
    for kind, goes_on in _GOES_ON.items():
        yield kind
        if chance.random() >= goes_on:
            back, heard = _TURNS_BACK.get(kind, (kind, 0.0))
            if chance.random() < heard:
                yield back
            return


def deliveries(steps: list[Step], seed: int) -> list[Step]:
    """Each one to three times, all of it in any order."""
    chance = random.Random(seed)
    mixed = [step for step in steps for _ in range(chance.choice((1, 1, 1, 2, 3)))]
    chance.shuffle(mixed)
    return mixed
