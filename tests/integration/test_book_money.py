"""Stripe's balance transactions in the owner's books: each once, whatever happens in between."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tollkeeper_core.adapters.books_bench import BooksBench
from tollkeeper_core.adapters.record import S3Record
from tollkeeper_core.adapters.redis_books import RedisBooks
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.ledger import LedgerUnavailableError, NothingPublishedError
from tollkeeper_core.domain.offers import MARK
from tollkeeper_core.domain.purchases import PurchaseLookupError
from tollkeeper_core.services.book_money import BookMoney
from tollkeeper_core.services.config_cache import ConfigCache

from tests.integration.test_webhook_deaths import Killed, killed_at
from tests.support.memory_ledger import MemoryArchive
from tests.support.money import Account, Bookkeeper, calendar_config, transaction
from tests.support.record import BUCKET, owner, quiet, s3
from tests.support.redis_stack import RedisStack
from tests.support.upgrade import STAGE

ZONE = "America/New_York"
NOW_MS = 1_795_700_000_000  # 2026-11-26
MONTHS = ["m:2026-10", "m:2026-11"]


@pytest.fixture
def keeper(store: RedisStore) -> Iterator[Bookkeeper]:
    config = calendar_config(ZONE)
    assert store.publish(config, 1)
    configs = ConfigCache(store.load, lambda: config, lambda: NOW_MS)
    with s3() as client:
        record = S3Record(client, BUCKET)
        yield Bookkeeper(Account(), RedisBooks(store), record, configs, NOW_MS)


def sums(source: Any, *months: str) -> dict[str, int]:
    return {f"{e.month} {e.field}": e.amount for e in source.entries(months or MONTHS)}


def both(keeper: Bookkeeper) -> dict[str, int]:
    """What counters and record agree on."""
    live_ = sums(keeper.books)
    assert sums(BooksBench(keeper.archive, quiet)) == live_  # type: ignore[arg-type]
    return live_


def test_each_kind_has_its_place_and_its_sign(keeper: Bookkeeper) -> None:
    keeper.account.listed = [
        transaction("c", amount_minor=1_000, fee_minor=59),
        transaction("r", category="refund", amount_minor=-300, fee_minor=0),
        transaction("rf", category="refund_failure", amount_minor=300, fee_minor=0),
        transaction("d", category="dispute", amount_minor=-700, fee_minor=1_500),
        transaction("dr", category="dispute_reversal", amount_minor=700, fee_minor=-1_500),
        transaction("cf", category="charge_failure", amount_minor=-50, fee_minor=0),
        transaction("e", amount_minor=250, fee_minor=33, currency="eur"),
        transaction("z", "bob", amount_minor=0, fee_minor=0),
    ]
    done = keeper()
    assert (done.looked_at, done.booked, done.unclear) == (8, 8, [])
    assert {name: n for name, n in both(keeper).items() if n} == {
        "m:2026-11 paid|usd|ada": 1_000,
        "m:2026-11 refunded|usd|ada": 50,
        "m:2026-11 fee|usd|ada": 59,
        "m:2026-11 paid|eur|ada": 250,
        "m:2026-11 fee|eur|ada": 33,
    }
    assert keeper().booked == 0


def test_whose_it_is_says_the_charge_or_else_its_purchase(keeper: Bookkeeper) -> None:
    terms = {MARK: STAGE, "user_id": "bob"}
    keeper.account.bought = {"pi_1": terms, "pi_2": {MARK: "another", "user_id": "bob"}}
    keeper.account.payments = {"ch_9": "pi_1"}
    keeper.account.listed = [
        transaction("own"),
        transaction("plan", None, payment_intent_id="pi_1"),
        transaction("refund", None, category="refund", amount_minor=-1, charge_id="ch_9"),
        transaction("other stage", None, payment_intent_id="pi_2"),
        transaction("other product", None, payment_intent_id="pi_3"),
        transaction("no payment", None),
        transaction("nameless", None, metadata={MARK: STAGE}),
        transaction("long", "u" * 129),
    ]
    done = keeper()
    assert (done.booked, done.unclear) == (3, ["txn_nameless", "txn_long"])
    assert sorted(name.split("|", 2)[2] for name in both(keeper)) == ["ada"] * 2 + ["bob"] * 3


def test_what_is_nobodys_is_looked_up_for_a_day(keeper: Bookkeeper) -> None:
    """Meanwhile Stripe may tie the payment to its invoice."""
    old_s = NOW_MS // 1000 - 86_401
    keeper.account.listed = [
        transaction("new", None, payment_intent_id="pi_1", created_s=NOW_MS // 1000 - 60),
        transaction("old", None, payment_intent_id="pi_2", created_s=old_s),
    ]
    keeper()
    keeper()
    assert keeper.account.lookups == 3
    keeper.account.bought["pi_1"] = {MARK: STAGE, "user_id": "ada"}
    assert keeper().booked == 1


def test_the_month_is_the_owners_and_stays_what_it_was(
    keeper: Bookkeeper, store: RedisStore
) -> None:
    at_s = 1_793_505_540  # 2026-10-31T23:59 in New York, November in UTC
    keeper.account.listed = [transaction("c", created_s=at_s)]
    keeper()
    assert store.publish(calendar_config("UTC"), 2)
    keeper.configs = ConfigCache(store.load, lambda: calendar_config("UTC"), lambda: NOW_MS)
    keeper.account.listed.append(transaction("d", created_s=at_s))
    assert keeper().booked == 1
    found = both(keeper)
    assert (found["m:2026-10 paid|usd|ada"], found["m:2026-11 paid|usd|ada"]) == (500, 500)


def test_money_of_two_years_ago_is_left(keeper: Bookkeeper) -> None:
    keeper.account.listed = [transaction("c", created_s=NOW_MS // 1000 - 731 * 86_400)]
    assert keeper().looked_at == 0


@pytest.mark.parametrize("broken", ["archive", "note", "lookup"])
def test_what_breaks_in_between_is_made_good_by_the_next_run(
    keeper: Bookkeeper, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    keeper.account.listed = [
        transaction("c"),
        transaction("p", None, payment_intent_id="pi_1", amount_minor=7),
    ]
    keeper.account.bought["pi_1"] = {MARK: STAGE, "user_id": "bob"}
    with monkeypatch.context() as patch:
        if broken == "archive":
            patch.setattr(keeper.archive, "write", _down)
        elif broken == "note":
            patch.setattr(RedisBooks, "recorded", _down)
        else:
            keeper.account.away = True
        with pytest.raises((OSError, PurchaseLookupError)):
            keeper()
    keeper.account.away = False
    keeper()
    keeper()
    found = both(keeper)
    assert (found["m:2026-11 paid|usd|ada"], found["m:2026-11 paid|usd|bob"]) == (500, 7)


def _down(*_: object) -> None:
    raise OSError("down")


def test_without_a_configuration_nothing_is_booked(keeper: Bookkeeper, redis: RedisStack) -> None:
    keeper.account.listed = [transaction("c")]
    keeper.configs.current(0)
    redis.direct.delete("tk:config")
    with pytest.raises(NothingPublishedError):
        keeper()
    assert redis.direct.keys("*") == []


def test_an_error_in_place_of_an_answer_is_no_answer(keeper: Bookkeeper, redis: RedisStack) -> None:
    redis.direct.set("tk:money:2026-11", "not a hash")
    keeper.account.listed = [transaction("c")]
    with pytest.raises(LedgerUnavailableError):
        keeper.books.book([_movement(keeper)])


def _movement(keeper: Bookkeeper) -> Any:
    (page,) = [list(keeper.account.transactions(0))]
    service: Any = BookMoney(
        keeper.account, keeper.account, keeper.books, keeper.archive, keeper.configs, STAGE,
        lambda: NOW_MS,
    )  # fmt: skip
    return service._movement(page[0], page[0].metadata)


def test_killed_at_any_line(keeper: Bookkeeper, redis: RedisStack) -> None:
    """Every user's money is in books and record once, whatever the run left undone."""
    archive = MemoryArchive()
    keeper.archive = archive
    listed = [
        transaction("c", amount_minor=1_000),
        transaction("r", category="refund", amount_minor=-400, fee_minor=0),
        transaction("p", None, payment_intent_id="pi_1", created_s=1_793_505_540),
        transaction("x", None, payment_intent_id="pi_2"),
    ]
    keeper.account = Account(listed, {"pi_1": {MARK: STAGE, "user_id": "bob"}})
    keeper.configs.current(0)
    kills = line = 0
    while True:
        line += 1
        for key in (*redis.direct.keys("tk:b*"), *redis.direct.keys("tk:m*")):
            redis.direct.delete(key)
        archive.postings.clear()
        try:
            with killed_at(line, "redis_http.py"):
                keeper()
        except Killed:
            kills += 1
        else:
            break
        keeper()
        assert sums(keeper.books) == {
            "m:2026-11 paid|usd|ada": 1_000,
            "m:2026-11 refunded|usd|ada": 400,
            "m:2026-11 fee|usd|ada": 45,
            "m:2026-10 paid|usd|bob": 500,
            "m:2026-10 fee|usd|bob": 45,
        }, line
        assert sorted(p.amount for p in archive.postings.values() if "stripe" in p.account) == [
            -955,
            -455,
            400,
        ]
    assert kills > 100


def test_a_rebuild_brings_money_back_and_stripe_tells_no_news(
    keeper: Bookkeeper, redis: RedisStack
) -> None:
    keeper.account.listed = [transaction(f"c{n}", f"user {n % 7}") for n in range(150)]
    keeper()
    before = both(keeper)
    assert len(before) == 14
    record: Any = keeper.archive
    redis.flush()
    with owner(redis, record._client, calendar_config(ZONE), NOW_MS) as owns:
        owns.rebuild()
        assert owns.verify() == []
    assert both(keeper) == before
    assert keeper().booked == 0
    assert both(keeper) == before
    lives = {key: redis.direct.ttl(key) for key in redis.direct.keys("tk:[bm]*")}
    assert len(lives) == 2
    assert all(0 < life <= 831 * 86_400 for life in lives.values())


def test_any_order_and_number_of_runs_gives_the_same(keeper: Bookkeeper) -> None:
    chance = random.Random(6)
    listed = [transaction(f"c{n}", f"u{n % 5}", amount_minor=n + 1) for n in range(250)]
    for _ in range(4):
        keeper.account.listed = chance.sample(listed, 180)
        keeper()
    keeper.account.listed = listed
    keeper()
    paid: Counter[str] = Counter()
    for n in range(250):
        paid[f"m:2026-11 paid|usd|u{n % 5}"] += n + 1
    assert {name: n for name, n in both(keeper).items() if " paid" in name} == paid
