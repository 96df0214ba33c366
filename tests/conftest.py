"""Fixtures that all tests share."""

import asyncio
from collections.abc import Iterator

import pytest
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.redis_store import RedisStore

from tests.support.redis_stack import RedisStack
from tests.support.redis_stack import redis_stack as open_redis_stack

# The event loop of functions: see a_loop_for_mangum. Made before any of them is imported.
_loop = asyncio.new_event_loop()
asyncio.set_event_loop(_loop)


@pytest.fixture(autouse=True)
def a_loop_for_mangum() -> None:
    """Mangum runs a function on the thread's event loop, as Lambda has one.

    `asyncio.run` of another test leaves the thread without any, and would have dropped unclosed the
    one that Mangum makes for itself when a function is imported.
    """
    asyncio.set_event_loop(_loop)


def pytest_unconfigure() -> None:
    """Nobody needs the loop any more."""
    _loop.close()


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
