"""One run: one seed, one fresh user, some operations through a proxy that loses and repeats."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, cast

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters import redis_store
from tollkeeper_core.adapters.redis_http import LeanRedis, PooledHttp
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.ledger import LedgerUnavailableError, StaleConfigError
from tollkeeper_core.domain.postings import Posting

from tests.faults.drawing import CONFIGS, START_MS, Draw
from tests.faults.model import FaultModel
from tests.faults.operations import (
    Call,
    ClaimsAgain,
    Load,
    Look,
    Moment,
    Operation,
    Publish,
    Purchase,
)
from tests.faults.proxy import ALONE, TAG, FaultProxy
from tests.faults.schedule import Fault
from tests.support.redis_stack import RedisStack, redis_stack

DEADLINE_S = 0.1
#: A deadline that even a busy machine keeps: then the seed alone decides.
REPLAY_DEADLINE_S = 1.0
PATIENCE_S = 10.0
SCRIPTS = ("reserve", "settle", "grant", "claim", "subscribe", "read", "publish")
ATTEMPTS_MAX = 50


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

    def __init__(
        self, stack: RedisStack, proxy: FaultProxy, deadline_s: float = DEADLINE_S
    ) -> None:
        self.stack = stack
        self.proxy = proxy
        self.client = LeanRedis(proxy.url, stack.token, deadline_s)
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
            if run.late_machine:  # may be what it takes, and a replay has none of it
                reason += f" (deadlines missed by the machine: {run.late_machine})"
            raise FaultRunError(seed, reason, self.proxy.log) from error
        finally:
            self.proxy.calm()
            self.come_to_rest()

    def come_to_rest(self) -> None:
        """No request is under way any more, whoever had stopped waiting for it."""
        cast("PooledHttp", self.client._http).close()
        if self.overtaken:
            # Connections are accepted in their order: when this one is, all before it were.
            barrier = LeanRedis(self.proxy.url, self.stack.token, PATIENCE_S)
            RedisStore(barrier).load()
            cast("PooledHttp", barrier._http).close()
            self.overtaken = False
        self.proxy.rest()


@contextmanager
def world(deadline_s: float = DEADLINE_S) -> Iterator[World]:
    """A world of its own."""
    with redis_stack() as stack, FaultProxy(stack.url) as proxy:
        opened = World(stack, proxy, deadline_s)
        yield opened
        opened.come_to_rest()


class _Run:
    def __init__(self, seed: int, world: World) -> None:
        self.world = world
        self.proxy = world.proxy
        self.random = Random(f"{seed}/operations")
        self.user = f"run:{seed}"
        self.model = FaultModel(CONFIGS[0], configs=CONFIGS)
        self.config, self.version = 0, ""
        self.draw = Draw(self.random, self.model)
        self.operations = self.draw.operations
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
            self.draw.pass_time()
            if random.random() < 0.03:
                self.forget_scripts()
            self.ask(self.add(self.draw.operation(self.config)))
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

    def forget_scripts(self) -> None:
        """Redis was started anew, with its data and without its scripts."""
        self.world.stack.flush_scripts()
        self.proxy.log.append(f"{'':>8}  the server forgets its scripts")

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
            try:
                answer = self.call(tag, self.operations[n].call(self.moment()))
            except LedgerUnavailableError:
                return False
            except StaleConfigError:
                if not self.load(tag):
                    return False
                continue
            self.follow(n, answer)
            return True
        return False

    def moment(self) -> Moment:
        return Moment(self.user, self.draw.now_ms, self.config, self.version, CONFIGS)

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
            answer = self.alone(tag + ALONE, call)
        finally:
            self.drain()
        for postings in call.check(self.model, answer):
            self.record(postings)
        return answer

    def alone(self, tag: str, call: Call) -> Any:
        for _ in range(ATTEMPTS_MAX):
            self.late_machine += 1
            # What nobody waits for any more must not have its effect beside the next call's.
            self.world.overtaken = True
            self.world.come_to_rest()
            try:
                return self.world.ask(tag, call)
            except LedgerUnavailableError:
                continue
        raise RuntimeError(f"no answer in {ATTEMPTS_MAX} attempts without any fault")

    def until_answered(self, n: int) -> None:
        for _ in range(ATTEMPTS_MAX):
            if self.attempt(n):
                return
        raise RuntimeError(f"no answer in {ATTEMPTS_MAX} attempts")

    def follow(self, n: int, answer: Any) -> None:
        """A purchase on which something was claimed: that counts now, if it has not before."""
        operation = self.operations[n]
        if isinstance(operation, Purchase) and answer.claimed:
            again = ClaimsAgain(operation.name)
            if again not in self.operations or self.operations.index(again) < n:
                self.pending.append(self.add(again))

    def everything_once_more(self) -> None:
        n = 0
        while n < len(self.operations):  # some are added on the way
            self.until_answered(n)
            n += 1

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
        moment = self.moment()
        instants = {moment.periods(at_ms).ids: at_ms for at_ms in sorted(self.draw.seen_ms)}
        for at_ms in instants.values():
            self.until_answered(self.add(Look(at_ms)))
        direct, user = self.world.stack.direct, self.user
        owed: Any = direct.hget(keys.user(user), "owed")
        assert int(owed or 0) == self.model.owed, f"owed {owed!r}, model {self.model.owed}"
        open_ = sum(h.allowance + h.credits > 0 for h in self.model.open_holds(self.draw.now_ms))
        holds: Any = direct.zcount(keys.holds(user), f"({self.draw.now_ms}", "+inf")
        assert holds == open_, f"{holds} holds open, model {open_}"
