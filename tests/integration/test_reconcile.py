"""Every webhook lost: Stripe's own lists bring the ledger to what it should be, once."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import stripe
from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_admin import RedisAdmin
from tollkeeper_core.adapters.redis_books import RedisBooks
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.stripe_billing import StripeBilling
from tollkeeper_core.adapters.stripe_lists import StripeLists
from tollkeeper_core.adapters.stripe_reads import StripeReads
from tollkeeper_core.domain.announcements import AnnouncementError
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.funnel import Step, StepKind
from tollkeeper_core.domain.ledger import LedgerUnavailableError
from tollkeeper_core.domain.periods import rfc3339
from tollkeeper_core.domain.purchases import PurchaseLookupError
from tollkeeper_core.domain.user_state import UserState
from tollkeeper_core.services.book_money import Booked, BookMoney
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.reconcile import Gathered, Reconciled, build_reconcile
from tollkeeper_core.services.stripe_events.apply import ApplyStripeEvent
from tollkeeper_core.services.stripe_events.books import Books
from tollkeeper_core.services.upgrade import UpgradeService

from infra.local.stripe_local import LocalStripe
from tests.integration.test_stripe_webhook import KEY, PAGE, clock, token
from tests.support.memory_ledger import MemoryAnnouncements, MemoryArchive
from tests.support.redis_stack import RedisStack
from tests.support.stripe_local import client_of, press
from tests.support.upgrade import STAGE, example_config
from tests.support.webhook import Signed

DAY_S = 86_400


@dataclass
class Deaf:
    """A shop whose webhook hears nothing."""

    server: LocalStripe
    client: stripe.StripeClient
    admin: RedisAdmin
    page: UpgradeService
    archive: MemoryArchive = field(default_factory=MemoryArchive)
    bus: MemoryAnnouncements = field(default_factory=MemoryAnnouncements)
    steps: list[list[Step]] = field(default_factory=list)

    def buy(self, prompt: str, kind: Any, name: str) -> Any:
        started = self.page.start_checkout(token(prompt), kind, name, PAGE)
        session = self.client.v1.checkout.sessions.retrieve(started.session_id)
        press(session, "pay")
        return self.client.v1.checkout.sessions.retrieve(started.session_id)

    def press(self, path: str) -> None:
        httpx.post(f"{self.server.url}/_local/{path}").raise_for_status()

    @property
    def configs(self) -> ConfigCache[Config]:
        return ConfigCache(self.admin.load, example_config, clock)

    def reconcile(self, later_ms: int = 0) -> Reconciled:
        reads = StripeReads(self.server.secret_key, self.server.url)
        lists = StripeLists(self.server.secret_key, self.server.url)
        service = build_reconcile(
            self.admin,
            self.archive,
            self.bus,
            (lists, reads),
            self.configs,
            STAGE,
            lambda: clock() + later_ms,
            lambda steps: self.steps.append(list(steps)),
        )
        return service(clock() // 1000 - DAY_S, lambda *_: None)

    def book_money(self) -> Booked:
        stripe = (
            StripeLists(self.server.secret_key, self.server.url),
            StripeReads(self.server.secret_key, self.server.url),
        )
        books = RedisBooks(self.admin)
        service = BookMoney(*stripe, books, self.archive, self.configs, STAGE, clock)
        return service(clock() // 1000 - DAY_S, lambda *_: None)

    def hear_everything(self) -> None:
        """All events that were lost, after all, from the last to the first."""
        books = Books(self.admin, self.archive, self.bus, STAGE, clock, [].extend)
        reads = StripeReads(self.server.secret_key, self.server.url)
        apply = ApplyStripeEvent(books, Signed(), self.configs, reads)
        for event in httpx.get(f"{self.server.url}/_local/events").json()["data"]:
            apply(json.dumps(event).encode(), "good")

    @property
    def state(self) -> UserState:
        (state,) = self.admin.states(["ada"])
        return state

    @property
    def lots(self) -> dict[str, tuple[int, bool]]:
        return {lot.id: (lot.remaining_nano, lot.frozen) for lot in self.state.lots}


@pytest.fixture
def shop(redis: RedisStack) -> Iterator[Deaf]:
    with LocalStripe() as server, LeanRedis(redis.url, redis.token, 10.0) as http:
        admin = RedisAdmin(http)
        admin.publish(example_config(), 1)
        billing = StripeBilling(server.secret_key, server.url)
        configs = ConfigCache(admin.load, example_config, clock)
        page = UpgradeService(admin, configs, billing, admin, (KEY,), STAGE, clock, [].extend)
        yield Deaf(server, client_of(server), admin, page)


def live(shop: Deaf) -> tuple[str, str, str]:
    """Three packs and a plan: one refunded in part, one disputed and lost, one in dispute."""
    bought = [shop.buy(f"prm_{n}", "pack", "starter").payment_intent for n in range(3)]
    intents = [shop.client.v1.payment_intents.retrieve(one) for one in bought]
    shop.client.v1.refunds.create({"payment_intent": bought[0], "amount": 125})
    for intent in intents[1:]:
        shop.press(f"charges/{intent.latest_charge}/dispute")
    first = next(d for d in shop.client.v1.disputes.list().data if d.payment_intent == bought[1])
    shop.press(f"disputes/{first.id}/lose")
    shop.buy("prm_plan", "plan", "pro_monthly")
    return bought[0], bought[1], bought[2]


def test_what_was_lost_is_applied_once(shop: Deaf) -> None:
    refunded, lost, open_ = live(shop)
    assert shop.lots == {}

    done = shop.reconcile()

    assert dict(done.news) == {"purchases": 3, "claims": 3, "subscriptions": 1}
    assert done.problems == []
    assert shop.lots == {refunded: (3 * 10**9, False), open_: (4 * 10**9, True)}
    assert lost in shop.state.purchases
    (subscription,) = shop.state.subscriptions.values()
    assert (subscription.tier, subscription.ended) == ("pro", False)
    told = {one.kind for one in shop.bus.told}
    assert told >= {"credits.granted", "subscription.changed"}

    assert shop.state.customer_id == shop.client.v1.customers.list().data[0].id
    before, heard, record = shop.state, len(shop.bus.told), dict(shop.archive.postings)
    again = shop.reconcile(later_ms=3_600_000)
    assert shop.archive.postings == record
    assert again.news.total() == 0
    assert again.looked_at == done.looked_at
    assert len(shop.bus.told) == heard
    assert shop.state == before

    shop.hear_everything()
    assert shop.lots == {refunded: (3 * 10**9, False), open_: (4 * 10**9, True)}
    assert shop.state.owed_nano == before.owed_nano == 0


def test_money_is_booked_to_the_cent(shop: Deaf) -> None:
    """Packs, a plan, a refund, a dispute that was lost, one won: the sums are Stripe's own."""
    from tests.support.stripe_local import open_session

    live(shop)
    press(open_session(shop.client), "pay")  # the owner's own product: 5.00, of which 0.45 are fees
    won = shop.buy("prm_w", "pack", "starter").payment_intent
    charge = shop.client.v1.payment_intents.retrieve(won).latest_charge
    shop.press(f"charges/{charge}/dispute")
    dispute = next(d for d in shop.client.v1.disputes.list().data if d.payment_intent == won)
    shop.press(f"disputes/{dispute.id}/win")

    done = shop.book_money()

    listed = shop.client.v1.balance_transactions.list({"limit": 100}).data
    assert (done.looked_at, done.booked, done.unclear) == (len(listed), len(listed) - 1, [])
    charged = [one for one in listed if one.reporting_category == "charge"]
    given_back = [-one.amount for one in listed if one.reporting_category != "charge"]
    assert sorted(given_back) == [-500, 125, 500, 500, 500]
    months = {f"m:{rfc3339(clock() - n * DAY_S * 1000)[:7]}" for n in (0, 1)}
    found = Counter[str]()
    for entry in RedisBooks(shop.admin).entries(sorted(months)):
        assert (entry.user_id, entry.of) == ("ada", "usd")
        found[entry.kind] += entry.amount
    assert found == {
        "paid": sum(one.amount for one in charged) - 500,
        "refunded": sum(given_back),
        "fee": sum(one.fee for one in listed) - 45,
    }
    assert shop.book_money().booked == 0


def test_what_was_heard_is_no_news(shop: Deaf) -> None:
    live(shop)
    shop.hear_everything()
    before = shop.state
    assert shop.reconcile().news.total() == 0
    assert shop.state == before


def test_a_customer_that_is_in_no_record_is_found_at_stripe(shop: Deaf, redis: RedisStack) -> None:
    """As after a rebuild from an archive older than its records of customers."""
    live(shop)
    shop.reconcile()
    customer = shop.state.customer_id
    redis.direct.delete(keys.customer("ada"))
    shop.reconcile()
    assert shop.state.customer_id == customer is not None


def test_a_plan_that_ended_unheard_is_taken(shop: Deaf) -> None:
    shop.buy("prm_plan", "plan", "pro_monthly")
    shop.reconcile()
    (subscription,) = shop.client.v1.subscriptions.list().data
    shop.client.v1.subscriptions.cancel(subscription.id)
    assert shop.reconcile().news["subscriptions"] == 1
    assert shop.state.subscriptions[subscription.id].ended
    assert shop.reconcile().news.total() == 0


def test_what_is_not_ours_or_makes_no_sense_is_left_and_told(shop: Deaf) -> None:
    from tests.support.stripe_local import open_session

    press(open_session(shop.client), "pay")
    press(open_session(shop.client, metadata={"tollkeeper": STAGE, "user_id": "ada"}), "pay")
    done = shop.reconcile()
    assert done.news.total() == 0
    assert done.problems_count == len(done.problems) >= 1
    assert "metadata" in done.problems[0]


def test_the_funnels_steps_are_told_together_each_time_anew(shop: Deaf) -> None:
    live(shop)
    shop.reconcile()
    told = [[(step.prompt_id, step.minor) for step in batch] for batch in shop.steps]
    assert [sorted(batch) for batch in told] == [
        [("prm_0", 500), ("prm_1", 500), ("prm_2", 500)],
        [("prm_plan", 1200)],
    ]
    shop.reconcile()  # the counter knows them
    assert sorted(shop.steps[2], key=str) == sorted(shop.steps[0], key=str)
    assert len(shop.steps) == 4
    firsts = [p for p in shop.archive.postings.values() if p.kind == "first"]
    assert [p.terms["prompt_id"] for p in firsts] == ["prm_plan"]


def test_steps_that_are_not_told_wait(shop: Deaf) -> None:
    live(shop)
    told: list[Step] = []
    down = [True]

    def tell(steps: Sequence[Step]) -> None:
        if down:
            raise LedgerUnavailableError("down")
        told.extend(steps)

    gathered = Gathered(tell)
    step = Step(kind=StepKind.PAID, prompt_id="prm_1", user_id="ada", at_ms=1, trigger="button")
    gathered([step] * 99)
    with pytest.raises(LedgerUnavailableError):
        gathered([step])
    down.clear()
    gathered.flush()
    gathered.flush()
    assert told == [step] * 100


def test_a_run_that_dies_is_taken_up_by_the_next(shop: Deaf) -> None:
    live(shop)
    shop.bus.down = True
    with pytest.raises(AnnouncementError):
        shop.reconcile()
    shop.bus.down, shop.archive.down = False, True
    with pytest.raises(OSError, match="archive"):
        shop.reconcile()
    shop.archive.down = False
    shop.reconcile()
    assert sorted(lot[0] for lot in shop.lots.values()) == [3 * 10**9, 4 * 10**9]
    grants = {p.set_id for p in shop.archive.postings.values() if p.kind == "grant"}
    assert len(grants) == 3


def test_a_stripe_that_is_away_is_told(shop: Deaf) -> None:
    lists = StripeLists("sk_test_x", "http://127.0.0.1:9")
    reads = StripeReads("sk_test_x", "http://127.0.0.1:9")
    service = build_reconcile(
        shop.admin, shop.archive, shop.bus, (lists, reads), shop.configs, STAGE, clock, [].extend
    )
    with pytest.raises(PurchaseLookupError, match="APIConnectionError"):
        service(clock() // 1000, lambda *_: None)
