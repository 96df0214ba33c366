"""An archive in a moto S3, the owner's parts over it, and a rebuild that does not wait."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import boto3
from moto import mock_aws
from tollkeeper_core.adapters.record import S3Record
from tollkeeper_core.adapters.redis_admin import RedisAdmin
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.workbench import open_workbench
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.differences import Difference
from tollkeeper_core.domain.record import Progress
from tollkeeper_core.services.rebuild import Rebuild, Rebuilt
from tollkeeper_core.services.sync_config import SyncConfig
from tollkeeper_core.services.verify import Verify

from tests.support.outside import Parameters
from tests.support.redis_stack import RedisStack

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

BUCKET = "tollkeeper-test-archive"


def quiet(step: str, done: int, total: int | None = None, detail: str = "") -> None:
    """Progress that nobody looks at."""


@contextmanager
def s3(*, versioned: bool = True) -> "Iterator[S3Client]":
    """An empty bucket in this process."""
    with mock_aws():
        client = boto3.client(
            "s3",
            region_name="us-east-1",
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )
        client.create_bucket(Bucket=BUCKET)
        if versioned:
            client.put_bucket_versioning(
                Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
            )
        yield client


def parameters(config: Config) -> Parameters:
    """The parameters that make this configuration."""
    settings = config.settings.model_dump_json(by_alias=True)
    tiers = {f"tiers/{name}": tier.model_dump_json() for name, tier in config.tiers.items()}
    return Parameters({"settings": settings, **tiers})


@dataclass
class Owner:
    """Rebuilds and verifies one archive and one Redis, at ``now_ms``."""

    record: S3Record
    admin: RedisAdmin
    config: Config
    now_ms: int
    grace_s: float = 0.0
    slept_s: list[float] = field(default_factory=list)
    told: Progress = quiet

    def clock(self) -> int:
        return self.now_ms

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_ms += int(seconds * 1000)

    @property
    def sync(self) -> SyncConfig:
        """As sync_config runs it."""
        return SyncConfig(
            parameters(self.config), self.admin, self.clock, self.record.holds_postings
        )

    def rebuild(self, *, force: bool = False) -> Rebuilt:
        sync = SyncConfig(parameters(self.config), self.admin, self.clock)
        service = Rebuild(
            self.record, self.admin, open_workbench, sync, self.clock, self.sleep, self.grace_s
        )
        return service(self.told, force=force)

    def verify(self) -> list[Difference]:
        service = Verify(
            self.record, self.admin, open_workbench, self.clock, self.sleep, tries=2, pause_s=1.0
        )
        return list(service(self.told))


@contextmanager
def owner(redis: RedisStack, client: "S3Client", config: Config, now_ms: int) -> Iterator[Owner]:
    """Over an open stack and bucket."""
    http = LeanRedis(redis.url, redis.token, 30.0)
    with http:
        yield Owner(S3Record(client, BUCKET), RedisAdmin(http), config, now_ms)
