"""Settles queued usage: a batch of messages -> which of them have to come again."""

from typing import Any

from tollkeeper_core import bootstrap
from tollkeeper_core.services.settle import Failed
from tollkeeper_core.telemetry import count, flush, logger

BatchResponse = dict[str, list[dict[str, str]]]


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: object) -> BatchResponse:
    """An SQS event -> ``batchItemFailures``. What it raises makes the whole batch come again."""
    records = event["Records"]
    try:
        outcomes = bootstrap.settle_usage(count)([record["body"] for record in records])
        failures = []
        for record, outcome in zip(records, outcomes, strict=True):
            if isinstance(outcome, Failed):
                logger.error(
                    "not settled",
                    extra={"message_id": record["messageId"], "reason": outcome.reason},
                )
                failures.append({"itemIdentifier": record["messageId"]})
        count("Settled", len(records) - len(failures))
        if failures:
            count("NotSettled", len(failures))
        return {"batchItemFailures": failures}
    finally:
        flush()
