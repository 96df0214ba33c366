"""Fixtures that all tests share."""

from collections.abc import Iterator

import pytest
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.redis_store import RedisStore

from tests.support.redis_stack import RedisStack
from tests.support.redis_stack import redis_stack as open_redis_stack


@pytest.fixture(scope="session")
def redis_stack() -> Iterator[RedisStack]:
    """One Redis and gateway for the whole run; its data is whatever the last test left."""
    with open_redis_stack() as stack:
        yield stack


@pytest.fixture
def redis(redis_stack: RedisStack) -> RedisStack:
    """The stack with an empty database and counts at zero."""
    redis_stack.flush()
    redis_stack.reset_stats()
    return redis_stack


@pytest.fixture
def store(redis: RedisStack) -> Iterator[RedisStore]:
    """The product's own store over an empty Redis, with a deadline that a busy machine keeps."""
    with LeanRedis(redis.url, redis.token, 10.0) as client:
        yield RedisStore(client)
