"""A real Redis behind the Upstash gateway, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

from infra.local.gateway import Gateway, Stats
from infra.local.redis_server import HOST, RedisServer


class RedisStack:
    """Addresses, counts and a clean start; the Redis and its gateway run as long as it is open."""

    def __init__(self, gateway: Gateway, redis_port: int, direct: Redis) -> None:
        self._gateway = gateway
        self.redis_port = redis_port
        self.direct = direct
        self.url = gateway.url
        self.token = gateway.token

    def flush(self) -> None:
        """Delete every key; scripts stay loaded."""
        self.direct.flushall()

    def flush_scripts(self) -> None:
        """Forget every script, as a Redis that was restarted does."""
        self.direct.script_flush()

    def stats(self) -> Stats:
        """Counts since the start or the last `reset_stats()`."""
        return self._gateway.stats()

    def reset_stats(self) -> None:
        """Begin to count at zero."""
        self._gateway.reset_stats()


@contextmanager
def redis_stack(read_only_token: str | None = None) -> Iterator[RedisStack]:
    """Start both, yield them, stop both."""
    with (
        RedisServer() as server,
        Gateway(server.port, read_only_token=read_only_token) as gateway,
        Redis(host=HOST, port=server.port) as direct,
    ):
        yield RedisStack(gateway, server.port, direct)
