"""Counts steps of the funnel, puts them on record, and tells the owner of limits reached."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from tollkeeper_core.domain.announcements import limit_reached
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.funnel import (
    STEP_AGE_MS_MAX,
    Counted,
    FunnelStore,
    Step,
    StepArchive,
    read_step_message,
)
from tollkeeper_core.domain.periods import periods_at
from tollkeeper_core.domain.ports import Announcements, Clock
from tollkeeper_core.services.check import Count
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.settle import Failed

#: How old the time zone may be in which a step is given its day.
_CALENDAR_AGE_MS = 60_000


@dataclass(frozen=True)
class CountSteps:
    """Counter, then record, then whoever wants to hear of it; only then is a step done.

    Each on every delivery: the one before may have died between any two, and the counter answers a
    repetition with the step as it was told first.
    """

    funnel: FunnelStore
    archive: StepArchive
    announcements: Announcements
    configs: ConfigCache[Config]
    stage: str
    clock: Clock
    count: Count

    def messages(self, bodies: Sequence[str]) -> list[Counted | Failed | None]:
        """An outcome for each message, in order; None for one too late to count.

        Raises as the call does: then no message counts as done.
        """
        read = [_read(body) for body in bodies]
        counted = iter(self._count([step for step in read if isinstance(step, Step)]))
        return [next(counted) if isinstance(step, Step) else step for step in read]

    def __call__(self, steps: Sequence[Step]) -> None:
        """Count steps. Raises LedgerUnavailableError, AnnouncementError, what the archive raises.

        Where this is done by whoever is asked again after an error, a step cannot be lost.
        """
        self._count(steps)

    def _count(self, steps: Sequence[Step]) -> list[Counted | None]:
        if not steps:
            return []
        calendar = self.configs.current(_CALENDAR_AGE_MS).config.settings.calendar
        oldest_ms = self.clock() - STEP_AGE_MS_MAX
        in_time = [n for n, step in enumerate(steps) if step.at_ms >= oldest_ms]
        for _ in range(len(steps) - len(in_time)):
            self.count("StepTooLate")
        answers = self.funnel.count_steps(
            [(steps[n], periods_at(calendar, steps[n].at_ms)) for n in in_time]
        )
        self.archive.write_steps([answer.line for answer in answers])
        told = [
            limit_reached(steps[n])
            for n, answer in zip(in_time, answers, strict=True)
            if answer.first_of_period
        ]
        if told:
            self.announcements.publish(self.stage, told)
        by_place = dict(zip(in_time, answers, strict=True))
        return [by_place.get(n) for n in range(len(steps))]


def _read(body: str) -> Step | Failed:
    try:
        return read_step_message(body)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in error.errors())
        return Failed(f"step: {found}")
