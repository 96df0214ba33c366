"""Reservations at once on one user.

Up to 32 threads, each with a connection of its own, reserve, settle at most what they hold, repeat
themselves, buy credits and let holds expire. Every answer to a reservation tells the state that its
script left, so every such step is looked at; an observer reads in between as well.

The seed gives the amounts, limits and order of each thread; how threads meet is up to the machine.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import Reserve, Standing
from tollkeeper_core.domain.movements import Grant, Settle, Settlement
from tollkeeper_core.domain.periods import Calendar, Window, periods_at

from tests.support.redis_stack import RedisStack

USER = "ada"
NOON_MS = 1_795_608_000_000  # 2026-11-25T12:00:00Z
HOUR_MS = 3_600_000
NANO = 10**9
_FEW_MS = 40


@dataclass
class Figures:
    """What one seed did. ``looks``: states looked at. ``wrong``: nothing, if all is well."""

    seed: int
    threads: int = 0
    admitted: int = 0
    refused: int = 0
    settled: int = 0
    looks: int = 0
    wrong: list[str] = field(default_factory=list)


class _Run:
    def __init__(self, redis: RedisStack, seed: int) -> None:
        self.redis, self.random = redis, Random(seed)
        self.figures = Figures(seed, threads=self.random.choice((4, 8, 16, 32)))
        self.ticks = count()
        self.settlements: list[Settlement] = []
        self.bought: list[int] = []
        self.start = threading.Barrier(self.figures.threads)
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.config = _config(self.random)
        self.strict = self.config.tiers["free"].enforcement == "strict"
        with self.connected() as store:
            store.publish(self.config, NOON_MS)
            loaded = store.load()
        assert loaded is not None
        self.version = loaded[0]

    @contextmanager
    def connected(self) -> Iterator[RedisStore]:
        """A store with a connection of its own."""
        client = LeanRedis(self.redis.url, self.redis.token, 60.0)
        with client:
            yield RedisStore(client)

    def now_ms(self) -> int:
        """A millisecond a step. A thread may be late with its own: clocks of hosts differ too."""
        return NOON_MS + next(self.ticks)

    def thread(self, number: int, reservations: int) -> None:
        with self.connected() as store:
            self.start.wait(60)
            _Thread(self, number, store).work(reservations)

    def observe(self) -> None:
        with self.connected() as store:
            while not self.over.is_set():
                self.look(self.read(store, self.now_ms()))

    def read(self, store: RedisStore, now_ms: int) -> Standing:
        return store.read(USER, None, periods_at(Calendar(), now_ms), now_ms, self.version)

    def look(self, standing: Standing) -> None:
        """Spent and held never above what the tier and the credits give."""
        self.count(looks=1)
        for window, counters in standing.counters.items():
            limit = standing.limits.get(window)
            if limit is not None and limit.room_nano(counters) < 0:
                self.figures.wrong.append(f"{window} is over its limit: {limit} {counters}")
            used = (counters.allowance_nano, counters.held_allowance_nano)
            in_all = (counters.total_nano, counters.held_total_nano)
            if any(part < 0 or part > whole for part, whole in zip(used, in_all, strict=True)):
                self.figures.wrong.append(f"{window} does not add up: {counters}")
        left = sum(lot.remaining_nano for lot in standing.lots)
        if not 0 <= standing.held_credits_nano <= left:
            self.figures.wrong.append(f"credits: {standing.held_credits_nano} held of {left}")

    def count(
        self, *, looks: int = 0, admitted: int = 0, refused: int = 0, settled: int = 0
    ) -> None:
        with self.lock:
            self.figures.looks += looks
            self.figures.admitted += admitted
            self.figures.refused += refused
            self.figures.settled += settled

    def close_the_books(self) -> None:
        """When every hold is past its expiry."""
        now_ms = NOON_MS + 2 * HOUR_MS
        with self.connected() as store:
            standing = self.read(store, now_ms)
            day = standing.counters[Window.DAILY]
            left = sum(lot.remaining_nano for lot in standing.lots)
            held = (day.held_total_nano, day.held_allowance_nano, standing.held_credits_nano)
            self.must("held after expiry", held, (0, 0, 0))
            self.must("overrun", sum(s.overrun_nano for s in self.settlements), 0)
            self.must("spent", day.total_nano, sum(s.cost_nano for s in self.settlements))
            allowance = sum(s.allowance_nano for s in self.settlements)
            self.must("allowance", day.allowance_nano, allowance)
            burnt = sum(sum(s.lots_nano.values()) for s in self.settlements)
            self.must("credits", left + burnt, sum(self.bought))
            fits = _fits(standing)
            periods = periods_at(Calendar(), now_ms)
            expires_ms = now_ms + HOUR_MS
            if self.strict:
                over = Reserve(USER, "over", fits + 1, None, periods, now_ms, expires_ms)
                answer = store.reserve(over, self.version)
                got = (answer.admitted, answer.held_nano, answer.affordable_nano)
                self.must("one nano more than is left", got, (False, 0, fits))
            last = Reserve(USER, "last", fits, None, periods, now_ms, expires_ms)
            answer = store.reserve(last, self.version)
            self.must(
                "all that is left is admitted", (answer.admitted, answer.held_nano), (True, fits)
            )
            holds = self.redis.direct.zrange(keys.holds(USER), 0, -1)
            self.must("open holds", len(holds), 1 if fits else 0)

    def must(self, what: str, found: object, wanted: object) -> None:
        if found != wanted:
            self.figures.wrong.append(f"{what}: {found}, not {wanted}")


class _Thread:
    """One caller's steps. ``open``: reservations with what they hold, whose call is under way."""

    def __init__(self, run: _Run, number: int, store: RedisStore) -> None:
        self.run, self.number, self.store = run, number, store
        self.random = Random(f"{run.figures.seed}:{number}")
        self.open: list[tuple[str, int]] = []
        self.fits = 0

    def work(self, reservations: int) -> None:
        for n in range(reservations):
            self.reserve(f"r{self.number}-{n}")
            if self.random.random() < 0.01:
                self.buy(f"cs_{self.number}_{n}")
            if len(self.open) > 4 or (self.open and self.random.random() < 0.2):
                self.settle()

    def reserve(self, rid: str) -> None:
        random, run = self.random, self.run
        now_ms = run.now_ms()
        # A call that dies is never settled: its hold is short, and its expiry gives it back.
        dies = random.random() < 0.3
        expires_ms = now_ms + (random.randrange(_FEW_MS) if dies else HOUR_MS)
        amount = random.choice((1, random.randrange(NANO // 50), random.randrange(NANO // 5)))
        if random.random() < 0.1:  # what had fitted, and one nano beside it
            amount = max(self.fits + random.choice((-1, 0, 1)), 0)
        request = Reserve(
            USER, rid, amount, None, periods_at(Calendar(), now_ms), now_ms, expires_ms
        )
        answer = self.store.reserve(request, run.version)
        run.look(answer.standing)
        fits = self.fits = answer.affordable_nano
        admitted = amount <= fits or (fits > 0 and not run.strict)
        held = min(amount, fits) if admitted else 0
        got = (answer.admitted, answer.held_nano)
        run.must(f"asked {amount} where {fits} fit", got, (admitted, held))
        if random.random() < 0.05:
            again = self.store.reserve(request, run.version)
            said = (answer.admitted, answer.held_nano, answer.affordable_nano)
            repeated = (again.admitted, again.held_nano, again.affordable_nano)
            run.must("a repeated check", repeated, said)
        run.count(admitted=answer.admitted, refused=not answer.admitted)
        if answer.admitted and not dies:
            self.open.append((rid, answer.held_nano))

    def settle(self) -> None:
        """All that are open, but one now and then that its app forgets."""
        requests = []
        for rid, held in self.open:
            if self.random.random() < 0.9:
                now_ms = self.run.now_ms()
                cost = self.random.choice((0, held, self.random.randint(0, held)))
                periods = periods_at(Calendar(), now_ms)
                requests.append(Settle(USER, f"e-{rid}", cost, rid, periods, now_ms))
        self.open = []
        if self.random.random() < 0.1:
            requests += requests[:1]  # delivered twice
        for answer in self.store.settle(requests, self.run.version) if requests else ():
            assert isinstance(answer, Settlement), answer
            if not answer.replayed:
                self.run.settlements.append(answer)
                self.run.count(settled=1)

    def buy(self, purchase: str) -> None:
        nano = self.random.randrange(1, NANO // 2)
        self.run.bought.append(nano)
        now_ms = self.run.now_ms()
        self.store.grant(Grant(USER, purchase, "p", nano, 500, "usd", None, None, now_ms))


def run(redis: RedisStack, seed: int, reservations: int) -> Figures:
    """One seed, on an empty Redis."""
    redis.flush()
    run = _Run(redis, seed)
    threads = run.figures.threads
    shares = [reservations // threads + (n < reservations % threads) for n in range(threads)]
    with ThreadPoolExecutor(threads + 1) as pool:
        observer = pool.submit(run.observe)
        try:
            for done in [pool.submit(run.thread, n, share) for n, share in enumerate(shares)]:
                done.result()
        finally:
            run.over.set()
        observer.result()
    run.close_the_books()
    return run.figures


def _config(random: Random) -> Config:
    """A tier with one to three windows, of which some are hard; strict, or soft."""
    windows = random.sample(("daily", "weekly", "monthly"), random.randint(1, 3))
    limits: dict[str, Any] = {
        window: {"limit_usd": f"{random.randrange(1, 3000) / 1000}", "hard": random.random() < 0.3}
        for window in windows
    }
    if all(limit["hard"] for limit in limits.values()):
        limits[windows[0]]["hard"] = False
    mode = random.choice(("strict", "strict", "soft"))
    return Config.model_validate({"tiers": {"free": {"limits": limits, "enforcement": mode}}})


def _fits(standing: Standing) -> int:
    """What must be affordable when nothing is held."""
    rooms = [(w.hard, w.room_nano(standing.counters[name])) for name, w in standing.limits.items()]
    allowance = max(min(room for hard, room in rooms if not hard), 0)
    left = allowance + sum(lot.remaining_nano for lot in standing.lots)
    return min([left, *(max(room, 0) for hard, room in rooms if hard)])
