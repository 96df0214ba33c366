"""Settles queued usage: a batch of messages -> which of them have to come again."""

from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from tollkeeper_core import bootstrap
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
        outcomes = bootstrap.settle_usage(count)([record["body"] for record in records])
        by_id = dict(zip((record["messageId"] for record in records), outcomes, strict=True))

        def outcome_of(record: SQSRecord) -> None:
            outcome = by_id[record.message_id]
            if isinstance(outcome, Failed):
                reason = {"message_id": record.message_id, "reason": outcome.reason}
                logger.error("not settled", extra=reason)
                count("NotSettled")
                raise NotSettledError(outcome.reason)
            count("Settled")

        return process_partial_response(event, outcome_of, _processor, context)
    finally:
        flush()
