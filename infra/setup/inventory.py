"""What there is of a stage, looked at before anything of it is removed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import boto3
import stripe
from tollkeeper_core.domain.offers import MARK

from infra.setup.archive_bucket import Size, archive_buckets, measure
from infra.setup.checks import stripe_client
from infra.setup.errors import SetupError
from infra.setup.parameters import all_names, read_secrets
from infra.setup.stack import Stack

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_ssm import SSMClient

_PAGE = 100
_RUNNING = ("active", "trialing", "past_due", "unpaid", "paused")


@dataclass(frozen=True, slots=True)
class Inventory:
    """One stage. ``waiting`` is of its queues: what waits -> how many messages.

    ``subscriptions`` are the ids at Stripe that go on charging end users; None where Stripe was
    not asked, or did not say.
    """

    stack_status: str | None
    waiting: Mapping[str, int]
    parameters: list[str]
    bucket: str | None
    size: Size | None
    webhook_url: str | None
    upstash_url: str | None
    stripe_key: str = field(repr=False)
    subscriptions: list[str] | None

    @property
    def is_empty(self) -> bool:
        """Nothing is left in AWS."""
        return not (self.stack_status or self.parameters or self.bucket)


def take_inventory(stack: Stack, ssm: "SSMClient", s3: "S3Client", bucket: str | None) -> Inventory:
    """Look, and change nothing. Raises SetupError and what boto3 raises."""
    prefix = f"/tollkeeper/{stack.stage}"
    secrets = read_secrets(ssm, prefix, ["upstash_url", "stripe_secret_key"])
    key = secrets.get("stripe_secret_key", "")
    described, outputs = stack.describe(), stack.outputs()
    archive = bucket or _archive(s3, stack)
    return Inventory(
        stack_status=described["StackStatus"] if described else None,
        waiting={what: _waiting(stack.region, url) for what, url in outputs.queues.items()},
        parameters=all_names(ssm, prefix),
        bucket=archive,
        size=measure(s3, archive) if archive else None,
        webhook_url=outputs.webhook_url,
        upstash_url=secrets.get("upstash_url"),
        stripe_key=key,
        subscriptions=_running(key, stack.stage) if key else None,
    )


def _archive(s3: "S3Client", stack: Stack) -> str | None:
    cloudformation = boto3.client("cloudformation", region_name=stack.region)
    found = archive_buckets(cloudformation, s3, stack.name)
    if len(found) > 1:
        raise SetupError(
            f"Nothing was changed. Which bucket is the archive: {', '.join(found)}? Give --bucket."
        )
    return found[0] if found else None


def _waiting(region: str, url: str) -> int:
    sqs = boto3.client("sqs", region_name=region)
    try:
        counts = sqs.get_queue_attributes(
            QueueUrl=url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
    except sqs.exceptions.QueueDoesNotExist:  # An earlier removal came so far.
        return 0
    return sum(int(count) for count in counts.values())


def _running(key: str, stage: str) -> list[str] | None:
    params: stripe.params.SubscriptionListParams = {"status": "all", "limit": _PAGE}
    try:
        listed = stripe_client(key).v1.subscriptions.list(params).auto_paging_iter()
        return [
            one.id
            for one in listed
            if one.status in _RUNNING and one.metadata.to_dict().get(MARK) == stage
        ]
    except (stripe.AuthenticationError, stripe.PermissionError):
        return None
    except stripe.StripeError as error:
        raise SetupError(f"Nothing was changed: Stripe cannot be asked: {error}") from error
