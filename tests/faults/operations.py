"""What a product asks of the ledger. Each operation keeps its id and content however often it is
asked; the clock and the configuration are those of the moment.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import Reserve, Standing, UnknownTierError
from tollkeeper_core.domain.movements import (
    Claim,
    Grant,
    Hold,
    PromptState,
    Settle,
    Settlement,
    SubscriptionState,
)
from tollkeeper_core.domain.periods import Periods, Window, periods_at
from tollkeeper_core.domain.postings import (
    Posting,
    claim_postings,
    grant_postings,
    settlement_postings,
)

from tests.faults.model import FaultModel
from tests.support.ledger_model import Effect

TTL_MS = 600_000
PACK = "starter"


@dataclass(frozen=True, slots=True)
class Moment:
    """What the product knows when it asks: the clock, and the configuration that it read."""

    user: str
    now_ms: int
    config: int
    version: str
    configs: Sequence[Config]

    def periods(self, at_ms: int) -> Periods:
        return periods_at(self.configs[self.config].settings.calendar, at_ms)


class Call(ABC):
    """One asking of one operation."""

    @abstractmethod
    def send(self, store: RedisStore) -> Any:
        """Ask. Raises what the store raises."""

    def effect(self, model: FaultModel, body: bytes) -> None:
        """Do to the model what the request with this body does at the server: here nothing."""
        return

    def check(self, model: FaultModel, answer: Any) -> list[list[Posting]]:
        """Hold the answer against the model, which had the effect; the sets of postings."""
        return []


class Operation(ABC):
    """Something that is asked until it is answered, and then once more."""

    @abstractmethod
    def call(self, moment: Moment) -> Call: ...


@dataclass(frozen=True)
class Check(Operation):
    rid: str
    amount: int
    said: str | None

    def call(self, moment: Moment) -> Call:
        now = moment.now_ms
        periods = moment.periods(now)
        return _Check(
            Reserve(moment.user, self.rid, self.amount, self.said, periods, now, now + TTL_MS),
            moment,
        )


@dataclass(frozen=True)
class _Check(Call):
    request: Reserve
    moment: Moment

    def send(self, store: RedisStore) -> Any:
        try:
            return store.reserve(self.request, self.moment.version)
        except UnknownTierError as error:
            return error

    def effect(self, model: FaultModel, body: bytes) -> None:
        model.got_reserve(self.request, self.moment.config)

    def check(self, model: FaultModel, answer: Any) -> list[list[Posting]]:
        if isinstance(answer, UnknownTierError):
            assert self.request.tier not in self.moment.configs[self.moment.config].tiers
            return []
        rid = self.request.reservation_id
        got = (answer.admitted, answer.held_nano, answer.affordable_nano)
        assert got == model.answers[rid], f"{rid}: {got}, model {model.answers[rid]}"
        assert answer.now_ms == model.checked_at[rid], f"{rid}: not the first answer"
        assert answer.period_ids == model.holds[rid].periods
        assert answer.warned == model.warned[rid], f"{rid}: {answer.warned}"
        return []


@dataclass(frozen=True)
class Charge:
    """One call's usage event."""

    event: str
    cost: int
    rid: str | None
    at_ms: int


@dataclass(frozen=True)
class Settles(Operation):
    """One event, or a batch in one pipeline."""

    charges: tuple[Charge, ...]

    def call(self, moment: Moment) -> Call:
        requests = [
            Settle(moment.user, c.event, c.cost, c.rid, moment.periods(c.at_ms), moment.now_ms)
            for c in self.charges
        ]
        return _Settles(requests, moment)


@dataclass(frozen=True)
class _Settles(Call):
    requests: list[Settle]
    moment: Moment

    def send(self, store: RedisStore) -> Any:
        answers = store.settle(self.requests, self.moment.version)
        for answer in answers:
            if not isinstance(answer, Settlement):
                raise answer
        return answers

    def effect(self, model: FaultModel, body: bytes) -> None:
        for request in self.requests:
            model.got_settle(request, self.moment.config)

    def check(self, model: FaultModel, answer: Any) -> list[list[Posting]]:
        for request, got in zip(self.requests, answer, strict=True):
            charge = model.charges[request.event_id]
            seen = (got.event_id, got.cost_nano, got.allowance_nano, got.overrun_nano)
            parts = (dict(got.lots_nano), dict(got.expired_nano), got.period_ids, got.settled_ms)
            expected = (request.event_id, charge.cost, charge.allowance, charge.overrun)
            at_ms = model.settled_at[request.event_id]
            more = (charge.lots, charge.expired, charge.periods, at_ms)
            assert seen == expected, f"{seen}, model {expected}"
            assert parts == more, f"{request.event_id}: {parts}, model {more}"
        return [settlement_postings(got) for got in answer]


@dataclass(frozen=True)
class Purchase(Operation):
    name: str
    granted: int
    paid: int
    currency: str
    expires_ms: int | None
    prompt: str | None

    def call(self, moment: Moment) -> Call:
        bought = (self.name, PACK, self.granted, self.paid, self.currency, self.expires_ms)
        return _Purchase(Grant(moment.user, *bought, self.prompt, moment.now_ms))


@dataclass(frozen=True)
class _Purchase(Call):
    request: Grant

    def send(self, store: RedisStore) -> Any:
        return store.grant(self.request)

    def effect(self, model: FaultModel, body: bytes) -> None:
        model.got_grant(self.request)

    def check(self, model: FaultModel, answer: Any) -> list[list[Posting]]:
        name = self.request.purchase_id
        lot = model.lots[name]
        got = (answer.repaid_nano, answer.granted_ms)
        expected = (lot.repaid, lot.at_ms)
        assert got == expected, f"{name}: {got}, model {expected}"
        return [grant_postings(answer)]


@dataclass(frozen=True)
class Claims(Operation):
    name: str
    claim: str
    version: tuple[int, int]
    taken: int
    hold: Hold

    def call(self, moment: Moment) -> Call:
        what = (self.name, self.claim, self.version, self.taken, self.hold)
        return _Claims(Claim(moment.user, *what, moment.now_ms))


@dataclass(frozen=True)
class _Claims(Call):
    request: Claim

    def send(self, store: RedisStore) -> Any:
        return store.claim(self.request)

    def effect(self, model: FaultModel, body: bytes) -> None:
        model.got_claim(self.request)

    def check(self, model: FaultModel, answer: Any) -> list[list[Posting]]:
        word = (self.request.version, self.request.taken_minor, int(self.request.hold))
        effects = model.effects.get(self.request.purchase_id, {})
        return _same(answer, effects.get(f"{self.request.claim_id} {word}"))


@dataclass(frozen=True)
class ClaimsAgain(Operation):
    """What follows a purchase that had been claimed before it came."""

    name: str

    def call(self, moment: Moment) -> Call:
        return _ClaimsAgain(moment.user, self.name, moment.now_ms)


@dataclass(frozen=True)
class _ClaimsAgain(Call):
    user: str
    name: str
    now_ms: int

    def send(self, store: RedisStore) -> Any:
        return store.claim_again(self.user, self.name, self.now_ms)

    def effect(self, model: FaultModel, body: bytes) -> None:
        model.got_claim_again(self.name, self.now_ms)

    def check(self, model: FaultModel, answer: Any) -> list[list[Posting]]:
        return _same(answer, model.effects.get(self.name, {}).get("granted"))


def _same(answer: Any, effect: Effect | None) -> list[list[Posting]]:
    got = answer and Effect(
        dict(answer.lots_nano),
        answer.owed_nano,
        answer.revoked_nano,
        answer.refunded_minor,
        answer.frozen,
    )
    # A word on a purchase that is not known yet has no effect, and nothing is frozen by it.
    assert got == effect, f"{got}, model {effect}"
    return [claim_postings(answer)] if answer else []


@dataclass(frozen=True)
class Subscribe(Operation):
    name: str
    tier: str
    until_ms: int
    version: tuple[int, int]
    prompt: str | None

    def call(self, moment: Moment) -> Call:
        what = (self.name, "plan", self.tier, self.until_ms, self.version)
        return _Subscribe(SubscriptionState(moment.user, *what, self.prompt, moment.now_ms))


@dataclass(frozen=True)
class _Subscribe(Call):
    state: SubscriptionState

    def send(self, store: RedisStore) -> Any:
        store.apply_subscription(self.state)

    def effect(self, model: FaultModel, body: bytes) -> None:
        model.got_subscription(self.state)


@dataclass(frozen=True)
class Publish(Operation):
    config: int
    read_ms: int

    def call(self, moment: Moment) -> Call:
        return _Publish(moment.configs[self.config], self.config, self.read_ms)


@dataclass(frozen=True)
class _Publish(Call):
    config: Config
    index: int
    read_ms: int

    def send(self, store: RedisStore) -> Any:
        return store.publish(self.config, self.read_ms)

    def effect(self, model: FaultModel, body: bytes) -> None:
        model.got_publish(self.index, self.read_ms)


@dataclass(frozen=True)
class Load(Call):
    """The product reads the configuration again."""

    def send(self, store: RedisStore) -> Any:
        return store.load()

    def check(self, model: FaultModel, answer: Any) -> list[list[Posting]]:
        assert answer is not None
        assert answer[1] == model.config
        return []


@dataclass(frozen=True)
class Prompt(Operation):
    """What has become of one showing of the upgrade page."""

    name: str

    def call(self, moment: Moment) -> Call:
        return _Prompt(moment.user, self.name)


@dataclass(frozen=True)
class _Prompt(Call):
    user: str
    name: str

    def send(self, store: RedisStore) -> Any:
        return store.prompt_state(self.user, self.name)

    def check(self, model: FaultModel, answer: Any) -> list[list[Posting]]:
        paid = self.name in model.paid_prompts
        assert answer == (PromptState.PAID if paid else PromptState.OPEN), f"{self.name}: {answer}"
        return []


@dataclass(frozen=True)
class Look(Operation):
    """The user's standing, in the periods of ``at_ms``."""

    at_ms: int

    def call(self, moment: Moment) -> Call:
        return _Look(moment, moment.periods(self.at_ms))


@dataclass(frozen=True)
class _Look(Call):
    moment: Moment
    periods: Periods

    def send(self, store: RedisStore) -> Any:
        moment = self.moment
        return store.read(moment.user, None, self.periods, moment.now_ms, moment.version)

    def check(self, model: FaultModel, answer: Any) -> list[list[Posting]]:
        compare(model, answer, self.periods, self.moment.now_ms)
        return []


def compare(model: FaultModel, standing: Standing, periods: Periods, now_ms: int) -> None:
    """Every figure of a standing against the model, to the nano."""
    tier = model.tier(None, now_ms)
    assert model.config.tiers[standing.tier].rank == tier.rank, f"tier {standing.tier}"
    for window, period in zip(Window, periods.ids, strict=True):
        counters = standing.counters[window]
        got = (counters.allowance_nano, counters.total_nano, counters.calls)
        held = (counters.held_allowance_nano, counters.held_total_nano)
        spent = [model.settled([period], total=total) for total in (False, True)]
        expected = (*spent, model.calls([period]))
        open_ = (
            model.held([period], now_ms, total=False),
            model.held([period], now_ms, total=True),
        )
        assert got == expected, f"settled in {period}: {got}, model {expected}"
        assert held == open_, f"held in {period}: {held}, model {open_}"
    credits_held = sum(hold.credits for hold in model.open_holds(now_ms))
    assert standing.held_credits_nano == credits_held, f"credits held, model {credits_held}"
    left = {lot.id: lot.remaining_nano for lot in standing.lots}
    expected_lots = {lot.id: lot.remaining for lot in model.lots.values() if lot.remaining}
    assert left == expected_lots, f"lots {left}, model {expected_lots}"
