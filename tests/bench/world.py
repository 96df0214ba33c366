"""A real Redis behind the gateway, each a process of its own, and the product's store before it.

In one process with the caller the gateway would wait for the caller's interpreter, and the caller
for the gateway's: what was measured would be their quarrel.
"""

import http.client
import json
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, cast

from redis import Redis
from tollkeeper_core.adapters.redis_http import LeanRedis, PooledHttp
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import Reservation, Reserve
from tollkeeper_core.domain.movements import Settle, Settlement
from tollkeeper_core.domain.periods import periods_at

from infra.local.redis_server import HOST, RedisServer
from tests.bench.timing import Cost, timed_us

NOW_MS = 1_795_608_000_000  # 2026-11-25T12:00:00Z
DAY_MS = 86_400_000
HOLD_MS = 600_000
DEADLINE_S = 30.0
#: What a call holds, and what it then costs: a small model's.
HOLD_NANO, COST_NANO = 2_000_000, 1_234_567

#: Limits that no benchmark reaches, in all three windows.
CONFIG = Config.model_validate({
    "tiers": {
        "free": {
            "limits": {
                "daily": {"limit_usd": "10000"},
                "weekly": {"limit_usd": "70000"},
                "monthly": {"limit_usd": "300000"},
            }
        }
    }
})  # fmt: skip


class World:
    """``direct`` talks to Redis itself; ``url`` and ``token`` are the gateway's."""

    def __init__(self, url: str, token: str, direct: Redis) -> None:
        self.url, self.token, self.direct = url, token, direct
        self.client = LeanRedis(url, token, DEADLINE_S)
        self.store = RedisStore(self.client)
        self.configure(CONFIG)
        self._names = count()

    def configure(self, config: Config) -> None:
        """Publish it."""
        if not self.store.publish(config, NOW_MS):
            raise RuntimeError("a later configuration is published")
        loaded = self.store.load()
        if loaded is None:
            raise RuntimeError("what was published cannot be read")
        self.version = loaded[0]

    def check(
        self, user: str, now_ms: int = NOW_MS, store: RedisStore | None = None
    ) -> Reservation:
        """A new check, which is admitted."""
        periods = periods_at(CONFIG.settings.calendar, now_ms)
        name = f"rsv_{next(self._names):032x}"  # as long as the product's own
        request = Reserve(user, name, HOLD_NANO, None, periods, now_ms, now_ms + HOLD_MS)
        answer = (store or self.store).reserve(request, self.version)
        if not answer.admitted:
            raise RuntimeError(f"a check of {user} was blocked")
        return answer

    def usage(self, user: str, reservation: str | None, now_ms: int = NOW_MS) -> Settle:
        """What settles a new call."""
        periods = periods_at(CONFIG.settings.calendar, now_ms)
        event = f"evt_{next(self._names):032x}"
        return Settle(user, event, COST_NANO, reservation, periods, now_ms)

    def settle(self, requests: Sequence[Settle], store: RedisStore | None = None) -> None:
        """In one request to Redis."""
        for answer in (store or self.store).settle(requests, self.version):
            if not isinstance(answer, Settlement):
                raise RuntimeError(f"an event was not settled: {answer}")

    def call(self, user: str, now_ms: int = NOW_MS) -> None:
        """A check and what settles it."""
        self.settle([self.usage(user, self.check(user, now_ms).reservation_id, now_ms)])

    def cost_of(self, operations: Sequence[Callable[[], object]]) -> Cost:
        """Run each once: what one costs, the median of them (Redis tells scripts' mean only)."""
        before = self._scripts_us()
        wall_us = statistics.median(timed_us(operation) for operation in operations)
        return Cost(wall_us, (self._scripts_us() - before) / len(operations))

    def throughput(self, operations: Sequence[Callable[[], object]], units: int) -> Cost:
        """Run each once: what a unit costs, all operations' time shared among all units."""
        before = self._scripts_us()
        wall_us = sum(timed_us(operation) for operation in operations)
        return Cost(wall_us / units, (self._scripts_us() - before) / units)

    def commands(self, operation: Callable[[], object]) -> dict[str, int]:
        """Commands that an operation runs inside scripts: Upstash bills each of them."""
        before = self._calls()
        operation()
        after = self._calls()
        sent = {"info", "evalsha"}
        return {
            name: calls - before.get(name, 0)
            for name, calls in after.items()
            if calls > before.get(name, 0) and name not in sent
        }

    def http_requests(self, operation: Callable[[], object]) -> int:
        """Requests to the gateway that an operation makes."""
        before = self._stats()["http_requests"]
        operation()
        return int(self._stats()["http_requests"] - before)

    def _scripts_us(self) -> int:
        stats: dict[str, Any] = self.direct.info("commandstats")
        return int(stats.get("cmdstat_evalsha", {}).get("usec", 0))

    def _calls(self) -> dict[str, int]:
        stats: dict[str, Any] = self.direct.info("commandstats")
        return {name.removeprefix("cmdstat_"): int(s["calls"]) for name, s in stats.items()}

    def _stats(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=10)
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            connection.request("GET", "/_local/stats", headers=headers)
            found: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return found


@contextmanager
def open_world() -> Iterator[World]:
    """Start both processes, yield, stop both."""
    token = secrets.token_hex(16)  # no leading dash: it is an argument
    with (
        RedisServer() as server,
        serving("infra.local.gateway", "--redis-port", str(server.port), "--token", token) as url,
        Redis(host=HOST, port=server.port) as direct,
    ):
        yield World(url, token, direct)


class _FarHttp(PooledHttp):
    """Each request waits for a round trip first. A proxy would add its own work to that."""

    round_trip_s = 0.0

    def execute(
        self, url: str, headers: dict[str, str], command: list[Any], from_pipeline: bool = False
    ) -> Any:
        time.sleep(self.round_trip_s)
        return super().execute(url, headers, command, from_pipeline)


def distant(world: World, ms: float) -> RedisStore:
    """The same world's store, a round trip of ``ms`` away."""
    client = LeanRedis(world.url, world.token, DEADLINE_S)
    http = _FarHttp(world.url, DEADLINE_S)
    http.round_trip_s = ms / 1_000
    client._http = cast("Any", http)
    return RedisStore(client)


@contextmanager
def serving(module: str, *arguments: str) -> Iterator[str]:
    """A module run as a process that prints its address; yields that, and stops the process."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().strip() if process.stdout else ""
            if not address:
                raise RuntimeError(f"{module} did not start")
            yield address
        finally:
            process.terminate()
