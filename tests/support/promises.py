"""A function against its own document: whatever is sent, what comes back is what it says."""

import time
from collections.abc import Callable
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from redis import Redis
from requests.auth import AuthBase
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
#: How long nothing may have changed for the queue, which collects for a second, to be empty.
QUEUE_QUIET_S = 2.5


def operations(document: dict[str, Any]) -> list[tuple[str, str]]:
    """(path, method) of all that it describes."""
    return [(path, m.upper()) for path, methods in document["paths"].items() for m in methods]


def hold_to(
    document: dict[str, Any],
    operation: tuple[str, str],
    base_url: str,
    redis_port: int,
    *,
    headers: dict[str, str],
    examples: int,
    quiet_s: float,
    prepare: Callable[[Any], None] = lambda _case: None,
    auth: Callable[[Any], AuthBase | None] = lambda _case: None,
) -> set[int]:
    """Try valid and invalid requests; the statuses that came back.

    What was refused is sent once more when all is quiet, and must leave every key as it was.
    ``prepare`` may change a case; ``auth`` what is sent of it, down to the bytes.
    """
    path, method = operation
    described = schemathesis.openapi.from_dict(document)[path][method]
    cases = st.one_of(*(described.as_strategy(generation_mode=mode) for mode in GenerationMode))
    statuses: set[int] = set()
    refused: list[Any] = []

    @seed(20_261_125)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case: Any) -> None:
        prepare(case)
        answer = case.call(base_url=base_url, headers=headers, auth=auth(case))
        case.validate_response(answer, checks=CHECKS)
        statuses.add(answer.status_code)
        if answer.status_code >= 400:
            refused.append(case)

    ask()
    with Redis(port=redis_port) as redis:
        before = when_quiet(redis, quiet_s)
        for case in refused:
            answer = case.call(base_url=base_url, headers=headers, auth=auth(case))
            assert answer.status_code >= 400
        assert everything(redis) == before, "an invalid request changed something"
    return statuses


def when_quiet(redis: "Redis[bytes]", quiet_s: float) -> dict[bytes, Any]:
    """All keys, once none has changed for so long."""
    end = time.monotonic() + 60
    seen, since = everything(redis), time.monotonic()
    while time.monotonic() - since < quiet_s:
        assert time.monotonic() < end, "there is no end of changes"
        time.sleep(0.1)
        now = everything(redis)
        if now != seen:
            seen, since = now, time.monotonic()
    return seen


def everything(redis: "Redis[bytes]") -> dict[bytes, Any]:
    """All keys but the time of the last sync, which a schedule moves, and prices, a mere cache."""
    names = (n for n in redis.scan_iter("*") if not n.startswith((b"tk:config", b"tk:prices")))
    return {
        b"version": redis.hget("tk:config", "version"),
        **{name: _value(redis, name) for name in names},
    }


def _value(redis: "Redis[bytes]", name: bytes) -> Any:
    """Not DUMP's bytes for what has no order: the same set may lie in another order there."""
    match redis.type(name):
        case b"set":
            return redis.smembers(name)
        case b"hash":
            return redis.hgetall(name)
        case _:
            return redis.dump(name)
