"""What the purchases of a user say about the next one: how many lately, and since when."""

from dataclasses import replace

import pytest
from tollkeeper_core.adapters.redis_admin import RedisAdmin
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.accounts import Account
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.movements import Claim, Grant, Hold

from tests.support.redis_stack import RedisStack

NOON_MS = 1_795_608_000_000  # 2026-11-25T12:00:00Z
DAY_MS = 86_400_000


@pytest.fixture
def books(store: RedisStore) -> RedisStore:
    store.publish(Config.model_validate({"tiers": {"free": {"limits": {}}}}), 1)
    return store


def buy(books: RedisStore, purchase: str, at_ms: int, paid: int = 500, user: str = "ada") -> None:
    books.grant(Grant(user, purchase, "p", 4 * 10**9, paid, "usd", None, None, at_ms))


def claim(books: RedisStore, purchase: str, minor: int, hold: Hold, claim_id: str = "c_1") -> None:
    books.claim(Claim("ada", purchase, claim_id, (0, 2), minor, hold, NOON_MS))


def look(books: RedisStore, since_ms: int = NOON_MS - DAY_MS) -> Account:
    return books.account("ada", since_ms, NOON_MS)


def test_who_never_bought_has_nothing(books: RedisStore) -> None:
    buy(books, "pi_1", NOON_MS, user="bob")
    assert look(books) == Account(None, {}, 0, None)


def test_packs_are_counted_from_the_moment_on(books: RedisStore) -> None:
    for purchase, at_ms in (("pi_1", -DAY_MS - 1), ("pi_2", -DAY_MS), ("cs_3", 0)):
        buy(books, purchase, NOON_MS + at_ms)
        buy(books, purchase, NOON_MS)  # told twice
    assert look(books).purchases == 2


def test_a_pack_counts_on_the_day_it_was_paid_however_late_it_is_told(books: RedisStore) -> None:
    paid_ms = NOON_MS - DAY_MS - 1
    grant = Grant("ada", "pi_1", "p", 4 * 10**9, 500, "usd", None, None, NOON_MS)
    books.grant(replace(grant, paid_ms=paid_ms))
    assert (look(books).purchases, look(books).first_paid_ms) == (0, paid_ms)


def test_a_plans_credits_are_no_purchase_of_the_day_but_its_money_counts(
    books: RedisStore,
) -> None:
    buy(books, "in_1", NOON_MS - 5)
    assert (look(books).purchases, look(books).first_paid_ms) == (0, NOON_MS - 5)


def test_a_pack_that_was_claimed_back_still_was_bought_today(books: RedisStore) -> None:
    buy(books, "pi_1", NOON_MS)
    claim(books, "pi_1", 500, Hold.NONE)
    assert look(books).purchases == 1


def test_the_first_payment_is_the_earliest_in_any_order(books: RedisStore) -> None:
    for purchase, days in (("pi_2", 20), ("pi_1", 30), ("pi_3", 10)):
        buy(books, purchase, NOON_MS - days * DAY_MS)
    assert look(books).first_paid_ms == NOON_MS - 30 * DAY_MS


def test_what_cost_nothing_shows_no_card(books: RedisStore) -> None:
    buy(books, "cs_free", NOON_MS - 30 * DAY_MS, paid=0)
    assert look(books).first_paid_ms is None
    buy(books, "pi_1", NOON_MS - DAY_MS, paid=1)
    assert look(books).first_paid_ms == NOON_MS - DAY_MS


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(
    ("minor", "hold"), [(1, Hold.NONE), (0, Hold.OPEN), (0, Hold.WARNING), (0, Hold.RELEASED)]
)
def test_a_payment_with_a_claim_on_it_shows_nothing(
    books: RedisStore, minor: int, hold: Hold, early: bool
) -> None:
    if early:
        claim(books, "pi_1", minor, hold)
    buy(books, "pi_1", NOON_MS - 30 * DAY_MS)
    if early:
        books.claim_again("ada", "pi_1", NOON_MS)
    else:
        claim(books, "pi_1", minor, hold)
    assert look(books).first_paid_ms is None
    buy(books, "pi_2", NOON_MS - 2 * DAY_MS)
    assert look(books).first_paid_ms == NOON_MS - 2 * DAY_MS


def test_a_restored_user_has_the_same_account(books: RedisStore, redis: RedisStack) -> None:
    for purchase, days in (("pi_1", 40), ("pi_2", 30), ("in_1", 20), ("pi_3", 0)):
        buy(books, purchase, NOON_MS - days * DAY_MS)
    claim(books, "pi_1", 100, Hold.NONE)
    claim(books, "pi_3", 0, Hold.OPEN, "dp_1")
    before = look(books)
    assert (before.purchases, before.first_paid_ms) == (1, NOON_MS - 30 * DAY_MS)
    with LeanRedis(redis.url, redis.token, 10.0) as client:
        admin = RedisAdmin(client)
        states = admin.states(["ada"])
        admin.delete_user("ada")
        assert look(books) == Account(None, {}, 0, None)
        admin.unpublish()  # as a rebuild does: it restores into a Redis that serves nobody
        admin.restore(states, NOON_MS)
    assert look(books) == before
