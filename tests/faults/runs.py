"""One run: one seed, one fresh user, some operations through a proxy that loses and repeats."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any, cast
from unittest.mock import patch
from zoneinfo import available_timezones

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters import redis_store
from tollkeeper_core.adapters.redis_http import LeanRedis, PooledHttp
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain import config
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import LedgerUnavailableError, StaleConfigError
from tollkeeper_core.domain.postings import Posting

from tests.faults.model import FaultModel
from tests.faults.operations import (
    TTL_MS,
    Call,
    Charge,
    Check,
    Load,
    Look,
    Moment,
    Operation,
    Publish,
    Purchase,
    Refund,
    Settles,
    Subscribe,
)
from tests.faults.proxy import ALONE, TAG, FaultProxy
from tests.faults.schedule import Fault
from tests.support.ledger_model import DAY_MS
from tests.support.redis_stack import RedisStack, redis_stack

START_MS = 1_793_000_000_000  # 2026-10-26, days before a month's end
# Counters of a day are kept for 35; the model's for ever.
END_MS = START_MS + 33 * DAY_MS
CENT = 10_000_000
DEADLINE_S = 0.1
PATIENCE_S = 10.0
SCRIPTS = ("reserve", "settle", "grant", "revoke", "subscribe", "read", "publish")
ATTEMPTS_MAX = 50


def _limit(cents: int, *, hard: bool = False) -> dict[str, Any]:
    return {"limit_usd": f"{cents // 100}.{cents % 100:02d}", "hard": hard}


def _config(zone: str, daily: int, *, opened: bool) -> Config:
    tiers: dict[str, Any] = {
        "free": {"limits": {"daily": _limit(daily), "weekly": _limit(90), "monthly": _limit(200)}},
        "capped": {"rank": 1, "limits": {"daily": _limit(70, hard=True), "monthly": _limit(100)}},
        "pro": {"rank": 5, "enforcement": "soft", "limits": {"monthly": _limit(300)}},
    }
    if opened:
        tiers["open"] = {"rank": 9, "limits": {}}
    return Config.model_validate({"settings": {"time_zone": zone}, "tiers": tiers})


CONFIGS = (
    _config("UTC", 50, opened=True),
    _config("America/New_York", 50, opened=True),
    _config("Europe/Berlin", 20, opened=False),
)


class FaultRunError(AssertionError):
    """Ledger and model disagree. The message holds the seed and the log of the run."""

    def __init__(self, seed: int, reason: str, log: list[str]) -> None:
        lines = "\n".join(log)
        super().__init__(f"seed {seed}: {reason}\n{lines}\nseed {seed}: {reason}")
        self.seed = seed
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run had: operations asked, calls of the product, faults by kind, effects whose
    answer was lost. ``late_machine``: calls that the machine made miss their deadline.
    """

    operations: int
    calls: int
    repeats: int
    faults: Counter[Fault]
    lost: int
    late_machine: int


class World:
    """A Redis, its gateway, the proxy, and the product's store behind it."""

    def __init__(self, stack: RedisStack, proxy: FaultProxy) -> None:
        self.stack = stack
        self.proxy = proxy
        self.client = LeanRedis(proxy.url, stack.token, DEADLINE_S)
        self.store = RedisStore(self.client)
        self.overtaken = False

    def ask(self, tag: str, call: Call) -> Any:
        """One call, all of whose requests carry the tag."""
        self.client._headers[TAG] = tag
        return call.send(self.store)

    def run(self, seed: int) -> Figures:
        """Raises FaultRunError."""
        self.stack.flush()
        # What the server knows from other runs must not decide how many requests this one takes.
        with self.stack.direct.pipeline(transaction=False) as pipeline:
            for name in SCRIPTS:
                pipeline.script_load(cast("Any", redis_store).script(name).text)
            pipeline.execute()
        self.proxy.begin(seed)
        run = _Run(seed, self)
        try:
            return run.play()
        except Exception as error:  # whatever escapes the store is a finding too
            reason = f"{type(error).__name__}: {error}"
            raise FaultRunError(seed, reason, self.proxy.log) from error
        finally:
            self.come_to_rest()

    def come_to_rest(self) -> None:
        """No request is under way any more, whoever had stopped waiting for it."""
        self.proxy.calm()
        self.hang_up()
        if self.overtaken:
            # Connections are accepted in their order: when this one is, all before it were.
            barrier = LeanRedis(self.proxy.url, self.stack.token, PATIENCE_S)
            RedisStore(barrier).load()
            cast("PooledHttp", barrier._http).close()
            self.overtaken = False
        self.proxy.rest()

    def hang_up(self) -> None:
        """Close the product's connections."""
        cast("PooledHttp", self.client._http).close()


@contextmanager
def world() -> Iterator[World]:
    """A world of its own."""
    # Each configuration that is read has its time zone looked up in a list of the machine's zone
    # files, which takes 8 ms: a tenth of a run.
    zones = patch.object(config, "available_timezones", cache(available_timezones))
    with zones, redis_stack() as stack, FaultProxy(stack.url) as proxy:
        opened = World(stack, proxy)
        yield opened
        opened.come_to_rest()


class _Run:
    def __init__(self, seed: int, world: World) -> None:
        self.world = world
        self.proxy = world.proxy
        self.random = Random(f"{seed}/operations")
        self.user = f"run:{seed}"
        self.now_ms = START_MS
        self.seen_ms = {START_MS}
        self.model = FaultModel(CONFIGS[0], configs=CONFIGS)
        self.config, self.version = 0, ""
        self.operations: list[Operation] = []
        self.attempts: Counter[int] = Counter()
        self.pending: list[int] = []
        self.calls: dict[str, Call] = {}
        self.sets: dict[str, list[str]] = {}
        self.amounts: dict[str, dict[str, int]] = {}
        self.late_machine = 0

    # -- the product ------------------------------------------------------------------------------

    def play(self) -> Figures:
        random = self.random
        self.until_answered(self.add(Publish(0, START_MS)))
        while not self.load(f"read{self.attempts[0]}"):
            self.attempts[0] += 1
        for _ in range(random.randint(10, 30)):
            self.pass_time()
            self.ask(self.add(self.next_operation()))
            if self.pending and random.random() < 0.35:
                self.ask(self.pending.pop(random.randrange(len(self.pending))))
        asked = len(self.operations)
        self.proxy.calm()
        self.everything_once_more()
        self.proxy.deliver_late()
        self.world.come_to_rest()
        self.drain()
        self.compare()
        return Figures(
            operations=asked,
            calls=sum(self.attempts.values()),
            repeats=sum(self.attempts.values()) - len(self.operations),
            faults=self.proxy.counts,
            lost=self.proxy.lost,
            late_machine=self.late_machine,
        )

    def add(self, operation: Operation) -> int:
        self.operations.append(operation)
        n = len(self.operations) - 1
        self.proxy.log.append(f"{n:>8}: {operation}")
        return n

    def ask(self, n: int) -> None:
        """Ask; where there is no answer, at once again, or later."""
        for _ in range(3):
            if self.attempt(n):
                return
            if self.random.random() < 0.5:
                break
        self.pending.append(n)

    def attempt(self, n: int) -> bool:
        """Whether an answer came. A configuration that has changed is read, and n asked again."""
        for _ in range(4):
            self.attempts[n] += 1
            tag = f"{n}.{self.attempts[n]}"
            moment = Moment(self.user, self.now_ms, self.config, self.version, CONFIGS)
            try:
                answer = self.call(tag, self.operations[n].call(moment))
            except LedgerUnavailableError:
                return False
            except StaleConfigError:
                if not self.load(tag):
                    return False
                continue
            self.follow(n, answer)
            return True
        return False

    def load(self, tag: str) -> bool:
        try:
            self.version, loaded = self.call(f"{tag}c", Load())
        except LedgerUnavailableError:
            return False
        self.config = CONFIGS.index(loaded)
        return True

    def call(self, tag: str, call: Call) -> Any:
        """The answer, which the model agrees with. Raises what the store raises."""
        self.calls[tag] = self.calls[tag + ALONE] = call
        try:
            answer = self.world.ask(tag, call)
        except LedgerUnavailableError:
            if self.proxy.failed(tag):
                raise
            # The machine was too slow for the deadline. So that the run goes on as its seed says,
            # the call is made again, and nothing is drawn for it.
            self.late_machine += 1
            self.world.overtaken = True
            answer = self.alone(tag + ALONE, call)
        finally:
            self.drain()
        for postings in call.check(self.model, answer):
            self.record(postings)
        return answer

    def alone(self, tag: str, call: Call) -> Any:
        for _ in range(ATTEMPTS_MAX):
            try:
                return self.world.ask(tag, call)
            except LedgerUnavailableError:
                self.late_machine += 1
        raise RuntimeError(f"no answer in {ATTEMPTS_MAX} attempts without any fault")

    def until_answered(self, n: int) -> None:
        for _ in range(ATTEMPTS_MAX):
            if self.attempt(n):
                return
        raise RuntimeError(f"no answer in {ATTEMPTS_MAX} attempts")

    def follow(self, n: int, answer: Any) -> None:
        """A purchase that had been refunded before it came: the refund counts now."""
        operation = self.operations[n]
        if isinstance(operation, Purchase) and answer.refunded_minor:
            refund = Refund(operation.name, answer.refunded_minor)
            if refund not in self.operations or self.operations.index(refund) < n:
                self.pending.append(self.add(refund))

    def everything_once_more(self) -> None:
        n = 0
        while n < len(self.operations):  # some are added on the way
            self.until_answered(n)
            n += 1

    # -- what it does -----------------------------------------------------------------------------

    def pass_time(self) -> None:
        random = self.random
        if random.random() < 0.55:
            return
        day = datetime.fromtimestamp(self.now_ms // 1000, UTC).replace(hour=0, minute=0, second=0)
        edge = random.choice([-1, 0, 1])
        kind = random.random()
        if kind < 0.45:
            then_ms = self.now_ms + random.choice([1, 1_000, 60_000])
        elif kind < 0.75:
            then_ms = self.now_ms + TTL_MS + edge
        elif kind < 0.95:
            then_ms = _ms(day + timedelta(days=1)) + edge
        else:
            then_ms = _ms((day.replace(day=1) + timedelta(days=32)).replace(day=1)) + edge
        if self.now_ms < then_ms < END_MS:
            self.now_ms = then_ms
            self.seen_ms.add(then_ms)

    def next_operation(self) -> Operation:
        makers: list[tuple[int, Callable[[], Operation]]] = [
            (30, self.check),
            (22, lambda: Settles((self.charge(),))),
            (10, self.batch),
            (10, self.purchase),
            (9, self.refund),
            (6, self.subscription),
            (5, self.publish),
            (5, lambda: Look(self.now_ms)),
            (3, self.forgotten_scripts),
        ]
        (maker,) = self.random.choices([m for _, m in makers], [w for w, _ in makers])
        return maker()

    def amount(self) -> int:
        random = self.random
        return random.choice([0, 1, CENT, 50 * CENT, *(random.randint(0, 60 * CENT),) * 6])

    def check(self) -> Operation:
        said = self.random.choice([None, None, None, "free", "capped", "pro", "open"])
        amount = self.amount()
        if self.random.random() < 0.3:  # what fits, and one nano beside it
            periods = Moment(self.user, 0, self.config, "", CONFIGS).periods(self.now_ms)
            known = said if said in self.model.config.tiers else None
            fits = self.model.affordable(known, periods, self.now_ms)
            amount = max(fits + self.random.choice([-1, 0, 1]), 0) if fits < 1_000 * CENT else 1
        return Check(f"r{len(self.operations)}", amount, said)

    def charge(self, place: int = 0) -> Charge:
        rids = [o.rid for o in self.operations if isinstance(o, Check)]
        rid = self.random.choice(rids) if rids and self.random.random() < 0.8 else None
        return Charge(f"e{len(self.operations)}.{place}", self.amount(), rid, self.now_ms)

    def batch(self) -> Operation:
        """Some events, of which one may come twice, or had come before."""
        random = self.random
        charges = [self.charge(place) for place in range(random.randint(2, 5))]
        old = [c for o in self.operations if isinstance(o, Settles) for c in o.charges]
        charges.append(random.choice([*charges, *old]))
        random.shuffle(charges)
        return Settles(tuple(charges))

    def purchase(self) -> Operation:
        random = self.random
        early = [o.name for o in self.operations if isinstance(o, Refund)]
        bought = {o.name for o in self.operations if isinstance(o, Purchase)}
        names = [n for n in early if n not in bought] + [f"cs_{len(self.operations)}"]
        life = random.choice([None, None, 1, TTL_MS, DAY_MS, 40 * DAY_MS])
        granted = random.choice([random.randint(1, 20 * CENT), random.randint(1, 300 * CENT)])
        currency = random.choice(["usd", "eur"])
        expires_ms = self.now_ms + life if life else None
        return Purchase(names[0], granted, random.randint(1, 2_000), currency, expires_ms)

    def refund(self) -> Operation:
        bought = [o.name for o in self.operations if isinstance(o, Purchase)]
        name = self.random.choice([*bought, *bought, f"cs_early{len(self.operations)}"])
        return Refund(name, self.random.randint(0, 2_500))

    def subscription(self) -> Operation:
        random = self.random
        tier, kind = random.choice(["capped", "pro", "open"]), random.choice([0, 1, 1, 1, 2])
        until = random.choice([0, TTL_MS, DAY_MS, 40 * DAY_MS]) if kind != 2 else 0
        name, version = random.choice(["sub_1", "sub_2"]), (random.randint(0, 5), kind)
        return Subscribe(name, tier, self.now_ms + until if until else 0, version)

    def publish(self) -> Operation:
        return Publish(self.random.randrange(len(CONFIGS)), self.now_ms)

    def forgotten_scripts(self) -> Operation:
        """Redis was started anew, with its data and without its scripts."""
        self.world.stack.flush_scripts()
        self.proxy.log.append(f"{'':>8}  the server forgets its scripts")
        return Look(self.now_ms)

    # -- the model --------------------------------------------------------------------------------

    def drain(self) -> None:
        """Do to the model what requests did to the ledger, in their order at the server."""
        for effect in self.proxy.drain():
            if effect.tag in self.calls and b"NOSCRIPT" not in effect.answer:
                self.calls[effect.tag].effect(self.model, effect.body)

    def record(self, postings: list[Posting]) -> None:
        for asset in {p.asset for p in postings}:
            total = sum(p.amount for p in postings if p.asset == asset)
            assert total == 0, f"{postings[0].set_id}: {asset} sums to {total}"
        by_set: dict[str, list[Posting]] = {}
        for posting in postings:
            by_set.setdefault(posting.set_id, []).append(posting)
        for set_id, lines in by_set.items():
            texts = [p.as_line() for p in lines]
            assert self.sets.setdefault(set_id, texts) == texts, f"{set_id} has two contents"
            amounts: dict[str, int] = {}
            for p in lines:
                amounts[p.account] = amounts.get(p.account, 0) + p.amount
            self.amounts[set_id] = {account: n for account, n in amounts.items() if n}

    def compare(self) -> None:
        """Postings, every period that was ever met, and what no reading shows."""
        told = {set_id: lines for set_id, lines in self.amounts.items() if lines}
        expected = self.model.sets(self.user)
        differ = {s for s in told | expected if told.get(s) != expected.get(s)}
        shown = [(s, told.get(s), expected.get(s)) for s in sorted(differ)]
        assert not differ, f"postings (set, told, model): {shown}"
        moment = Moment(self.user, self.now_ms, self.config, self.version, CONFIGS)
        instants = {moment.periods(at_ms).ids: at_ms for at_ms in sorted(self.seen_ms)}
        for at_ms in instants.values():
            self.until_answered(self.add(Look(at_ms)))
        direct, user = self.world.stack.direct, self.user
        owed: Any = direct.hget(keys.user(user), "owed")
        assert int(owed or 0) == self.model.owed, f"owed {owed!r}, model {self.model.owed}"
        open_ = sum(h.allowance + h.credits > 0 for h in self.model.open_holds(self.now_ms))
        holds: Any = direct.zcount(keys.holds(user), f"({self.now_ms}", "+inf")
        assert holds == open_, f"{holds} holds open, model {open_}"


def _ms(at: datetime) -> int:
    return int(at.timestamp()) * 1000
