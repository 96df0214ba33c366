"""The product itself for the SDK to talk to: its handlers, over a real Redis behind the gateway.

Only the queue between the two functions is a list, and the archive is in memory.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from tollkeeper_core import bootstrap, telemetry
from tollkeeper_core.adapters.prices import CachedRates, GenaiPrices
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import Counters
from tollkeeper_core.domain.periods import Window, periods_at
from tollkeeper_core.services.check import Check
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.links import Links
from tollkeeper_core.services.outage import OutagePolicy
from tollkeeper_core.services.report import Report
from tollkeeper_core.services.settle import SettleUsage
from tollkeeper_core.services.tell_crossings import TellCrossings
from tollkeeper_core.services.usage import ReadUsage, UserLinks

from functions.intercept.app import handler as intercept
from functions.log_usage.app import handler as log_usage
from tests.support.function_server import Context, serve_function
from tests.support.memory_ledger import MemoryAnnouncements, MemoryArchive
from tests.support.redis_stack import RedisStack

KEY = "tk_sdk_" + "s" * 32
DEADLINE_S = 10.0


def clock() -> int:
    return time.time_ns() // 1_000_000


def never() -> Any:
    raise AssertionError("the parameters are asked only while Redis is away")


def config(daily_usd: str, **tiers: Any) -> Config:
    limits = {"daily": {"limit_usd": daily_usd}}
    return Config.model_validate(
        {
            "tiers": {"free": {"limits": limits}, **tiers},
            "api_keys": {"sdk": hashlib.sha256(KEY.encode()).hexdigest()},
        }
    )


class RealTollkeeper:
    """`url` is intercept's; `settle` is one delivery of all that is queued to log_usage."""

    def __init__(self, store: RedisStore) -> None:
        self.url = ""
        self.store = store
        self.queue: list[str] = []
        self.archive = MemoryArchive()
        self.configs = ConfigCache(store.load, never, clock)
        self.rules = ConfigCache(store.load_rules, never, clock)
        self._context: Any = Context()

    def send(self, bodies: Sequence[str]) -> list[bool]:
        """A ports.UsageQueue."""
        self.queue += bodies
        return [True] * len(bodies)

    def wire(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the handlers find this one's services."""
        rates = CachedRates(GenaiPrices(), self.store)
        links = Links("https://page.test/", lambda: b"k" * 32, clock)
        settle = SettleUsage(
            self.store, self.configs, GenaiPrices(), self.archive, clock, lambda _name: None, self
        )
        services: dict[str, Any] = {
            "check": lambda count: Check(
                self.store, self.rules, rates, links, OutagePolicy(clock), clock, count, [].extend
            ),
            "rules": lambda: self.rules,
            "report": lambda: Report(self, clock),
            "read_usage": lambda: ReadUsage(self.store, self.rules, clock),
            "user_links": lambda: UserLinks(self.rules, links),
            "settle_usage": lambda _count: settle,
            "tell_crossings": lambda: TellCrossings(MemoryAnnouncements(), "test"),
        }
        for name, service in services.items():
            monkeypatch.setattr(bootstrap, name, service)
        monkeypatch.setattr(telemetry.metrics.provider, "namespace", "Tollkeeper")

    def settle(self) -> list[dict[str, Any]]:
        """What was settled, as it was queued. Raises AssertionError where an event has no cost."""
        bodies, self.queue = self.queue, []
        if bodies:
            records = [{"messageId": str(n), "body": body} for n, body in enumerate(bodies)]
            assert log_usage({"Records": records}, self._context) == {"batchItemFailures": []}
        return [json.loads(body)["event"] for body in bodies]

    def counters(self, user: str) -> Counters:
        """What the ledger holds of this user today."""
        now_ms = clock()
        periods = periods_at(self.configs.current().config.settings.calendar, now_ms)
        version = self.configs.reload().version
        return self.store.read(user, None, periods, now_ms, version).counters[Window.DAILY]


@contextmanager
def real_tollkeeper(redis: RedisStack, published: Config) -> Iterator[RealTollkeeper]:
    """Serve it, over a Redis that is emptied."""
    redis.flush()
    with (
        LeanRedis(redis.url, redis.token, DEADLINE_S) as client,
        pytest.MonkeyPatch.context() as monkeypatch,
        serve_function(intercept) as url,
    ):
        real = RealTollkeeper(RedisStore(client))
        assert real.store.publish(published, clock())
        real.wire(monkeypatch)
        real.url = url
        yield real
