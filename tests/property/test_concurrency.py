"""A share of the concurrency soak (``python -m tests.kills.concurrency``)."""

import pytest

from tests.kills.crowd import run
from tests.support.redis_stack import RedisStack

RESERVATIONS = 200


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_step_of_many_threads_overspends(redis: RedisStack, seed: int) -> None:
    figures = run(redis, seed, RESERVATIONS)
    assert figures.wrong == []
    assert figures.admitted + figures.refused == RESERVATIONS
    assert min(figures.admitted, figures.refused, figures.settled) > 0
    assert figures.looks > RESERVATIONS
