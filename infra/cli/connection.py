"""From a stage's name to its Redis and its archive, with the credentials that boto3 finds."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config as BotoConfig
from tollkeeper_core.adapters.parameter_store import ParameterStore
from tollkeeper_core.adapters.record import READERS, S3Record
from tollkeeper_core.adapters.redis_admin import RedisAdmin
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.domain.record import RecordError

from infra.setup.archive_bucket import archive_buckets

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

#: Nobody waits for a single answer here, and a batch of users is more work than a check.
_REDIS_DEADLINE_S = 30.0
_URL, _TOKEN = "upstash_url", "upstash_token"


@dataclass(frozen=True, slots=True)
class Connection:
    """One stage."""

    stage: str
    region: str
    source: ParameterStore
    admin: RedisAdmin
    record: S3Record


@contextmanager
def connect(stage: str, region: str | None, bucket: str | None) -> Iterator[Connection]:
    """Open as long as it is used.

    Raises RecordError for what cannot be found, SourceError, and what boto3 raises.
    """
    # boto3 alone knows AWS_DEFAULT_REGION and profiles, and not what Lambda and the other SDKs use.
    session = boto3.Session(region_name=region or os.environ.get("AWS_REGION"))
    if session.region_name is None:
        raise RecordError("No region: give --region, or set AWS_REGION.")
    prefix = f"/tollkeeper/{stage}"
    source = ParameterStore(prefix, session.region_name)
    secrets = source.read_secrets([_URL, _TOKEN])
    if missing := [name for name in (_URL, _TOKEN) if name not in secrets]:
        raise RecordError(
            f"The parameter {prefix}/secrets/{missing[0]} is missing in {session.region_name}: "
            "is this the stage, the region and the account? (make deploy writes it.)"
        )
    s3 = session.client("s3", config=BotoConfig(max_pool_connections=READERS))
    archive = (
        bucket
        or os.environ.get("ARCHIVE_BUCKET")
        or _bucket(session.client("cloudformation"), s3, stage)
    )
    redis = LeanRedis(secrets[_URL], secrets[_TOKEN], _REDIS_DEADLINE_S)
    with redis:
        yield Connection(
            stage, session.region_name, source, RedisAdmin(redis), S3Record(s3, archive)
        )


def _bucket(cloudformation: Any, s3: "S3Client", stage: str) -> str:
    """What the stack says; without one (the local cloud), the bucket that is named like it."""
    buckets = archive_buckets(cloudformation, s3, f"tollkeeper-{stage}")
    if len(buckets) != 1:
        several = f"there are several: {', '.join(buckets)}" if buckets else "there is none"
        raise RecordError(f"Which bucket is the archive of {stage}? {several}. Give --bucket.")
    return buckets[0]
