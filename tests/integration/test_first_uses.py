"""The first use of what a prompt sold: told once, by whichever call it is, through any death."""

from typing import Any

import pytest
from tollkeeper_core import bootstrap, telemetry
from tollkeeper_core.adapters.record import S3Record
from tollkeeper_core.adapters.redis_funnel import RedisFunnel
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.funnel import Step, StepKind
from tollkeeper_core.domain.ledger import LedgerUnavailableError
from tollkeeper_core.domain.movements import Cause, Claim, Grant, Hold, Settle, Settlement
from tollkeeper_core.domain.periods import Calendar, periods_at
from tollkeeper_core.domain.postings import grant_postings, settlement_postings
from tollkeeper_core.services.settle import Failed
from tollkeeper_core.services.tell_first_uses import TellFirstUses

from functions.log_usage.app import handler
from tests.support.function_server import Context
from tests.support.record import BUCKET, owner, s3
from tests.support.redis_stack import RedisStack

NOON_MS = 1_795_608_000_000  # 2026-11-25T12:00:00Z
DAY_MS = 86_400_000
CENT = 10_000_000
CONFIG = Config.model_validate({"tiers": {"free": {"limits": {"daily": {"limit_usd": "0.10"}}}}})
CAUSE = Cause("prm_1", "daily", "free", "copy:short")


class Shop:
    """A store with a configuration, and what was told."""

    def __init__(self, store: RedisStore) -> None:
        self.store = store
        self.publish()
        self.told: list[Step] = []
        self.tell = TellFirstUses(RedisFunnel(store), self.told.extend)

    def publish(self) -> None:
        self.store.publish(CONFIG, 1)
        loaded = self.store.load()
        assert loaded is not None
        self.version = loaded[0]

    def buy(self, purchase: str, cents: int = 20, cause: Cause | None = CAUSE, **more: Any) -> Any:
        terms = {"expires_ms": None, "prompt_id": None, "now_ms": NOON_MS} | more
        grant = Grant("ada", purchase, "starter", cents * CENT, 500, "usd", cause=cause, **terms)
        return self.store.grant(grant)

    def call(self, event: str, cents: int, at_ms: int = NOON_MS) -> Settlement:
        request = Settle("ada", event, cents * CENT, None, periods_at(Calendar(), at_ms), at_ms)
        (settled,) = self.store.settle([request], self.version)
        assert isinstance(settled, Settlement)
        return settled


@pytest.fixture
def shop(store: RedisStore) -> Shop:
    return Shop(store)


def test_the_call_that_uses_it_first_says_so_and_no_other(shop: Shop) -> None:
    shop.buy("pi_1")
    assert shop.call("e1", 10).begun == ()  # the tier pays for it
    first = shop.call("e2", 5)
    assert (first.begun, shop.call("e3", 5).begun) == (("pi_1",), ())
    assert shop.call("e2", 5).begun == ("pi_1",)  # again, as it was
    assert shop.call("e2", 5).replayed


def test_what_is_told_of_it(shop: Shop) -> None:
    shop.buy("pi_1")
    shop.tell([shop.call("e1", 11), Failed("no price")])
    assert shop.told == [
        Step(
            kind=StepKind.CREDITS_USED,
            prompt_id="prm_1",
            user_id="ada",
            at_ms=NOON_MS,
            trigger="daily",
            tier="free",
            offer="starter",
            variant="copy:short",
        )
    ]
    shop.tell([shop.call("e1", 11)])
    assert shop.told[1] == shop.told[0]
    shop.tell([shop.call("e2", 1)])
    assert len(shop.told) == 2


def test_a_call_may_begin_several(shop: Shop) -> None:
    for n in (1, 2, 3):
        shop.buy(f"pi_{n}", 5, Cause(f"prm_{n}", "daily", "free"), now_ms=NOON_MS + n)
    shop.tell([shop.call("e1", 18)])
    assert [step.prompt_id for step in shop.told] == ["prm_1", "prm_2"]


def test_what_no_prompt_sold_begins_nothing(shop: Shop) -> None:
    shop.buy("pi_1", 5, None)
    shop.buy("pi_2", 5, now_ms=NOON_MS + 1)
    assert shop.call("e1", 12).begun == ()
    assert shop.call("e2", 5).begun == ("pi_2",)


def test_taken_back_and_given_again_it_is_still_not_used(shop: Shop) -> None:
    shop.buy("pi_1")
    for version, taken in ((1, 500), (2, 0)):
        shop.store.claim(Claim("ada", "pi_1", "re_1", (version, 0), taken, Hold.NONE, NOON_MS))
    assert shop.call("e1", 11).begun == ("pi_1",)


def test_what_lapsed_is_not_used_any_more_and_leaves_nothing(shop: Shop, redis: RedisStack) -> None:
    shop.buy("pi_1", expires_ms=NOON_MS + 1)
    assert redis.direct.hget("tk:{ada}", "unused") == b"pi_1"
    assert shop.call("e1", 30, NOON_MS + DAY_MS).begun == ()
    assert redis.direct.hget("tk:{ada}", "unused") == b""


def test_who_was_forgotten_meanwhile_is_not_told_of(shop: Shop, redis: RedisStack) -> None:
    shop.buy("pi_1")
    settled = shop.call("e1", 11)
    redis.flush()
    shop.tell([settled])
    assert shop.told == []


def test_a_rebuild_brings_back_what_is_not_used_and_what_was_told(
    shop: Shop, redis: RedisStack
) -> None:
    with s3() as client, owner(redis, client, CONFIG, NOON_MS + 1) as admin:
        record = S3Record(client, BUCKET)
        for n, life_ms in ((1, None), (2, None), (3, NOON_MS + 1)):
            bought = shop.buy(f"pi_{n}", 5, expires_ms=life_ms, now_ms=NOON_MS - n)
            record.write(grant_postings(bought))
        for event, cents in (("e1", 11), ("e2", 5)):  # of what lapses first, and of the oldest
            record.write(settlement_postings(shop.call(event, cents)))
        assert redis.direct.hget("tk:{ada}", "unused") == b"pi_1"
        assert admin.verify() == []
        redis.flush()

        admin.rebuild()

        assert redis.direct.hget("tk:{ada}", "unused") == b"pi_1"
        assert admin.verify() == []
        shop.publish()
        shop.tell([shop.call("e1", 11)])  # its delivery had died before it told
        assert [step.prompt_id for step in shop.told] == ["prm_1"]
        redis.direct.hset("tk:{ada}", "unused", "pi_1,pi_2")
        assert [one.what for one in admin.verify()] == ["purchase pi_2"]


def test_one_that_is_not_told_comes_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.buy("pi_1")
    shop.call("e0", 10)
    down = [True]

    def tell(steps: list[Step]) -> None:
        if down:
            raise LedgerUnavailableError("down")
        shop.told.extend(steps)

    def settle(bodies: list[str]) -> list[Settlement]:
        return [shop.call(body, 1) for body in bodies]

    monkeypatch.setattr(telemetry.metrics.provider, "namespace", "Tollkeeper")
    monkeypatch.setattr(bootstrap, "settle_usage", lambda _count: settle)
    first_uses = TellFirstUses(RedisFunnel(shop.store), tell)
    monkeypatch.setattr(bootstrap, "tell_first_uses", lambda _count: first_uses)
    event = {"Records": [{"messageId": "m1", "body": "e1"}]}
    context: Any = Context()
    with pytest.raises(LedgerUnavailableError):
        handler(event, context)
    down.clear()
    assert handler(event, context) == {"batchItemFailures": []}
    assert [step.prompt_id for step in shop.told] == ["prm_1"]
