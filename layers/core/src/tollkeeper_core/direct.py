"""The check for an app that asks Redis itself: the SDK's direct mode, without a function between.

The services and scripts are intercept's own, and so are the answers, status and body. What needs a
secret that an app does not have stays with the functions: no block here carries a link.
"""

import json
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from tollkeeper_core.adapters.circuit import Circuit
from tollkeeper_core.adapters.prices import CachedRates, GenaiPrices
from tollkeeper_core.adapters.redis_checks import RedisChecks
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.domain.check_request import CheckRequest
from tollkeeper_core.domain.funnel import Step
from tollkeeper_core.domain.ledger import LedgerUnavailableError
from tollkeeper_core.domain.links import LinkReason
from tollkeeper_core.domain.problems import CONTENT_TYPE, Problem
from tollkeeper_core.domain.rules import Rules
from tollkeeper_core.services.authenticate import KEYS_AGE_MS, authenticate
from tollkeeper_core.services.check import Check, Count
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.outage import OutagePolicy
from tollkeeper_core.services.usage import ReadUsage
from tollkeeper_core.services.validation import parse


class Reply(NamedTuple):
    """What the function URL would answer."""

    status: int
    content_type: str
    body: bytes


class Direct:
    """One connection to one Redis. Safe across threads, not across a fork: make another there."""

    def __init__(
        self,
        redis_url: str,
        redis_token: str,
        api_key: str,
        *,
        deadline_s: float,
        connections_max: int,
        count: Count,
    ) -> None:
        """Nothing is sent yet. ``deadline_s`` bounds each request to Redis, of which a warm check
        makes one; ``api_key`` is looked up as the function does. Raises ValueError for the URL.
        """
        self._redis = LeanRedis(
            redis_url, redis_token, deadline_s, None, Circuit(), idle_max=connections_max
        )
        store = RedisChecks(self._redis)
        self._rules = ConfigCache(store.load_rules, _nothing_in_hand, _clock)
        self._authorization = f"Bearer {api_key}"
        rates, outage = CachedRates(GenaiPrices(), store), OutagePolicy(_clock)
        self._check = Check(store, self._rules, rates, _NoLinks(), outage, _clock, count, _untold)
        self._read_usage = ReadUsage(store, self._rules, _clock)

    def check(self, body: bytes) -> Reply:
        """``POST /v1/check``. Raises LedgerUnavailableError where not even a policy is known."""
        return _reply(lambda: self._check(parse(body, CheckRequest.validate), self._authorization))

    def usage(self, user_id: str) -> Reply:
        """``GET /v1/users/{id}/usage``. Raises LedgerUnavailableError."""

        def read() -> dict[str, Any]:
            authenticate(self._rules, self._authorization, KEYS_AGE_MS)
            return self._read_usage(user_id)

        return _reply(read)

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._redis.close()  # type: ignore[no-untyped-call]


class _NoLinks:
    """An UpgradeLinks: the key that signs them is the functions'."""

    def url(
        self,
        user_id: str,
        tier: str | None,
        reason: LinkReason | None,
        prompt_id: str | None = None,
    ) -> None:
        del user_id, tier, reason, prompt_id


def _reply(answer: Callable[[], dict[str, Any]]) -> Reply:
    try:
        status, content_type, body = HTTPStatus.OK, "application/json", answer()
    except Problem as problem:
        status, content_type, body = problem.status, CONTENT_TYPE, problem.as_json()
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return Reply(int(status), content_type, text.encode())


def _untold(steps: Sequence[Step]) -> None:
    """A TellSteps: the queue is the functions' too, and a block without a link is no prompt."""
    del steps


def _nothing_in_hand() -> Rules:
    """In an outage a function reads the parameters, which an app cannot."""
    raise LedgerUnavailableError("Redis is away, and no configuration was read before")


def _clock() -> int:
    return time.time_ns() // 1_000_000
