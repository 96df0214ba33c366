"""Tells the owner's bus whose use has come past a part of a limit."""

from collections.abc import Sequence
from dataclasses import dataclass

from tollkeeper_core.domain.announcements import AnnouncementError, threshold_crossed
from tollkeeper_core.domain.movements import Settlement
from tollkeeper_core.domain.ports import Announcements
from tollkeeper_core.services.settle import Failed


@dataclass(frozen=True, slots=True)
class TellCrossings:
    """``stage`` is part of what is told."""

    announcements: Announcements
    stage: str

    def __call__(self, outcomes: Sequence[Settlement | Failed]) -> list[Settlement | Failed]:
        """The outcomes; where nothing could be told, the messages that have to come again for it.

        They are settled, answer the same then, and tell it by the same id.
        """
        told = [
            threshold_crossed(outcome, window, percent)
            for outcome in outcomes
            if isinstance(outcome, Settlement)
            for window, percent in outcome.crossed.items()
        ]
        if not told:
            return list(outcomes)
        try:
            self.announcements.publish(self.stage, told)
        except AnnouncementError as error:
            untold = Failed(f"settled, but a threshold was not told: {error}")
            return [
                untold if isinstance(outcome, Settlement) and outcome.crossed else outcome
                for outcome in outcomes
            ]
        return list(outcomes)
