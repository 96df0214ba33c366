"""The edges of the ledger's rules on a real Redis, each by itself: to the nano, the millisecond."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import Counters, Reservation, Reserve, Standing, UnknownTierError
from tollkeeper_core.domain.movements import (
    Claim,
    Claimed,
    Grant,
    Granted,
    Hold,
    Settle,
    Settlement,
    SubscriptionState,
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


_asked = itertools.count()


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

    def claim(
        self,
        purchase: str,
        minor: int,
        claim: str = "re_1",
        version: tuple[int, int] = (0, 2),
        hold: Hold = Hold.NONE,
    ) -> Claimed | None:
        return self.store.claim(
            Claim(self.name, purchase, claim, version, minor, hold, self.now_ms)
        )

    def claimed(self, purchase: str, minor: int, *more: Any, **words: Any) -> Claimed:
        found = self.claim(purchase, minor, *more, **words)
        assert found is not None
        return found

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
        asked = self.check(f"ask {next(_asked)}", 10**15, tier)
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
    assert ada.today == Counters(30 * CENT, 30 * CENT, 0, 0, calls=1)


def test_what_neither_limit_nor_credits_cover_is_charged_to_the_limit_and_said(ada: User) -> None:
    ada.buy("cs_1", 10 * CENT)
    charged = ada.settle("e1", 65 * CENT)
    assert charged.lots_nano == {"cs_1": 10 * CENT}
    assert (charged.allowance_nano, charged.overrun_nano) == (55 * CENT, 5 * CENT)
    assert ada.today == Counters(55 * CENT, 65 * CENT, 0, 0, calls=1)


def test_a_call_counts_once_where_it_cost_something(ada: User) -> None:
    for event, nano in (("e1", 30), ("e1", 30), ("e2", 0), ("e3", 1)):
        ada.settle(event, nano)
    assert {c.calls for c in ada.standing.counters.values()} == {2}


def test_a_period_that_began_before_calls_were_counted_stays_without_a_count(
    ada: User, redis: RedisStack
) -> None:
    state, (day, week, month) = keys.user("ada"), ada.periods.ids
    old = {day: "5 7 0 0", week: "5 7 0 0", month: "0 0 9 9", "periods": f"{day},{week},{month}"}
    redis.direct.hset(state, mapping=old)
    ada.settle("e1", 30)
    ada.settle("e2", 30)
    found = ada.standing.counters
    assert found[Window.DAILY] == found[Window.WEEKLY] == Counters(65, 67, 0, 0, calls=0)
    assert found[Window.MONTHLY].calls == 2  # nothing had been settled in it: that is all


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
    ada.claim("late", 250)
    assert ada.affordable() == 30 * CENT
    ada.now_ms += 1
    ada.buy("lasting", 2 * CENT)
    assert ada.affordable() == 32 * CENT
    ada.now_ms = NOON_MS + 1_000
    assert ada.affordable() == 17 * CENT
    ada.now_ms = NOON_MS + 2_000
    assert ada.affordable() == 2 * CENT


# -- claims ----------------------------------------------------------------------------------------


def test_claims_of_a_purchase_add_up_and_the_fraction_is_of_the_sum(ada: User) -> None:
    ada.buy("pi_1", 1_001)
    first = ada.claimed("pi_1", 200)  # 200 of 500 paid: 400.4 nano
    assert (first.revoked_nano, first.lots_nano, first.replayed) == (400, {"pi_1": -400}, False)
    assert ada.claimed("pi_1", 200) == replace(first, replayed=True)
    second = ada.claimed("pi_1", 1, "re_2")
    assert (second.revoked_nano, second.refunded_minor) == (2, 1)  # 402.402 in all
    assert ada.lots == {"pi_1": 599}


def test_of_one_claim_the_newest_word_counts(ada: User) -> None:
    ada.buy("pi_1", 1_000)
    ada.claim("pi_1", 100, version=(5, 0))
    assert ada.claim("pi_1", 400, version=(4, 9)) is None
    assert ada.lots == {"pi_1": 800}
    more = ada.claimed("pi_1", 300, version=(5, 1))
    assert (more.refunded_minor, more.revoked_nano) == (200, 400)
    less = ada.claimed("pi_1", 0, version=(6, 0))
    assert (less.refunded_minor, less.revoked_nano, less.lots_nano) == (-300, -600, {"pi_1": 600})
    assert ada.lots == {"pi_1": 1_000}


def test_more_than_was_paid_takes_the_whole_purchase_and_no_more(ada: User) -> None:
    ada.buy("pi_1", 30 * CENT)
    ada.claim("pi_1", 400, "dp_1")
    taken = ada.claimed("pi_1", 10**12)
    assert (taken.revoked_nano, taken.owed_nano, taken.refunded_minor) == (6 * CENT, 0, 100)
    assert ada.lots == {}


def test_what_was_used_is_owed_until_the_next_purchases_pay_it(ada: User) -> None:
    ada.buy("pi_1", 30 * CENT)
    ada.settle("e1", 70 * CENT)  # 20 of it by the lot
    taken = ada.claimed("pi_1", 500)
    assert (taken.lots_nano, taken.owed_nano) == ({"pi_1": -10 * CENT}, 20 * CENT)
    ada.buy("pi_2", 10 * CENT)
    ada.settle("e2", 10 * CENT)
    ada.claim("pi_2", 500)  # all of it had repaid: owed again
    assert [ada.buy(f"pi_{n}", 12 * CENT).repaid_nano for n in (3, 4, 5)] == [
        12 * CENT,
        8 * CENT,
        0,
    ]
    assert ada.lots == {"pi_4": 4 * CENT, "pi_5": 12 * CENT}


def test_other_credits_pay_at_once_for_what_was_used(ada: User) -> None:
    ada.buy("pi_1", 30 * CENT)
    ada.settle("e1", 70 * CENT)  # 20 of it by the lot
    ada.now_ms += 1
    ada.buy("pi_2", 50 * CENT)
    taken = ada.claimed("pi_1", 500)
    assert (taken.lots_nano, taken.owed_nano) == ({"pi_1": -10 * CENT, "pi_2": -20 * CENT}, 0)
    assert ada.affordable() == 30 * CENT


def test_what_is_given_back_pays_debts_first_and_opens_a_lot_that_was_gone(ada: User) -> None:
    ada.buy("pi_1", 30 * CENT)
    ada.settle("e1", 60 * CENT)  # 10 of it by the lot
    ada.claim("pi_1", 500)
    assert ada.lots == {}
    back = ada.claimed("pi_1", 0, version=(0, 3))
    assert (back.owed_nano, back.lots_nano) == (-10 * CENT, {"pi_1": 20 * CENT})
    assert ada.lots == {"pi_1": 20 * CENT}


def test_claims_that_come_before_their_purchase_take_effect_with_it(ada: User) -> None:
    for claim, minor in (("re_1", 100), ("re_2", 200)):
        early = ada.claimed("pi_1", minor, claim)
        assert (early.pack, early.revoked_nano, early.refunded_minor) == ("", 0, 0)
    for _ in range(2):
        assert ada.buy("pi_1", 30 * CENT).claimed
        assert ada.standing.lots[0].frozen
        assert ada.affordable() == 50 * CENT
    for _ in range(2):
        taken = ada.store.claim_again(ada.name, "pi_1", ada.now_ms)
        assert taken is not None
        assert (taken.refunded_minor, taken.lots_nano) == (300, {"pi_1": -18 * CENT})
    assert ada.buy("pi_1", 30 * CENT).claimed
    assert ada.lots == {"pi_1": 12 * CENT}
    assert ada.affordable() == 62 * CENT


def test_there_is_nothing_to_do_again_without_a_claim(ada: User) -> None:
    assert ada.store.claim_again(ada.name, "pi_1", ada.now_ms) is None
    assert not ada.buy("pi_1", CENT).claimed
    assert ada.store.claim_again(ada.name, "pi_1", ada.now_ms) is None


def test_a_dispute_freezes_the_lot_and_its_end_thaws_it(ada: User) -> None:
    ada.buy("pi_1", 30 * CENT)
    assert ada.affordable() == 80 * CENT
    assert ada.claimed("pi_1", 0, "dp_1", (1, 1), Hold.OPEN).frozen
    assert ada.affordable() == 50 * CENT
    settled = ada.settle("e1", 60 * CENT)
    assert (settled.lots_nano, settled.overrun_nano) == ({}, 10 * CENT)
    assert not ada.claimed("pi_1", 0, "dp_1", (2, 3), Hold.RELEASED).frozen
    assert ada.affordable() == 30 * CENT


def test_a_warning_freezes_until_it_is_refuted_or_all_is_refunded(ada: User) -> None:
    for purchase in ("pi_1", "pi_2"):
        ada.buy(purchase, 10 * CENT)
        ada.claim(purchase, 0, "issfr_1", (1, 0), Hold.WARNING)
    assert ada.affordable() == 50 * CENT
    ada.claim("pi_1", 0, "dp_1", (2, 3), Hold.RELEASED)
    assert ada.affordable() == 60 * CENT
    assert ada.claimed("pi_2", 499).frozen
    assert not ada.claimed("pi_2", 1, "re_2").frozen


def test_a_frozen_lot_pays_no_debts_until_it_is_free_and_expires_all_the_same(ada: User) -> None:
    ada.buy("pi_1", 30 * CENT, NOON_MS + 10)
    ada.buy("pi_2", 30 * CENT)
    ada.claim("pi_1", 0, "dp_1", (1, 1), Hold.OPEN)
    ada.settle("e1", 60 * CENT)  # 10 of it by pi_2
    assert ada.claimed("pi_2", 500).owed_nano == 10 * CENT
    thawed = ada.claimed("pi_1", 0, "dp_1", (2, 3), Hold.RELEASED)
    assert (thawed.lots_nano, thawed.owed_nano) == ({"pi_1": -10 * CENT}, -10 * CENT)
    ada.claim("pi_1", 0, "dp_2", (1, 1), Hold.OPEN)
    ada.now_ms += 10
    assert ada.settle("e2", 1).expired_nano == {"pi_1": 20 * CENT}


@pytest.mark.parametrize(
    ("granted", "paid", "taken"),
    [
        (2**53 - 1, 99_999_999, 99_999_998),
        (10**15, 10**12, 10**12 - 1),
        (9_007_199_254_740_881, 7, 3),
        # Of these, floating point gets the product wrong.
        (6_746_869_392_724_852, 812_845_946_939, 759_329_574_456),
        (4_551_457_895_637_418, 679_200_834_284, 142_278_089_831),
        (1, 99_999_999, 99_999_998),
        (1_000_003, 1, 1),
        (123_456_789_012_345, 65_537, 1_024),
        (123_456_789_012_345, 1_048_576, 1_048_575),
    ],
)
def test_a_fraction_is_exact_however_large_its_product(
    ada: User, granted: int, paid: int, taken: int
) -> None:
    ada.store.grant(Grant(ada.name, "pi_1", "p", granted, paid, "jpy", None, None, ada.now_ms))
    assert ada.claimed("pi_1", taken).revoked_nano == granted * taken // paid
    ada.claim("pi_1", paid, version=(0, 3))
    assert ada.lots == {}


def test_of_a_purchase_that_cost_nothing_nothing_can_be_refunded(ada: User) -> None:
    ada.store.grant(Grant(ada.name, "cs_1", "p", CENT, 0, "usd", None, None, ada.now_ms, 500))
    assert ada.claimed("cs_1", 100).revoked_nano == 0
    assert ada.standing.lots[0].worth_minor == 500
    assert ada.claimed("cs_1", 0, "dp_1", (1, 1), Hold.OPEN).frozen


# -- fresh credits ---------------------------------------------------------------------------------


def test_fresh_credits_open_with_time(ada: User) -> None:
    ada.settle("all of the limit", 50 * CENT)
    grant = (ada.name, "pi_1", "p", 40 * CENT, 500, "usd", None, None, ada.now_ms)
    ada.store.grant(Grant(*grant, None, ada.now_ms + 3_000, 10 * CENT))
    assert ada.affordable() == 10 * CENT
    assert not ada.check("r1", 10 * CENT + 1).admitted
    ada.now_ms += 1_000
    assert ada.affordable() == 20 * CENT
    assert ada.settle("e1", 15 * CENT).lots_nano == {"pi_1": 15 * CENT}
    assert ada.affordable() == 5 * CENT
    ada.now_ms += 1
    assert ada.affordable() == 5 * CENT + 100_000
    ada.now_ms = NOON_MS + 3_000
    assert ada.affordable() == 25 * CENT
    ada.settle("e2", 5 * CENT)
    assert ada.affordable() == 20 * CENT


def test_a_settlement_takes_no_more_than_is_open(ada: User) -> None:
    ada.settle("all of the limit", 50 * CENT)
    grant = (ada.name, "pi_1", "p", 40 * CENT, 500, "usd", None, None, ada.now_ms)
    ada.store.grant(Grant(*grant, None, ada.now_ms + 3_000, 10 * CENT))
    ada.buy("pi_2", 5 * CENT)
    settled = ada.settle("e1", 20 * CENT)
    assert (settled.lots_nano, settled.overrun_nano) == (
        {"pi_1": 10 * CENT, "pi_2": 5 * CENT},
        5 * CENT,
    )


def test_claims_take_what_is_not_open_as_well(ada: User) -> None:
    grant = (ada.name, "pi_1", "p", 40 * CENT, 500, "usd", None, None, ada.now_ms)
    ada.store.grant(Grant(*grant, None, ada.now_ms + 3_000, 0))
    assert ada.claimed("pi_1", 500).lots_nano == {"pi_1": -40 * CENT}


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
