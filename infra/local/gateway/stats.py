"""What tests and benchmarks count: HTTP requests, and the commands that Upstash would bill."""

from collections import Counter
from typing import TypedDict

from .resp import ErrorReply, RedisConnection, RedisUnavailableError


class Stats(TypedDict):
    """Counts since the start or the last reset.

    `http_requests`: all requests to the REST API, refused ones too. `commands`: by lower-case
    name, those that were sent to Redis. `script_commands`: those that scripts called, which
    Upstash bills one by one; exact while nobody else talks to this Redis.
    """

    http_requests: int
    commands: dict[str, int]
    script_commands: dict[str, int]


class Counters:
    """The counts of one gateway."""

    def __init__(self, redis: RedisConnection) -> None:
        self._redis = redis
        self._called_before: Counter[str] = Counter()
        self.http_requests = 0
        self.commands: Counter[str] = Counter()

    async def stats(self) -> Stats:
        """All counts; raises `RedisUnavailableError`."""
        # What was called beyond what was sent, scripts called. A negative difference is a
        # command that was sent and never called, as in a transaction that was discarded.
        called = await self._called() - self._called_before
        return {
            "http_requests": self.http_requests,
            "commands": dict(self.commands),
            "script_commands": dict(called - self.commands),
        }

    async def reset(self) -> None:
        """Begin at zero; raises `RedisUnavailableError`."""
        self._called_before = await self._called()
        self.http_requests = 0
        self.commands.clear()

    async def _called(self) -> Counter[str]:
        """Calls by command, as Redis counts them, without the gateway's own."""
        (reply,) = await self._redis.send([[b"INFO", b"commandstats"]])
        if not isinstance(reply, bytes) or isinstance(reply, ErrorReply):
            raise RedisUnavailableError(f"Redis does not tell its commandstats: {reply!r}")
        called: Counter[str] = Counter()
        for line in reply.decode().splitlines():
            name, separator, fields = line.removeprefix("cmdstat_").partition(":")
            if separator and name not in GATEWAY_COMMANDS:
                counts = dict(field.split("=") for field in fields.split(","))
                called[name] = int(counts["calls"]) + int(counts.get("rejected_calls", 0))
        return called


# Sent by the gateway for itself; no script can call them.
GATEWAY_COMMANDS = frozenset({"info", "multi", "exec"})
