"""Event source mappings: batches of a queue's messages go to a function.

Lambda developer guide, "Using Lambda with Amazon SQS": messages of a batch that succeeded are
deleted, the others come again when their visibility time-out ends, and after `maxReceiveCount`
receives the queue moves them to its dead-letter queue.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from infra.local.lambdas.invocation import Invocation, Result, ThrottledError
from infra.local.lambdas.pool import Pool
from infra.local.template import QueueSource

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.type_defs import MessageTypeDef

RECEIVE_MAX = 10  # the SQS API's own limit
LONG_POLL_S = 20  # the SQS API's own limit
# An event may be 6 MiB; messages are quoted into it as JSON strings, which may double them.
BATCH_BYTES_MAX = 2 * 1024 * 1024
RETRY_PAUSE_S = 1.0


def build_event(messages: Sequence["MessageTypeDef"], source: QueueSource) -> dict[str, Any]:
    """The event for a batch, as Lambda's poller sends it."""
    region = source.queue_arn.split(":")[3]
    return {"Records": [_record(message, source.queue_arn, region) for message in messages]}


def failed_ids(
    result: Result, message_ids: Sequence[str], *, reports_item_failures: bool
) -> set[str]:
    """Ids of the messages that stay in the queue after a batch was answered so.

    With ReportBatchItemFailures an answer that is empty, null or has an empty or null list means
    that all succeeded; one that is malformed, names no id or names an unknown one means that all
    failed. Without it only an error counts.
    """
    everything = set(message_ids)
    if result.is_error:
        return everything
    if not reports_item_failures:
        return set()
    try:
        answer = json.loads(result.payload or b"null")
        items = answer.get("batchItemFailures") if answer else None
        failed = {str(item["itemIdentifier"]) for item in items or ()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return everything
    return failed if failed <= everything else everything


class SqsPoller:
    """Polls one queue for one function, one batch at a time, in a thread of its own."""

    def __init__(
        self,
        pool: Pool,
        source: QueueSource,
        queue_url: str,
        *,
        sqs: Callable[[], "SQSClient"],
        loop: asyncio.AbstractEventLoop,
        emit: Callable[[str], None],
    ) -> None:
        self._pool = pool
        self._source = source
        self._queue_url = queue_url
        self._make_client = sqs
        self._loop = loop
        self._emit = emit
        self._stopping = threading.Event()
        # A daemon: it may be in the middle of a long poll when the service stops.
        self._thread = threading.Thread(target=self._run, name=f"sqs {queue_url}", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def stop(self) -> None:
        """Take no further batch; one under way may still be answered."""
        self._stopping.set()

    def _run(self) -> None:
        sqs = self._make_client()
        while not self._stopping.is_set():
            try:
                messages = self._collect(sqs)
                if messages:
                    self._process(sqs, messages)
            except Exception as error:
                # The queue's server may be busy or on its way out: no reason to stop asking.
                if self._stopping.is_set():
                    return
                self._emit(f"{self._queue_url}: {type(error).__name__}: {error}")
                self._stopping.wait(RETRY_PAUSE_S)

    def _collect(self, sqs: "SQSClient") -> list["MessageTypeDef"]:
        """A batch: full, or as far as it got in the batching window from its first message on."""
        messages = self._receive(sqs, LONG_POLL_S)
        deadline = time.monotonic() + self._source.window_s
        while messages and not self._stopping.is_set():
            left_s = deadline - time.monotonic()
            size = sum(len(message.get("Body", "")) for message in messages)
            if left_s <= 0 or len(messages) >= self._source.batch_size or size > BATCH_BYTES_MAX:
                break
            missing = self._source.batch_size - len(messages)
            # Waiting less than a second is not in the API: poll at once, then pause.
            more = self._receive(sqs, int(left_s), missing)
            if not more:
                self._stopping.wait(min(0.05, left_s))
            messages += more
        return messages

    def _receive(
        self, sqs: "SQSClient", wait_s: int, count: int | None = None
    ) -> list["MessageTypeDef"]:
        answer = sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=min(RECEIVE_MAX, count or self._source.batch_size),
            WaitTimeSeconds=wait_s,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return answer.get("Messages", [])

    def _process(self, sqs: "SQSClient", messages: Sequence["MessageTypeDef"]) -> None:
        payload = json.dumps(build_event(messages, self._source)).encode()
        call = asyncio.run_coroutine_threadsafe(self._invoke(payload), self._loop)
        by_id = {message["MessageId"]: message for message in messages}
        try:
            result = call.result()
        except ThrottledError:
            return
        failed = failed_ids(
            result, list(by_id), reports_item_failures=self._source.reports_item_failures
        )
        self._emit(f"{len(by_id)} messages, {len(failed)} failed")
        done = [message for message_id, message in by_id.items() if message_id not in failed]
        for start in range(0, len(done), RECEIVE_MAX):
            sqs.delete_message_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                    for number, message in enumerate(done[start : start + RECEIVE_MAX])
                ],
            )

    async def _invoke(self, payload: bytes) -> Result:
        # Made in here: an invocation belongs to the loop that runs.
        return await self._pool.invoke(Invocation(payload))


def _record(message: "MessageTypeDef", queue_arn: str, region: str) -> dict[str, Any]:
    record: dict[str, Any] = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {
            name: {
                "stringValue": value.get("StringValue"),
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": value["DataType"],
            }
            for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }
    if "MD5OfMessageAttributes" in message:
        record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return record
