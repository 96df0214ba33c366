"""Charges users who agreed to automatic top-ups: a message names one whose credits run low."""

import json
from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from tollkeeper_core import bootstrap
from tollkeeper_core.telemetry import count, flush, logger

_processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)


def _top_up(record: SQSRecord) -> None:
    try:
        done = bootstrap.auto_top_up()(json.loads(record.body)["user_id"])
    except Exception:
        count("TopUpError")
        logger.exception("no top-up", extra={"message_id": record.message_id})
        raise
    if done == "charged":
        count("TopUpCharged")
    elif done == "failed":
        count("TopUpFailed")
    logger.info("top-up", extra={"message_id": record.message_id, "done": done})


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """An SQS event -> ``batchItemFailures``: what failed comes again."""
    try:
        return process_partial_response(event, _top_up, _processor, context)
    finally:
        flush()
