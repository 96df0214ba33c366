"""A stage as AWS has it (moto), with a real Redis, and the commands over both."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest
from moto.server import ThreadedMotoServer
from tollkeeper_core.adapters.parameter_store import ParameterStore
from tollkeeper_core.adapters.record import S3Record
from tollkeeper_core.adapters.redis_admin import RedisAdmin
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.domain.movements import Cause, Grant, Settle, Settlement, SubscriptionState
from tollkeeper_core.domain.periods import Calendar, periods_at
from tollkeeper_core.domain.postings import (
    customer_postings,
    grant_postings,
    settlement_postings,
    subscription_postings,
)
from tollkeeper_core.services.sync_config import SyncConfig

from infra.cli.__main__ import main
from infra.cli.commands import clock
from tests.support.redis_stack import RedisStack

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

REGION: Final = "eu-west-1"
DAY_MS = 86_400_000
_stages = count()
_FREE = {"limits": {"daily": {"limit_usd": "0.50"}, "monthly": {"limit_usd": "2.00"}}}


@contextmanager
def moto_server() -> Iterator[str]:
    """Its address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@dataclass
class Stage:
    """``run`` is the command line; the rest is what traffic does."""

    name: str
    bucket: str
    s3: "S3Client"
    redis: RedisStack
    record: S3Record
    admin: RedisAdmin
    capsys: pytest.CaptureFixture[str]

    @property
    def source(self) -> ParameterStore:
        return ParameterStore(f"/tollkeeper/{self.name}", REGION)

    @property
    def sync(self) -> SyncConfig:
        """As the function runs it."""
        return SyncConfig(self.source, self.admin, clock, self.record.holds_postings)

    @property
    def version(self) -> str:
        loaded = self.admin.load()
        assert loaded is not None
        return loaded[0]

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit code, and what was printed (stdout, then stderr)."""
        self.capsys.readouterr()
        code = main([*arguments[:1], "--stage", self.name, *arguments[1:]])
        printed = self.capsys.readouterr()
        return code, printed.out + printed.err

    def rebuild(self, *more: str) -> tuple[int, str]:
        return self.run("rebuild", "--yes", "--grace", "0", *more)

    def settle(
        self, event: str, nano: int, user: str = "ada", at_ms: int | None = None
    ) -> Settlement:
        """Settled and archived, as log_usage does."""
        now_ms = at_ms or clock()
        periods = periods_at(Calendar(), now_ms)
        request = Settle(user, event, nano, None, periods, now_ms)
        (settled,) = self.admin.settle([request], self.version)
        assert isinstance(settled, Settlement), settled
        self.record.write(settlement_postings(settled))
        return settled

    def buy(self, purchase: str, nano: int = 4 * 10**9, user: str = "ada") -> bool:
        """Granted and archived, as stripe_webhook does; False for a repetition."""
        cause = Cause(f"prm_{purchase}", "daily", "free")
        granted = self.admin.grant(
            Grant(user, purchase, "starter", nano, 500, "usd", None, None, clock(), cause=cause)
        )
        self.record.write(grant_postings(granted))
        return not granted.replayed

    def subscribe(self, subscription: str, user: str = "ada") -> None:
        now_ms = clock()
        state = SubscriptionState(
            user, subscription, "monthly", "pro", now_ms + DAY_MS, (now_ms // 1000, 0), None, now_ms
        )
        self.admin.apply_subscription(state)
        self.record.write(subscription_postings(state))
        self.admin.keep_customer(user, f"cus_{user}", None)
        self.record.write(customer_postings(user, f"cus_{user}", now_ms // 1000))

    def lines(self) -> list[dict[str, Any]]:
        """The archive, doubles and all."""
        names = [name for page in self.record.names() for name in page]
        return [json.loads(line) for _, lines in self.record.read(names) for line in lines]

    def everything_ever_stored(self) -> str:
        """Every version of every object, names too, and every key and value in Redis."""
        texts: list[str] = []
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket):
            for v in page.get("Versions", ()):
                got = self.s3.get_object(Bucket=self.bucket, Key=v["Key"], VersionId=v["VersionId"])
                texts += [v["Key"], got["Body"].read().decode()]
        for key in self.keys():
            texts += [key, str(self.redis.direct.dump(key))]
        return "\n".join(texts)

    def keys(self, pattern: str = "*") -> list[str]:
        """What Redis has."""
        found = self.redis.direct.keys(pattern)
        assert isinstance(found, list)
        return [key.decode() if isinstance(key, bytes) else key for key in found]


@contextmanager
def stage(
    moto: str,
    redis: RedisStack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Stage]:
    """A stage of its own, published, with nobody in it."""
    name = f"test{next(_stages)}"
    bucket = f"tollkeeper-{name}-archivebucket"
    environment = {
        "AWS_ENDPOINT_URL": moto,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "ARCHIVE_BUCKET": bucket,
        "COLUMNS": "1000",
    }
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    for variable in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "TOLLKEEPER_STAGE"):
        monkeypatch.delenv(variable, raising=False)
    session = boto3.Session(region_name=REGION)
    # The command's own would read S3's model anew each time, half a second of it.
    monkeypatch.setattr("infra.cli.connection.boto3", SimpleNamespace(Session=lambda **_: session))
    ssm, s3 = session.client("ssm"), session.client("s3")
    values = {
        "tiers/free": json.dumps(_FREE),
        "tiers/pro": json.dumps({**_FREE, "rank": 5}),
        "secrets/upstash_url": redis.url,
        "secrets/upstash_token": redis.token,
    }
    for parameter, value in values.items():
        ssm.put_parameter(
            Name=f"/tollkeeper/{name}/{parameter}",
            Value=value,
            Type="SecureString" if parameter.startswith("secrets/") else "String",
        )
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    http = LeanRedis(redis.url, redis.token, 30.0)
    with http:
        found = Stage(name, bucket, s3, redis, S3Record(s3, bucket), RedisAdmin(http), capsys)
        assert found.sync()
        yield found
