"""A share of the fault runs (``make soak`` plays 10,000), and that they find what is wrong."""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from typing import cast

import pytest
from tollkeeper_core.adapters import redis_store
from tollkeeper_core.adapters.redis_http import LeanRedis, PooledHttp
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.adapters.scripts import Script
from tollkeeper_core.domain.ledger import LedgerUnavailableError

from tests.faults.processes import play
from tests.faults.proxy import TAG, FaultProxy
from tests.faults.runs import REPLAY_DEADLINE_S, FaultRunError, World
from tests.faults.schedule import Decision, Fault, Schedule
from tests.support.redis_stack import RedisStack

SEEDS = range(100_000, 100_200)
PROCESSES = 2
TRIES_MAX = 100

#: name: script, what is there, what a mistake would have put there.
BUGS = {
    "an event leaves no marker": (
        "settle",
        'redis.call("SET", KEYS[4], cjson.encode(answer), "EX", ARGV[12])',
        "",
    ),
    "a marker is not looked at": (
        "settle",
        'if known[1] then return append(cjson.decode(known[1]), { "replayed", "1" }) end',
        "",
    ),
    "a purchase counts twice": ("grant", "if known[1] then", "if false then"),
    "a check holds twice": ("reserve", '"NX", "EX", admitted', '"EX", admitted'),
    "a claim's answer is not kept": ("claim", "if v[4] then", "if false then"),
    "a late event of a subscription counts": ("subscribe", "if not newer then", "if false then"),
    "an older configuration wins": ("publish", "if published > tonumber(ARGV[1])", "if false"),
    "a hold's credits stay": ("settle", "state.held = state.held - tonumber(hold[3])", ""),
}


@pytest.fixture
def steady(redis: RedisStack) -> Iterator[World]:
    """A world where nothing but the seed makes a call miss its deadline."""
    with FaultProxy(redis.url) as proxy:
        world = World(redis, proxy, REPLAY_DEADLINE_S)
        yield world
        world.come_to_rest()


def test_ledger_is_exact_whatever_the_network_does(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        sys.stdout.write(f" seeds {SEEDS.start} to {SEEDS.stop - 1} ")
    results = list(play(SEEDS, PROCESSES))
    assert "\n".join(message for _, _, message in results if message) == ""
    assert sorted(seed for seed, _, _ in results) == list(SEEDS)
    runs = [run for _, run, _ in results if run is not None]
    faults: Counter[Fault] = sum((run.faults for run in runs), Counter())
    assert set(faults) == set(Fault)
    assert sum(run.lost for run in runs) > 5 * len(runs)


@pytest.mark.parametrize("name", BUGS)
def test_planted_bug_is_found_and_its_seed_replays(
    steady: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "script", lambda asked: _planted(asked, *BUGS[name]))
    found = _first_failure(steady)
    with pytest.raises(FaultRunError) as again:
        steady.run(found.seed)
    assert again.value.reason == found.reason
    assert f"seed {found.seed}: " in str(again.value)
    monkeypatch.undo()
    steady.run(found.seed)


def test_seed_alone_decides(steady: World) -> None:
    logs = []
    for _ in range(2):
        steady.run(SEEDS.start)
        logs.append(list(steady.proxy.log))
    assert logs[0] == logs[1]


def test_answer_that_is_no_json_leaves_no_dead_connection(redis: RedisStack) -> None:
    """A page in place of an answer, on a connection that stays open: only that call is lost."""

    class Pages(Schedule):
        def decide(self, tag: str) -> Decision:
            return Decision(Fault.REFUSE, 502, 0.9, 0)

    with FaultProxy(redis.url) as proxy:
        client = LeanRedis(proxy.url, redis.token, 10.0)
        client._headers[TAG] = "load"
        proxy.begin_with(Pages(0))
        for _ in range(2):
            with pytest.raises(LedgerUnavailableError):
                RedisStore(client).load()
        proxy.calm()
        assert RedisStore(client).load() is None
        cast("PooledHttp", client._http).close()
        proxy.rest()


def _first_failure(world: World) -> FaultRunError:
    for seed in range(TRIES_MAX):
        try:
            world.run(seed)
        except FaultRunError as error:
            return error
    raise AssertionError(f"not found in {TRIES_MAX} runs")


def _planted(asked: str, name: str, find: str, replace: str) -> Script:
    folder = files("tollkeeper_core.lua")
    parts = [asked] if asked == "publish" else ["state", asked]
    texts = {part: (folder / f"{part}.lua").read_text("utf-8") for part in parts}
    if asked == name:
        assert texts[name].count(find) == 1, f"{name}.lua does not hold {find!r} once"
        texts[name] = texts[name].replace(find, replace)
    text = "\n".join(texts.values())
    return Script(asked, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
