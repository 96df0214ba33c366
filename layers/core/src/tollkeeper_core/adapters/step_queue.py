"""Steps of the funnel, on their way into the usage queue."""

from collections.abc import Callable, Sequence

from tollkeeper_core.adapters.aws_http import AwsCallError, SignedJsonClient, endpoint_of
from tollkeeper_core.domain.funnel import Step, step_message

#: Somebody waits for the answer that a step goes along with, a second in all: better a step lost.
_TIMEOUT_S = 0.5
#: SendMessageBatch takes ten entries at most; a request makes two steps.
_BATCH = 10


class SqsSteps:
    """Implements funnel.TellSteps. What SQS does not take at once is lost, and counted as lost.

    Without boto3's client, for which the first block of a process would wait half a second.
    """

    def __init__(self, queue_url: str, region: str, count: Callable[[str], None]) -> None:
        self._queue_url = queue_url
        self._count = count
        self._client = SignedJsonClient(
            "sqs", "AmazonSQS", region, endpoint_of("sqs"), version="1.0", timeout_s=_TIMEOUT_S
        )

    def __call__(self, steps: Sequence[Step]) -> None:
        """Queue steps. Raises nothing: no purchase and no answer depends on them."""
        for first in range(0, len(steps), _BATCH):
            entries = [
                {"Id": str(n), "MessageBody": step_message(step)}
                for n, step in enumerate(steps[first : first + _BATCH])
            ]
            try:
                answer = self._client.call(
                    "SendMessageBatch", {"QueueUrl": self._queue_url, "Entries": entries}
                )
                lost = len(entries) - len(answer.get("Successful", ()))
            except (AwsCallError, ValueError):
                lost = len(entries)
            for _ in range(lost):
                self._count("StepLost")
