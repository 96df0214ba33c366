"""Months that begin on a plan's billing day: real webhook, real Redis, one user's calendar."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import Counters, Reservation, Reserve
from tollkeeper_core.domain.movements import Settle, Settlement
from tollkeeper_core.domain.offers import PlanTerms
from tollkeeper_core.domain.periods import Periods, Window, periods_at
from tollkeeper_core.domain.rules import Rules
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.usage import ReadUsage

from tests.support.redis_stack import RedisStack
from tests.support.upgrade import STAGE, Clock
from tests.support.webhook import Webhook, event, period, subscription

USD = 10**9
MONTHLY = {"limits": {"monthly": {"limit_usd": "1.00"}}}
CONFIG: dict[str, Any] = {
    "settings": {"monthly_anchor": "subscription", "time_zone": "Europe/Berlin"},
    "tiers": {"free": MONTHLY, "pro": {"rank": 5, "limits": {"monthly": {"limit_usd": "10.00"}}}},
}
TERMS = PlanTerms("ada", "prm_1", "pro_monthly", "pro", 1200, "usd")


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@dataclass
class User:
    """Ada, at any time; her plan is as Stripe's events say."""

    store: RedisStore
    clock: Clock = field(default_factory=Clock)
    calls: int = 0

    def configure(self, **settings: Any) -> None:
        config = {**CONFIG, "settings": {**CONFIG["settings"], **settings}}
        self.store.publish(Config.model_validate(config), self.clock())

    def hears(self, kind: str, at: str, paid: tuple[str, str], day: str, **more: Any) -> None:
        """An event about a subscription that is paid ``paid`` and billed since ``day``."""
        begins_s, ends_s = (ms(text) // 1000 for text in paid)
        told = subscription(
            items=period(begins_s, ends_s),
            billing_cycle_anchor=ms(day) // 1000,
            metadata=TERMS.metadata(STAGE),
            **more,
        )
        webhook = Webhook(ledger=self.store, clock=self.clock, config=self.config)
        webhook(event(f"customer.subscription.{kind}", told, ms(at) // 1000))

    @property
    def config(self) -> Config:
        loaded = self.store.load()
        assert loaded is not None
        return loaded[1]

    @property
    def version(self) -> str:
        loaded = self.store.load()
        assert loaded is not None
        return loaded[0]

    def periods(self) -> Periods:
        return periods_at(self.config.settings.calendar, self.clock())

    def spends(self, at: str, nano: int, reservation: str | None = None) -> Settlement:
        self.clock.now_ms = ms(at)
        self.calls += 1
        request = Settle("ada", f"e{self.calls}", nano, reservation, self.periods(), self.clock())
        (answer,) = self.store.settle([request], self.version)
        assert isinstance(answer, Settlement)
        return answer

    def asks(self, at: str, nano: int = 1) -> Reservation:
        self.clock.now_ms = ms(at)
        self.calls += 1
        now_ms = self.clock()
        request = Reserve(
            "ada", f"r{self.calls}", nano, None, self.periods(), now_ms, now_ms + 600_000
        )
        return self.store.reserve(request, self.version)

    def left(self, at: str) -> int:
        return self.asks(at, 10**15).affordable_nano

    def resets(self, at: str) -> str:
        self.clock.now_ms = ms(at)
        published = Rules.of_snapshot(self.config.snapshot)
        configs = ConfigCache(self.store.load_rules, lambda: published, self.clock)
        view = ReadUsage(self.store, configs, self.clock)("ada")
        return str(view["windows"]["monthly"]["resets_at"])


@pytest.fixture
def ada(redis: RedisStack) -> Iterator[User]:
    with LeanRedis(redis.url, redis.token, 10.0) as http:
        user = User(RedisStore(http))
        user.configure()
        yield user


NOVEMBER = ("2026-11-25T14:00", "2026-12-25T14:00")


def test_a_payment_begins_a_month_that_ends_with_it(ada: User) -> None:
    ada.spends("2026-11-24T12:00", USD)  # all that is free this month
    assert ada.left("2026-11-25T13:00") == 0
    assert ada.resets("2026-11-25T13:00") == "2026-11-30T23:00:00Z"

    ada.hears("created", "2026-11-25T14:00", NOVEMBER, NOVEMBER[0])

    assert ada.left("2026-11-25T14:00") == 10 * USD
    assert ada.resets("2026-11-25T14:00") == "2026-12-24T23:00:00Z"
    ada.spends("2026-11-30T12:00", 4 * USD)
    ada.spends("2026-12-01T12:00", 5 * USD)  # the calendar's month says nothing
    assert ada.left("2026-12-24T22:59") == USD
    assert ada.left("2026-12-24T23:00") == 10 * USD
    assert ada.resets("2026-12-24T23:00") == "2027-01-24T23:00:00Z"


def test_the_calendar_holds_where_the_setting_says_so(ada: User) -> None:
    ada.configure(monthly_anchor="calendar")
    ada.hears("created", "2026-11-25T14:00", NOVEMBER, NOVEMBER[0])
    ada.spends("2026-11-25T15:00", 4 * USD)
    assert ada.resets("2026-11-25T15:00") == "2026-11-30T23:00:00Z"
    assert ada.left("2026-12-01T12:00") == 10 * USD
    ada.configure(monthly_anchor="subscription")  # and nothing is lost when it changes
    assert ada.left("2026-12-01T12:01") == 6 * USD


def test_day_31_is_the_last_of_a_shorter_month_and_comes_back(ada: User) -> None:
    paid = ("2027-01-31T12:00", "2028-01-31T12:00")
    ada.hears("created", "2027-01-31T12:00", paid, paid[0])
    for at, resets in (
        ("2027-01-31T12:00", "2027-02-27T23:00:00Z"),
        ("2027-02-28T12:00", "2027-03-30T22:00:00Z"),
        ("2027-03-31T12:00", "2027-04-29T22:00:00Z"),
    ):
        assert ada.resets(at) == resets
        assert ada.left(at) == 10 * USD
        ada.spends(at, USD)
    assert ada.left("2027-03-31T13:00") == 9 * USD


def test_the_last_day_of_a_short_month_counts_in_the_month_that_it_begins(ada: User) -> None:
    paid = ("2027-01-31T12:00", "2028-01-31T12:00")
    ada.hears("created", "2027-01-31T12:00", paid, paid[0])
    ada.spends("2027-02-28T12:00", 4 * USD)
    assert ada.left("2027-03-30T12:00") == 6 * USD


def test_the_day_is_the_one_of_the_configured_time_zone(ada: User) -> None:
    paid = ("2026-11-25T23:30", "2026-12-25T23:30")  # the 26th in Berlin
    ada.hears("created", "2026-11-25T23:30", paid, paid[0])
    assert ada.resets("2026-11-25T23:30") == "2026-12-25T23:00:00Z"


def test_a_call_belongs_to_the_month_in_which_its_check_ran(ada: User) -> None:
    ada.hears("created", "2026-11-25T14:00", NOVEMBER, NOVEMBER[0])
    ada.hears("updated", "2026-12-25T14:00", ("2026-12-25T14:00", "2027-01-25T14:00"), NOVEMBER[0])
    ada.spends("2026-12-24T12:00", 9 * USD)
    held = ada.asks("2026-12-24T22:59", USD)
    assert held.admitted
    settled = ada.spends("2026-12-24T23:01", 2 * USD, held.reservation_id)
    assert (settled.allowance_nano, settled.overrun_nano) == (2 * USD, USD)
    assert ada.left("2026-12-24T23:02") == 10 * USD


def test_a_plan_that_ends_leaves_what_the_calendar_s_month_leaves(ada: User) -> None:
    ada.hears("created", "2026-11-25T14:00", NOVEMBER, NOVEMBER[0])
    ada.spends("2026-11-26T12:00", 3 * USD)
    ada.hears("deleted", "2026-11-27T12:00", NOVEMBER, NOVEMBER[0], status="canceled")
    assert ada.left("2026-11-27T12:00") == 0
    assert ada.resets("2026-11-27T12:00") == "2026-11-30T23:00:00Z"
    assert ada.left("2026-12-01T12:00") == USD


@pytest.mark.parametrize("late", [False, True])
def test_ending_a_plan_and_beginning_another_gives_no_second_allowance(
    ada: User, late: bool
) -> None:
    """Whichever of the events comes first."""
    ada.hears("created", "2026-11-25T14:00", NOVEMBER, NOVEMBER[0])
    ada.spends("2026-11-26T12:00", 10 * USD)
    again = ("2026-11-27T14:00", "2026-12-27T14:00")

    def end() -> None:
        ada.hears("deleted", "2026-11-27T13:00", NOVEMBER, NOVEMBER[0], status="canceled")

    if not late:
        end()
    ada.hears("created", "2026-11-27T14:00", again, again[0], id="sub_2")
    if late:
        end()

    assert ada.left("2026-11-27T14:00") == 0
    assert ada.resets("2026-11-27T14:00") == "2026-12-24T23:00:00Z"
    # From then on the new plan's own month: since the 27th nothing was used.
    assert ada.left("2026-12-24T23:00") == 10 * USD
    assert ada.resets("2026-12-24T23:00") == "2026-12-26T23:00:00Z"


def test_a_change_of_the_billing_day_gives_none_either(ada: User) -> None:
    """As a change from a month to a year makes it, and back."""
    ada.hears("created", "2026-11-25T14:00", NOVEMBER, NOVEMBER[0])
    ada.spends("2026-11-26T12:00", 10 * USD)
    year = ("2026-11-28T14:00", "2027-11-28T14:00")
    ada.hears("updated", "2026-11-28T14:00", year, year[0])
    assert ada.left("2026-11-28T14:00") == 0
    assert ada.left("2026-12-25T12:00") == 10 * USD


def test_a_plan_that_ran_out_and_is_bought_again_begins_a_month(ada: User) -> None:
    ada.hears("created", "2026-11-25T14:00", NOVEMBER, NOVEMBER[0])
    ada.spends("2026-11-26T12:00", 10 * USD)
    ada.hears("deleted", "2026-12-25T14:00", NOVEMBER, NOVEMBER[0], status="canceled")
    ada.spends("2026-12-25T20:00", USD)
    again = ("2026-12-27T14:00", "2027-01-27T14:00")
    ada.hears("created", "2026-12-27T14:00", again, again[0], id="sub_2")
    assert ada.left("2026-12-27T14:00") == 10 * USD


def test_a_card_that_was_refused_begins_no_month(ada: User) -> None:
    tried = {"status": "incomplete", "id": "sub_0"}
    ada.hears("created", "2026-11-24T14:00", NOVEMBER, "2026-11-24T14:00", **tried)
    ada.spends("2026-11-24T15:00", USD)
    ada.hears("created", "2026-11-25T14:00", NOVEMBER, NOVEMBER[0])
    assert ada.left("2026-11-25T14:00") == 10 * USD


def test_only_whoever_has_a_plan_costs_one_command_more(ada: User, redis: RedisStack) -> None:
    ada.asks("2026-11-25T13:00")
    version, periods = ada.version, ada.periods()
    for subscribed in (False, True):
        if subscribed:
            ada.hears("created", "2026-11-25T14:00", NOVEMBER, NOVEMBER[0])
        redis.reset_stats()
        now_ms = ada.clock()
        request = Reserve("ada", f"s{subscribed}", 1, None, periods, now_ms, now_ms + 1)
        ada.store.reserve(request, version)
        stats = redis.stats()
        assert stats["http_requests"] == 1
        assert stats["script_commands"]["hmget"] == 2 + subscribed
        assert sum(stats["script_commands"].values()) == 5 + subscribed


def test_a_month_by_the_billing_day_tells_once_a_month_of_its_own(ada: User) -> None:
    ada.spends("2026-11-24T12:00", USD // 2)
    assert ada.asks("2026-11-24T12:01").warned == {"monthly": 50}
    ada.hears("created", "2026-11-25T14:00", NOVEMBER, NOVEMBER[0])
    told = {}
    for n, (spent, asked) in enumerate(
        [
            ("2026-11-26T12:00", "2026-11-26T12:01"),
            ("2026-12-01T12:00", "2026-12-01T12:01"),
            ("2026-12-24T22:00", "2026-12-24T22:59"),
        ]
    ):
        ada.spends(spent, 5 * USD if n != 1 else 3 * USD)
        told[asked] = [dict(ada.asks(asked).warned) for _ in range(2)]
    assert told == {
        "2026-11-26T12:01": [{"monthly": 50}, {}],
        "2026-12-01T12:01": [{"monthly": 80}, {}],
        "2026-12-24T22:59": [{}, {}],  # more than the month has left: refused
    }
    ada.spends("2026-12-25T12:00", 5 * USD)
    assert ada.asks("2026-12-25T12:01").warned == {"monthly": 50}


def test_a_month_of_days_of_which_one_has_no_count_of_calls_has_none(
    ada: User, redis: RedisStack
) -> None:
    ada.hears("created", "2026-11-25T14:00", NOVEMBER, NOVEMBER[0])
    for n in range(3):
        ada.spends(f"2026-11-26T12:0{n}", 10)

    def month() -> Counters:
        standing = ada.store.read("ada", None, ada.periods(), ada.clock(), ada.version)
        return standing.counters[Window.MONTHLY]

    assert (month().total_nano, month().calls) == (30, 3)
    # As it stands where the day began before calls were counted.
    redis.direct.hset(keys.user("ada"), "d:2026-11-25", "5 5 0 0")
    assert (month().total_nano, month().calls) == (35, 0)
