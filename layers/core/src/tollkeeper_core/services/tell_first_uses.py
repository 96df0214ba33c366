"""Tells the funnel that what a prompt sold is used for the first time."""

from collections.abc import Sequence
from dataclasses import dataclass

from tollkeeper_core.domain.funnel import GrantSource, Step, StepKind, TellSteps
from tollkeeper_core.domain.movements import Settlement
from tollkeeper_core.services.settle import Failed


@dataclass(frozen=True, slots=True)
class TellFirstUses:
    """``tell`` counts at once: nothing waits in a queue that this is told from."""

    grants: GrantSource
    tell: TellSteps

    def __call__(self, outcomes: Sequence[Settlement | Failed]) -> None:
        """Raises what the source and ``tell`` raise: then the messages have to come again.

        They are settled, answer the same then, and the step is the same one.
        """
        begun = [
            (settlement, purchase_id)
            for settlement in outcomes
            if isinstance(settlement, Settlement)
            for purchase_id in settlement.begun
        ]
        if not begun:
            return
        found = self.grants.granted([(s.user_id, purchase_id) for s, purchase_id in begun])
        self.tell(
            [
                Step(
                    kind=StepKind.CREDITS_USED,
                    prompt_id=granted.cause.prompt_id,
                    user_id=granted.user_id,
                    at_ms=settlement.settled_ms,
                    trigger=granted.cause.trigger,
                    tier=granted.cause.tier,
                    offer=granted.pack,
                    variant=granted.cause.variant,
                )
                for (settlement, _), granted in zip(begun, found, strict=True)
                # Or the user was forgotten since, and the purchase with them.
                if granted is not None and granted.cause is not None
            ]
        )
