"""What the tests of the owner's commands share."""

from collections.abc import Iterator

import pytest

from tests.support.redis_stack import RedisStack
from tests.support.stage import Stage, moto_server
from tests.support.stage import stage as open_stage


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """SSM, S3 and CloudFormation for the whole run."""
    with moto_server() as url:
        yield url


@pytest.fixture
def stage(
    moto_url: str,
    redis: RedisStack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Stage]:
    """A published stage with an empty archive and an empty Redis."""
    with open_stage(moto_url, redis, monkeypatch, capsys) as found:
        yield found
