"""A real Redis without the gateway between: ten times as many scripts a second."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.redis_store import RedisStore
from upstash_redis.errors import UpstashError

from infra.local.redis_server import HOST
from tests.support.redis_stack import RedisStack


class DirectRedis:
    """The commands that a store sends, as ``LeanRedis`` has them."""

    def __init__(self, port: int) -> None:
        self._redis = Redis(host=HOST, port=port, decode_responses=True)

    def evalsha(self, sha1: str, keys: Sequence[str], args: Sequence[str]) -> Any:
        return self._ask(lambda: self._redis.evalsha(sha1, len(keys), *keys, *args))

    def eval(self, script: str, keys: Sequence[str], args: Sequence[str]) -> Any:
        return self._ask(lambda: self._redis.eval(script, len(keys), *keys, *args))

    def hmget(self, key: str, *fields: str) -> Any:
        return self._ask(lambda: self._redis.hmget(key, list(fields)))

    def hgetall(self, key: str) -> Any:
        return self._ask(lambda: self._redis.hgetall(key))

    def get(self, key: str) -> Any:
        return self._ask(lambda: self._redis.get(key))

    def close(self) -> None:
        self._redis.close()

    @staticmethod
    def _ask(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except RedisError as error:
            raise UpstashError(f"{type(error).__name__.upper()} {error}") from error


@contextmanager
def direct_store(stack: RedisStack) -> Iterator[RedisStore]:
    """The product's store; its answers are those of the gateway, which has tests of its own."""
    client = DirectRedis(stack.redis_port)
    try:
        yield RedisStore(cast(LeanRedis, client))
    finally:
        client.close()
