"""Settles queued usage and counts steps: a batch of messages -> which have to come again."""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from tollkeeper_core import bootstrap
from tollkeeper_core.domain.funnel import is_step_message
from tollkeeper_core.domain.movements import Settlement
from tollkeeper_core.services.settle import Failed
from tollkeeper_core.telemetry import count, flush, logger

_processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)


class NotSettledError(Exception):
    """Makes Powertools report the message as failed, so that SQS delivers it again."""


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """An SQS event -> ``batchItemFailures``. What it raises makes the whole batch come again.

    The batch is settled as a whole first, in one request to Redis; each record is then asked for
    its own outcome.
    """
    try:
        records = event["Records"]
        by_id = _outcomes({record["messageId"]: record["body"] for record in records})

        def outcome_of(record: SQSRecord) -> None:
            outcome = by_id[record.message_id]
            if isinstance(outcome, Failed):
                reason = {"message_id": record.message_id, "reason": outcome.reason}
                logger.error("not settled", extra=reason)
                count("NotSettled")
                raise NotSettledError(outcome.reason)
            if isinstance(outcome, Settlement):
                count("Settled")

        return process_partial_response(event, outcome_of, _processor, context)
    finally:
        flush()


def _outcomes(bodies: Mapping[str, str]) -> dict[str, object]:
    """By message id. Usage first: a funnel that fails keeps no money waiting."""
    steps = {n: body for n, body in bodies.items() if is_step_message(body)}
    usage = {n: body for n, body in bodies.items() if n not in steps}
    outcomes: dict[str, object] = {}
    if usage:
        settled = bootstrap.settle_usage(count)(list(usage.values()))
        if any(isinstance(outcome, Settlement) and outcome.crossed for outcome in settled):
            settled = bootstrap.tell_crossings()(settled)
        if any(isinstance(outcome, Settlement) and outcome.begun for outcome in settled):
            bootstrap.tell_first_uses(count)(settled)
        outcomes |= zip(usage, settled, strict=True)
    if steps:
        counted = bootstrap.count_steps(count).messages(list(steps.values()))
        outcomes |= zip(steps, counted, strict=True)
    return outcomes
