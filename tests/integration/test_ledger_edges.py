"""The edges of the ledger's rules on a real Redis, each by itself: to the nano, the millisecond."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import (
    Counters,
    Grant,
    Granted,
    Reservation,
    Reserve,
    Revoke,
    Revoked,
    Settle,
    Settlement,
    Standing,
    SubscriptionState,
    UnknownTierError,
)
from tollkeeper_core.domain.periods import Periods, Window, periods_at

from tests.support.redis_stack import RedisStack

NOON_MS = 1_795_608_000_000  # 2026-11-25T12:00:00Z, a Wednesday
DAY_MS = 86_400_000
TTL_MS = 600_000
CENT = 10_000_000

TIERS: dict[str, Any] = {
    "free": {
        "limits": {
            "daily": {"limit_usd": "0.50"},
            "weekly": {"limit_usd": "1.50"},
            "monthly": {"limit_usd": "5.00"},
        }
    },
    "capped": {
        "rank": 1,
        "limits": {
            "daily": {"limit_usd": "0.20"},
            "monthly": {"limit_usd": "0.70", "hard": True},
        },
    },
    "soft": {"rank": 2, "enforcement": "soft", "limits": {"daily": {"limit_usd": "0.50"}}},
    "pro": {"rank": 3, "limits": {"daily": {"limit_usd": "9.00"}}},
}


@dataclass
class User:
    """One user at one moment; ``now_ms`` may be moved."""

    store: RedisStore
    version: str = ""
    name: str = "ada"
    now_ms: int = NOON_MS

    def configure(self, tiers: dict[str, Any], read_ms: int = 1) -> None:
        self.store.publish(Config.model_validate({"tiers": tiers}), read_ms)
        loaded = self.store.load()
        assert loaded is not None
        self.version = loaded[0]

    @property
    def periods(self) -> Periods:
        return periods_at(Config.model_validate({"tiers": TIERS}).settings.calendar, self.now_ms)

    def check(self, rid: str, nano: int, tier: str | None = None) -> Reservation:
        request = Reserve(
            self.name, rid, nano, tier, self.periods, self.now_ms, self.now_ms + TTL_MS
        )
        return self.store.reserve(request, self.version)

    def settle(self, event: str, nano: int, rid: str | None = None) -> Settlement:
        request = Settle(self.name, event, nano, rid, self.periods, self.now_ms)
        [settled] = self.store.settle([request], self.version)
        assert isinstance(settled, Settlement)
        return settled

    def buy(self, purchase: str, nano: int, expires_ms: int | None = None) -> Granted:
        return self.store.grant(
            Grant(self.name, purchase, "p", nano, 500, "usd", expires_ms, None, self.now_ms)
        )

    def refund(self, purchase: str, minor: int) -> Revoked | None:
        return self.store.revoke(Revoke(self.name, purchase, minor, self.now_ms))

    def subscribe(self, tier: str, until_ms: int, version: tuple[int, int]) -> None:
        self.store.apply_subscription(
            SubscriptionState(
                self.name, "sub_1", "plan", tier, until_ms, version, None, self.now_ms
            )
        )

    @property
    def standing(self) -> Standing:
        return self.store.read(self.name, None, self.periods, self.now_ms, self.version)

    @property
    def today(self) -> Counters:
        return self.standing.counters[Window.DAILY]

    @property
    def lots(self) -> dict[str, int]:
        return {lot.id: lot.remaining_nano for lot in self.standing.lots}

    def affordable(self, tier: str | None = None) -> int:
        """What would fit. Asks for more than that ever is, so that nothing is held."""
        asked = self.check(f"ask {self.now_ms}", 10**15, tier)
        assert not asked.admitted
        return asked.affordable_nano


@pytest.fixture
def ada(store: RedisStore) -> User:
    user = User(store)
    user.configure(TIERS)
    return user


# -- once ------------------------------------------------------------------------------------------


def test_a_repeated_check_holds_once_and_gets_its_first_answer(ada: User) -> None:
    first = ada.check("r1", CENT)
    ada.now_ms += 1
    assert ada.check("r1", 2 * CENT) == first
    assert ada.today.held_total_nano == CENT


def test_a_repeated_event_is_charged_once_and_answers_word_for_word(ada: User) -> None:
    first = ada.settle("e1", CENT)
    ada.now_ms += DAY_MS
    again = ada.settle("e1", 2 * CENT)
    assert (first.replayed, again.replayed) == (False, True)
    assert (again.cost_nano, again.settled_ms) == (CENT, NOON_MS)
    assert again.period_ids == first.period_ids
    ada.now_ms = NOON_MS
    assert ada.today.total_nano == CENT


def test_a_repeated_purchase_gives_once(ada: User) -> None:
    first = ada.buy("cs_1", 4 * CENT)
    again = ada.buy("cs_1", 4 * CENT)
    assert (first.replayed, again.replayed) == (False, True)
    assert ada.lots == {"cs_1": 4 * CENT}


def test_a_batch_that_taught_the_server_its_script_answers_in_order(
    redis: RedisStack, ada: User
) -> None:
    redis.flush_scripts()
    requests = [Settle("ada", f"e{n}", n, None, ada.periods, NOON_MS) for n in range(4)]
    answers = ada.store.settle(requests, ada.version)
    found = [(a.event_id, a.cost_nano) for a in answers if isinstance(a, Settlement)]
    assert found == [(f"e{n}", n) for n in range(4)]


# -- limits ----------------------------------------------------------------------------------------


def test_a_strict_limit_admits_what_fits_exactly_and_not_a_nano_more(ada: User) -> None:
    ada.settle("e1", 20 * CENT)
    refused = ada.check("r1", 30 * CENT + 1)
    assert (refused.admitted, refused.held_nano) == (False, 0)
    assert refused.affordable_nano == 30 * CENT
    assert ada.today.held_total_nano == 0
    fits = ada.check("r2", 30 * CENT)
    assert (fits.admitted, fits.held_nano) == (True, 30 * CENT)
    assert not ada.check("r3", 1).admitted


def test_a_soft_limit_admits_while_a_nano_is_left(ada: User) -> None:
    ada.settle("e1", 50 * CENT - 1)
    last = ada.check("r1", 3 * CENT, "soft")
    assert (last.admitted, last.held_nano) == (True, 1)
    assert not ada.check("r2", 1, "soft").admitted


def test_a_hard_limit_counts_what_credits_paid_and_what_is_held(ada: User) -> None:
    ada.buy("cs_1", 100 * CENT)
    assert ada.check("r1", 30 * CENT, "capped").admitted
    charged = ada.settle("e1", 30 * CENT, "r1")
    assert (charged.allowance_nano, charged.lots_nano) == (20 * CENT, {"cs_1": 10 * CENT})
    assert ada.check("r2", 15 * CENT, "capped").admitted
    assert ada.affordable() == 25 * CENT
    assert not ada.check("r3", 25 * CENT + 1).admitted
    assert ada.check("r4", 25 * CENT).admitted


def test_the_window_that_leaves_least_is_the_limit(ada: User) -> None:
    assert ada.affordable() == 50 * CENT
    for day in range(2):
        ada.now_ms = NOON_MS + day * DAY_MS
        ada.settle(f"e{day}", 60 * CENT)
    ada.now_ms += DAY_MS  # Friday: 0.30 of the week is left, 0.50 of the day
    assert ada.affordable() == 30 * CENT


def test_the_same_credits_are_not_promised_twice(ada: User) -> None:
    ada.buy("cs_1", 30 * CENT)
    held = ada.check("r1", 60 * CENT)
    assert held.admitted
    assert ada.standing.held_credits_nano == 10 * CENT
    assert ada.affordable() == 20 * CENT
    assert not ada.check("r2", 20 * CENT + 1).admitted


def test_a_call_takes_the_allowance_before_credits(ada: User) -> None:
    ada.buy("cs_1", 100 * CENT)
    ada.check("r1", 40 * CENT)
    assert (ada.today.held_allowance_nano, ada.standing.held_credits_nano) == (40 * CENT, 0)
    charged = ada.settle("e1", 40 * CENT, "r1")
    assert (charged.allowance_nano, charged.lots_nano) == (40 * CENT, {})


# -- holds -----------------------------------------------------------------------------------------


def test_settling_lets_the_whole_hold_go_and_only_once(ada: User) -> None:
    ada.buy("cs_1", 30 * CENT)
    ada.check("r1", 60 * CENT)  # 50 by the allowance, 10 by credits
    ada.settle("e1", 0, "r1")
    assert ada.today == Counters()
    assert ada.standing.held_credits_nano == 0
    ada.check("r2", 60 * CENT)
    ada.settle("e2", 0, "r1")
    assert ada.today == Counters(0, 0, 50 * CENT, 60 * CENT)
    assert ada.standing.held_credits_nano == 10 * CENT


@pytest.mark.parametrize(
    "touch",
    [
        lambda user: user.check("other", 0),
        lambda user: user.check("too much", 10**15),
        lambda user: user.settle("other", 0),
        lambda user: user.settle("late", 0, "r1"),
    ],
    ids=["check", "refused check", "settle", "its own settle"],
)
def test_an_expired_hold_is_given_back_once_whoever_comes_first(
    ada: User, touch: Callable[[User], object]
) -> None:
    ada.buy("cs_1", 30 * CENT)
    ada.check("r1", 60 * CENT)
    ada.now_ms += TTL_MS - 1
    ada.check("r2", 20 * CENT)
    assert ada.today.held_total_nano == 80 * CENT
    ada.now_ms += 1
    for _ in range(2):
        touch(ada)
        assert ada.today == Counters(0, 0, 0, 20 * CENT)
        assert ada.standing.held_credits_nano == 20 * CENT
    ada.now_ms += TTL_MS  # the other's expiry: only then is the set of holds looked at again
    assert ada.today == Counters()
    assert ada.standing.held_credits_nano == 0


def test_a_hold_that_expires_after_midnight_leaves_both_days(ada: User) -> None:
    ada.now_ms += DAY_MS // 2 - 1
    ada.check("r1", 20 * CENT)
    yesterday = ada.periods
    ada.now_ms += TTL_MS
    ada.settle("e1", 0)
    then = ada.store.read("ada", None, yesterday, ada.now_ms, ada.version).counters
    assert set(then.values()) == {Counters()}
    assert ada.today == Counters()


# -- charges ---------------------------------------------------------------------------------------


def test_a_call_that_settles_after_its_expiry_is_charged_all_the_same(ada: User) -> None:
    ada.check("r1", 20 * CENT)
    ada.now_ms += TTL_MS
    late = ada.settle("e1", 30 * CENT, "r1")
    assert (late.cost_nano, late.allowance_nano) == (30 * CENT, 30 * CENT)
    assert ada.today == Counters(30 * CENT, 30 * CENT, 0, 0)


def test_what_neither_limit_nor_credits_cover_is_charged_to_the_limit_and_said(ada: User) -> None:
    ada.buy("cs_1", 10 * CENT)
    charged = ada.settle("e1", 65 * CENT)
    assert charged.lots_nano == {"cs_1": 10 * CENT}
    assert (charged.allowance_nano, charged.overrun_nano) == (55 * CENT, 5 * CENT)
    assert ada.today == Counters(55 * CENT, 65 * CENT, 0, 0)


def test_a_call_belongs_to_the_day_and_the_tier_of_its_check(ada: User) -> None:
    ada.now_ms += DAY_MS // 2 - 1
    ada.buy("cs_1", 10 * CENT)
    yesterday = ada.periods
    ada.check("r1", 55 * CENT, "free")
    ada.check("r2", 1 * CENT, "pro")
    ada.now_ms += 1
    charged = ada.settle("e1", 55 * CENT, "r1")
    assert charged.period_ids == yesterday.ids
    assert (charged.tier, charged.lots_nano) == ("free", {"cs_1": 6 * CENT})
    assert ada.today == Counters()


# -- lots ------------------------------------------------------------------------------------------


def test_what_expires_first_burns_first_then_the_oldest_and_what_lasts_comes_last(
    ada: User,
) -> None:
    ada.settle("all of the limit", 50 * CENT)
    bought = [("lasting", None), ("late", 9), ("soon", 5), ("late too", 9), ("lasting too", None)]
    for n, (name, days) in enumerate(bought):
        ada.now_ms = NOON_MS + n
        ada.buy(name, CENT, NOON_MS + days * DAY_MS if days else None)
    burnt = ada.settle("e1", 5 * CENT)
    assert list(burnt.lots_nano) == ["soon", "late", "late too", "lasting", "lasting too"]
    assert burnt.overrun_nano == 0


def test_a_lot_pays_until_its_expiry_and_what_is_left_then_is_recorded_once(ada: User) -> None:
    ada.settle("all of the limit", 50 * CENT)
    ada.buy("cs_1", 10 * CENT, NOON_MS + 1_000)
    ada.now_ms += 999
    assert ada.settle("e1", 4 * CENT).lots_nano == {"cs_1": 4 * CENT}
    ada.now_ms += 1
    assert ada.affordable() == 0
    late = ada.settle("e2", CENT)
    assert (late.lots_nano, late.overrun_nano) == ({}, CENT)
    assert late.expired_nano == {"cs_1": 6 * CENT}
    assert ada.settle("e3", CENT).expired_nano == {}
    assert ada.lots == {}


def test_what_may_be_spent_follows_every_purchase_burn_refund_and_expiry(ada: User) -> None:
    ada.settle("all of the limit", 50 * CENT)
    ada.buy("late", 30 * CENT, NOON_MS + 2_000)
    ada.buy("soon", 20 * CENT, NOON_MS + 1_000)
    assert ada.affordable() == 50 * CENT
    ada.now_ms += 1
    ada.settle("e1", 5 * CENT)
    assert ada.affordable() == 45 * CENT
    ada.now_ms += 1
    ada.refund("late", 250)
    assert ada.affordable() == 30 * CENT
    ada.now_ms += 1
    ada.buy("lasting", 2 * CENT)
    assert ada.affordable() == 32 * CENT
    ada.now_ms = NOON_MS + 1_000
    assert ada.affordable() == 17 * CENT
    ada.now_ms = NOON_MS + 2_000
    assert ada.affordable() == 2 * CENT


# -- refunds ---------------------------------------------------------------------------------------


def test_refunds_are_running_totals_in_any_order(ada: User) -> None:
    ada.buy("cs_1", 1_001)
    ada.settle("e1", 0)
    first = ada.refund("cs_1", 200)  # 200 of 500 paid: 400.4 nano
    assert first is not None
    assert (first.revoked_nano, first.from_lot_nano, first.replayed) == (400, 400, False)
    assert ada.refund("cs_1", 100) is None
    assert ada.lots == {"cs_1": 601}
    again = ada.refund("cs_1", 200)
    assert again is not None
    assert again.replayed
    more = ada.refund("cs_1", 201)
    assert more is not None
    assert more.revoked_nano == 2  # 402.402 in all
    assert ada.lots == {"cs_1": 599}


def test_a_total_above_the_price_takes_the_whole_purchase_and_no_more(ada: User) -> None:
    ada.buy("cs_1", 30 * CENT)
    taken = ada.refund("cs_1", 700)
    assert taken is not None
    assert (taken.revoked_nano, taken.owed_nano) == (30 * CENT, 0)


def test_used_and_refunded_credits_are_owed_until_the_next_purchases_pay_them(ada: User) -> None:
    ada.buy("cs_1", 30 * CENT)
    ada.settle("e1", 70 * CENT)  # 20 of it by the lot
    taken = ada.refund("cs_1", 500)
    assert taken is not None
    assert (taken.from_lot_nano, taken.owed_nano) == (10 * CENT, 20 * CENT)
    ada.buy("cs_2", 10 * CENT)
    ada.settle("e2", 10 * CENT)
    ada.refund("cs_2", 500)  # all of it had repaid: owed again
    assert [ada.buy(f"cs_{n}", 12 * CENT).repaid_nano for n in (3, 4, 5)] == [
        12 * CENT,
        8 * CENT,
        0,
    ]
    assert ada.lots == {"cs_4": 4 * CENT, "cs_5": 12 * CENT}


def test_refunds_that_come_before_their_purchase_count_by_the_highest(ada: User) -> None:
    for total in (100, 300, 200):
        assert ada.refund("cs_1", total) is None
    for _ in range(2):
        assert ada.buy("cs_1", 30 * CENT).refunded_minor == 300


# -- subscriptions and configuration ---------------------------------------------------------------


def test_only_a_newer_event_of_a_subscription_counts(ada: User) -> None:
    later = NOON_MS + 30 * DAY_MS
    ada.subscribe("pro", later, (5, 1))
    ada.subscribe("capped", later, (4, 1))
    assert ada.standing.tier == "pro"
    ada.subscribe("soft", later, (5, 0))
    assert ada.standing.tier == "pro"
    ada.subscribe("soft", later, (6, 0))
    assert ada.standing.tier == "soft"
    ada.subscribe("soft", 0, (6, 2))
    assert ada.standing.tier == "free"
    ada.subscribe("pro", later, (7, 1))
    assert ada.standing.tier == "free"


def test_a_renewal_prolongs_the_tier(ada: User) -> None:
    ada.subscribe("pro", NOON_MS + DAY_MS, (1, 0))
    ada.subscribe("pro", NOON_MS + 31 * DAY_MS, (2, 1))
    ada.now_ms += 30 * DAY_MS
    assert ada.standing.tier == "pro"


def test_a_tier_that_is_no_longer_configured_is_gone_from_redis(ada: User) -> None:
    ada.subscribe("pro", NOON_MS + DAY_MS, (1, 0))
    assert ada.check("r1", 60 * CENT).admitted
    ada.configure({"free": TIERS["free"]}, read_ms=2)
    assert not ada.check("r2", 60 * CENT).admitted
    with pytest.raises(UnknownTierError):
        ada.check("r3", 1, "pro")
