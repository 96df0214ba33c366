"""The usage queue in SQS."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient
    from types_boto3_sqs.type_defs import SendMessageBatchResultTypeDef

#: SendMessageBatch takes ten entries at most.
_BATCH = 10


class SqsUsageQueue:
    """Implements ports.UsageQueue."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, bodies: Sequence[str]) -> list[bool]:
        """See ports.UsageQueue. What SQS did not say yes to counts as not taken."""
        queued = [False] * len(bodies)
        for first in range(0, len(bodies), _BATCH):
            try:
                answer = self._send(first, bodies[first : first + _BATCH])
            except (BotoCoreError, ClientError):
                continue
            for entry in answer.get("Successful", ()):
                queued[int(entry["Id"])] = True
        return queued

    def _send(self, first: int, bodies: Sequence[str]) -> "SendMessageBatchResultTypeDef":
        return self._client.send_message_batch(
            QueueUrl=self._queue_url,
            Entries=[{"Id": str(first + n), "MessageBody": body} for n, body in enumerate(bodies)],
        )
