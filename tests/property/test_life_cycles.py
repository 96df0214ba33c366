"""All 720 orders of each life of a purchase, on a real Redis: the books end as they must.

Each event comes one to five times, and now and then one in the middle of another: between any two
of its steps at the ledger, the record and the bus.
"""

import itertools
import random

import pytest

from tests.support.direct_redis import direct_store
from tests.support.life_cycles import LIFE_CYCLES, LifeCycle
from tests.support.redis_stack import RedisStack
from tests.support.webhook_runs import Run, record_agrees

SEED = 11


@pytest.mark.parametrize("life", LIFE_CYCLES, ids=lambda life: life.name.split(",")[0])
def test_every_order_ends_the_same(redis: RedisStack, life: LifeCycle) -> None:
    assert len(life.events) == 6
    interrupted = 0
    with direct_store(redis) as store:
        for number, order in enumerate(itertools.permutations(life.events)):
            run = Run(redis, store, life, random.Random(f"{SEED} {life.name} {number}"))
            run.begin()
            run.play(order)
            told = f"{life.name}, order {number}: {[e['type'] for e in order]}"
            assert run.end() == life.end, told
            record_agrees(run)
            interrupted += run.interruption.happened
    assert interrupted > 300
