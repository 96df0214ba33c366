"""The webhook dies at any line, or a part fails after it did its work: Stripe's retry mends it."""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import tollkeeper_core
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.announcements import AnnouncementError
from tollkeeper_core.domain.ledger import LedgerUnavailableError

from tests.support.direct_redis import direct_store
from tests.support.life_cycles import LIFE_CYCLES, LifeCycle
from tests.support.redis_stack import RedisStack
from tests.support.webhook_runs import Run, record_agrees

PRODUCT = str(Path(tollkeeper_core.__file__).parent)
LIVES = pytest.mark.parametrize("life", LIFE_CYCLES, ids=lambda life: life.name.split(",")[0])


class Killed(BaseException):
    """Lambda's time is over, or its machine is gone."""


@contextmanager
def killed_at(line: int, spared: str = "no file") -> Iterator[list[int]]:
    """Raise Killed before the line of that number, of the product's own; counts them.

    ``spared``: a file that has locks, which a process takes along and an exception does not.
    """
    passed = [0]

    def trace(frame: FrameType, what: str, _: object) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(PRODUCT) or name.endswith(spared):
            return None
        if what == "line":
            passed[0] += 1
            if passed[0] == line:
                raise Killed
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield passed
    finally:
        sys.settrace(before)


@pytest.fixture
def store(redis: RedisStack) -> Iterator[RedisStore]:
    with direct_store(redis) as direct:
        yield direct


def mended(run: Run, fail: Callable[[dict[str, Any]], None]) -> None:
    """``fail`` delivers an event and breaks it off; Stripe sends it again."""
    run.begin()
    webhook = run.webhook()
    for event in run.life.events:
        fail(event)
        webhook.clock.now_ms += 3_600_000
        webhook(event)
    assert run.end() == run.life.end
    record_agrees(run)


@LIVES
def test_killed_at_any_line(redis: RedisStack, store: RedisStore, life: LifeCycle) -> None:
    kills = line = 0
    while True:
        line += 1
        run = Run(redis, store, life, random.Random(0))
        died: list[str] = []

        def fail(event: dict[str, Any], run: Run = run, line: int = line) -> None:
            try:
                with killed_at(line):
                    run.webhook()(event)
            except Killed:
                died.append(event["id"])  # noqa: B023

        mended(run, fail)
        kills += len(died)
        if not died:
            break
    assert kills > 200


@LIVES
@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("before", [True, False], ids=["before its work", "after its work"])
@pytest.mark.parametrize("part", ["store", "archive", "bus"])
def test_a_part_that_fails(
    redis: RedisStack,
    store: RedisStore,
    life: LifeCycle,
    part: str,
    before: bool,
    nth: int,
) -> None:
    errors = {"store": LedgerUnavailableError, "archive": OSError, "bus": AnnouncementError}
    run = Run(redis, store, life, random.Random(0))
    sound = getattr(run, part)
    failed = 0

    class Failing:
        """Fails at the call of that number."""

        calls = 0

        def __getattr__(self, name: str) -> Any:
            def call(*given: Any) -> Any:
                self.calls += 1
                answer = None if before and self.calls == nth else getattr(sound, name)(*given)
                if self.calls == nth:
                    raise errors[part]("no answer")
                return answer

            return call

    def fail(event: dict[str, Any]) -> None:
        nonlocal failed
        setattr(run, part, Failing())
        webhook = run.webhook()
        setattr(run, part, sound)
        try:
            webhook(event)
        except errors[part]:
            failed += 1

    mended(run, fail)
    assert failed or nth > 1
