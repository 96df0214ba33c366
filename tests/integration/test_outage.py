"""Redis late, hanging, resetting, answering 429, 5xx or nonsense: every check decides by policy."""

import hashlib
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest
from tollkeeper_core.adapters.circuit import Circuit
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.check_request import CheckRequest
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.money import parse_usd
from tollkeeper_core.domain.movements import Settle
from tollkeeper_core.domain.periods import Window, periods_at
from tollkeeper_core.domain.pricing import TokenRates
from tollkeeper_core.domain.problems import Problem
from tollkeeper_core.domain.rules import Rules
from tollkeeper_core.services.check import Check
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.links import Links
from tollkeeper_core.services.outage import OutagePolicy

from tests.support.bad_server import server
from tests.support.redis_stack import RedisStack

KEY = "tk_k1_" + "a" * 32
NOW_MS = 1_800_000_000_000
CHECKS = 10_000
DEADLINE_S = 0.05
CONFIG = Config.model_validate(
    {
        "tiers": {
            "free": {"limits": {"daily": {"limit_usd": "1.00"}}},
            "closed": {"limits": {}, "outage": "block"},
        },
        "api_keys": {"k1": hashlib.sha256(KEY.encode()).hexdigest()},
    }
)
BUSY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nbusy"
DOWN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ndown"
NONSENSE = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>"


def late(connection: socket.socket, _: int) -> None:
    time.sleep(DEADLINE_S * 2)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"result":"OK"}')


def hang(connection: socket.socket, _: int) -> None:
    connection.recv(1)  # until the caller gives up


def reset(connection: socket.socket, _: int) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def saying(answer: bytes) -> Callable[[socket.socket, int], None]:
    return lambda connection, _: connection.sendall(answer)


OUTAGES = {
    "late": late,
    "hanging": hang,
    "resetting": reset,
    "429": saying(BUSY),
    "503": saying(DOWN),
    "nonsense": saying(NONSENSE),
}


class NoRates:
    def rates(self, provider: str | None, model: str, now_ms: int) -> TokenRates | None:
        raise AssertionError("the amounts are named")

    known = rates


def made(store: RedisStore) -> Check:
    def clock() -> int:
        return NOW_MS

    configs = ConfigCache(store.load_rules, lambda: Rules.of_snapshot(CONFIG.snapshot), clock)
    links = Links("https://page.example", lambda: b"k" * 32, clock)
    return Check(
        store, configs, NoRates(), links, OutagePolicy(clock), clock, lambda _: None, [].extend
    )


def ask(check: Check, user: str, tier: str, amount: str) -> dict[str, Any] | None:
    """The answer's body; None for a 503."""
    request = CheckRequest.validate({"user_id": user, "tier": tier, "amount_usd": amount})
    try:
        return check(request, f"Bearer {KEY}")
    except Problem as problem:
        if problem.status != 503:
            raise
        return None


@pytest.mark.parametrize("outage", OUTAGES)
def test_every_check_decides_by_policy(outage: str, store: RedisStore) -> None:
    """Each user asks for a cent 200 times: a dollar is the grace. Few of all wait for Redis."""
    share = CHECKS // len(OUTAGES) + 1
    with (
        server(OUTAGES[outage]) as (url, seen),
        LeanRedis(url, "t", DEADLINE_S, None, Circuit()) as client,
    ):
        check = made(RedisStore(client))
        check.configs.in_an_outage()  # as in a process that was warm before
        answers = [ask(check, f"user {n % 8}", "free", "0.01") for n in range(share)]
        assert [ask(check, "ada", "closed", "0.01") for _ in range(10)] == [None] * 10

    allowed = [answer for answer in answers if answer is not None]
    assert all(answer["degraded"] is True for answer in allowed)
    assert all(answer is not None for answer in answers[:800])
    assert len(allowed) == 8 * 100
    # Three until the circuit opens, and one after each rest: 1, 2, 4, 8 seconds.
    assert 3 <= len(seen) <= 12


def test_afterwards_the_state_is_right(store: RedisStore) -> None:
    """What was allowed holds nothing, and is charged when its usage is settled."""
    store.publish(CONFIG, NOW_MS)
    version = store.load()[0]  # type: ignore[index]
    periods = periods_at(CONFIG.settings.calendar, NOW_MS)
    with server(hang) as (url, _), LeanRedis(url, "t", DEADLINE_S, None, Circuit()) as client:
        check = made(RedisStore(client))
        check.configs.in_an_outage()
        ids = [ask(check, "ada", "free", "0.30")["reservation_id"] for _ in range(3)]  # type: ignore[index]
        assert ask(check, "ada", "free", "0.30") is None

    healed = made(store)
    first = ask(healed, "ada", "free", "0.30")
    assert first is not None
    assert "degraded" not in first
    settles = [
        Settle("ada", f"e{n}", parse_usd("0.25"), one, periods, NOW_MS)
        for n, one in enumerate([*ids, first["reservation_id"]])
    ]
    store.settle(settles, version)
    counters = store.read("ada", "free", periods, NOW_MS, version).counters[Window.DAILY]
    assert (counters.total_nano, counters.held_total_nano) == (parse_usd("1.00"), 0)
    assert ask(healed, "ada", "free", "0.01")["decision"] == "block"  # type: ignore[index]


def test_the_circuit_closes_as_soon_as_redis_answers(redis: RedisStack, store: RedisStore) -> None:
    now_s = [0.0]
    circuit = Circuit(lambda: now_s[0])
    store.publish(CONFIG, NOW_MS)
    with server(saying(DOWN)) as (url, seen), LeanRedis(url, "t", 2.0, None, circuit) as client:
        check = made(RedisStore(client))
        check.configs.in_an_outage()
        for _ in range(5):
            ask(check, "ada", "free", "0.01")
        assert len(seen) == 3
        now_s[0] += 1
        for _ in range(5):
            ask(check, "ada", "free", "0.01")
        assert len(seen) == 4
        now_s[0] += 2
    with LeanRedis(redis.url, redis.token, 10.0, None, circuit) as client:
        check = made(RedisStore(client))
        check.configs.in_an_outage()
        for _ in range(5):
            assert "degraded" not in ask(check, "ada", "free", "0.01")  # type: ignore[operator]
