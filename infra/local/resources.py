"""Creates what the template's queues and buckets are, at the local AWS endpoint."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from infra.local.clients import LocalAws
from infra.local.template import Stack

if TYPE_CHECKING:
    from types_boto3_sqs.literals import QueueAttributeNameType


def create_resources(stack: Stack, aws: LocalAws) -> None:
    """Create the stack's queues, each after its dead-letter queue, and its buckets."""
    sqs, s3 = aws.sqs(), aws.s3()
    for queue in sorted(stack.queues, key=lambda queue: queue.dead_letter_arn is not None):
        sqs.create_queue(QueueName=queue.name, Attributes=_attributes(queue.attributes))
    for bucket in stack.buckets:
        s3.create_bucket(Bucket=bucket.name)


def _attributes(given: Mapping[str, Any]) -> "dict[QueueAttributeNameType, str]":
    """CloudFormation's properties as the SQS API has them: every value is a string."""
    return {
        cast("QueueAttributeNameType", name): value if isinstance(value, str) else json.dumps(value)
        for name, value in given.items()
    }
