"""A share of the kills (``python -m tests.kills``)."""

import sys
from collections.abc import Iterator

import pytest

from tests.kills.aws import aws_server
from tests.kills.run import run
from tests.support.redis_stack import RedisStack

SEED = 7
KILLS = 15


@pytest.fixture(scope="module")
def aws_url() -> Iterator[str]:
    with aws_server() as url:
        yield url


def test_killed_consumer_loses_nothing_and_doubles_nothing(
    redis: RedisStack, aws_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        sys.stdout.write(f" seed {SEED} ")
    figures = run(redis, aws_url, SEED, KILLS)
    assert figures.wrong == []
    assert figures.kills == KILLS
    assert figures.chosen
    assert figures.random
    # Nothing would have been tried if no message had come a second time.
    assert figures.replayed > 0
