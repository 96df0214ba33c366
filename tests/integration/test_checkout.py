"""From the click to Stripe: what it is asked, as whom, and what becomes of it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import stripe
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.adapters.stripe_billing import StripeBilling
from tollkeeper_core.adapters.stripe_reads import StripeReads
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.funnel import Step, StepKind
from tollkeeper_core.domain.movements import Claim, Grant, Hold
from tollkeeper_core.domain.offers import Choice
from tollkeeper_core.domain.periods import rfc3339
from tollkeeper_core.domain.problems import Problem
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.stripe_events.apply import ApplyStripeEvent
from tollkeeper_core.services.stripe_events.books import Books
from tollkeeper_core.services.upgrade import UpgradeService

from infra.local.stripe_local import LocalStripe
from tests.integration.test_stripe_webhook import KEY, PAGE, clock, token
from tests.support.memory_ledger import MemoryAnnouncements, MemoryArchive
from tests.support.stripe_local import client_of, press
from tests.support.upgrade import STAGE, example_config
from tests.support.webhook import Signed


@dataclass
class Shop:
    server: LocalStripe
    client: stripe.StripeClient
    store: RedisStore
    config: Config
    steps: list[Step] = field(default_factory=list)

    @property
    def configs(self) -> ConfigCache[Config]:
        return ConfigCache(self.store.load, lambda: self.config, clock)

    @property
    def service(self) -> UpgradeService:
        billing = StripeBilling(self.server.secret_key, self.server.url)
        store = self.store
        return UpgradeService(store, self.configs, billing, store, (KEY,), STAGE, clock, [].extend)

    def change(self, **settings: Any) -> None:
        found = json.loads(self.config.model_dump_json(by_alias=True))
        for part, more in settings.items():
            found[part] = _merged(found.get(part, {}), more)
        self.config = Config.model_validate(found)
        self.store.publish(self.config, clock())

    def start(self, name: str, kind: Any = "pack", prompt: str = "prm_1", **choice: Any) -> Any:
        started = self.service.start_checkout(
            token(prompt), kind, name, PAGE, Choice(**choice) if choice else None
        )
        return self.client.v1.checkout.sessions.retrieve(started.session_id)

    def pay(self, session: Any, **more: str) -> Any:
        press(session, "pay", **more)
        self.hear()
        return self.client.v1.checkout.sessions.retrieve(session.id)

    def hear(self, events: Any = None) -> None:
        """What the webhook would have got, or these events."""
        tell = self.steps.extend
        books = Books(self.store, MemoryArchive(), MemoryAnnouncements(), STAGE, clock, tell)
        reads = StripeReads(self.server.secret_key, self.server.url)
        apply = ApplyStripeEvent(books, Signed(), self.configs, reads)
        told = events or httpx.get(f"{self.server.url}/_local/events").json()["data"]
        for event in told:
            apply(json.dumps(event).encode(), "good")

    @property
    def usage(self) -> Any:
        return self.service.page(token("prm_look")).usage


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{name: _merged(old.get(name), value) for name, value in new.items()}}
    return new


@pytest.fixture
def shop(store: RedisStore) -> Iterator[Shop]:
    store.publish(example_config(), 1)
    with LocalStripe() as server:
        yield Shop(server, client_of(server), store, example_config())


def refused(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(Problem) as raised:
        call()
    return raised.value.status, raised.value.code


def test_a_user_is_one_customer_for_ever(shop: Shop) -> None:
    first = shop.pay(shop.start("starter"))
    second = shop.start("plus", prompt="prm_2")
    assert first.customer == second.customer
    (customer,) = shop.client.v1.customers.list().data
    assert customer.metadata.to_dict() == {"tollkeeper": STAGE, "user_id": "ada"}
    intent = shop.client.v1.payment_intents.retrieve(first.payment_intent)
    assert intent.customer == customer.id


def test_two_first_clicks_at_once_make_one_customer(shop: Shop) -> None:
    sessions: list[Any] = []
    service = shop.service

    def click(prompt: str) -> None:
        started = service.start_checkout(token(prompt), "pack", "starter", PAGE)
        sessions.append(started.session_id)

    threads = [threading.Thread(target=click, args=(f"prm_{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(sessions)) == 6
    assert len(shop.client.v1.customers.list().data) == 1


def test_a_customer_that_is_gone_is_made_anew(shop: Shop) -> None:
    gone = shop.start("starter").customer
    shop.client.v1.customers.delete(gone)
    again = shop.start("plus", prompt="prm_2")
    assert again.customer != gone
    assert shop.start("plus", prompt="prm_3").customer == again.customer


def test_a_quantity_and_an_amount_are_granted_as_chosen(shop: Shop) -> None:
    shop.change(packs={"starter": {"max_quantity": 5}})
    session = shop.start("starter", quantity=3)
    assert session.amount_total == 1500
    shop.pay(session)
    assert [c["display"] for c in shop.usage["credits"]] == ["$15.00"]
    amount = {"min_minor": 200, "max_minor": 10_000}
    shop.change(packs={"plus": {"amount": amount}})
    shop.pay(shop.start("plus", prompt="prm_2", amount_text="7.25"))
    assert [c["display"] for c in shop.usage["credits"]] == ["$22.25"]
    for choice in ({"quantity": 6}, {"amount_text": "5"}):
        status = refused(lambda c=choice: shop.start("starter", prompt="prm_3", **c))
        assert status == (422, "invalid_request")


def test_the_terms_are_those_of_the_click(shop: Shop) -> None:
    session = shop.start("starter")
    shop.change(packs={"starter": {"credit_usd": "0.01", "price_minor": 9_999}})
    shop.pay(session)
    (lot,) = shop.service.page(token("prm_look")).standing.lots
    assert (lot.granted_nano, lot.worth_minor) == (4 * 10**9, 500)


@pytest.mark.parametrize(("percent_off", "paid", "shown"), [(40, 300, "$3.00"), (100, 0, "$5.00")])
def test_a_promotion_code_lowers_what_is_paid_not_what_is_got(
    shop: Shop, percent_off: int, paid: int, shown: str
) -> None:
    shop.change(settings={"checkout": {"promotion_codes": True}})
    coupon = shop.client.v1.coupons.create({"percent_off": percent_off, "duration": "once"})
    code = shop.client.v1.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "HELLO"}
    )
    session = shop.start("starter")
    assert session.allow_promotion_codes is True
    press(session, "apply", promotion_code=code.code)
    done = shop.pay(session, promotion_code=code.code)
    assert done.amount_total == paid
    (lot,) = shop.service.page(token("prm_look")).standing.lots
    assert lot.granted_nano == 4 * 10**9
    assert [c["display"] for c in shop.usage["credits"]] == [shown]


def test_each_setting_asks_stripe_for_its_part(shop: Shop) -> None:
    plain = shop.start("starter")
    assert not plain.automatic_tax.enabled
    assert plain.invoice_creation.enabled is False
    options = {"automatic_tax": True, "tax_ids": True, "receipts": True, "promotion_codes": True}
    shop.change(settings={"checkout": options})
    full = shop.start("starter", prompt="prm_2")
    assert full.automatic_tax.enabled
    assert full.tax_id_collection.enabled
    assert full.invoice_creation.enabled
    plan = shop.start("pro_monthly", kind="plan", prompt="prm_3")
    assert plan.automatic_tax.enabled
    assert plan.invoice_creation is None


def test_so_many_a_day_and_no_more(shop: Shop) -> None:
    shop.change(settings={"fraud": {"purchases_per_day": 2}})
    for n in range(2):
        shop.pay(shop.start("starter", prompt=f"prm_{n}"))
    assert refused(lambda: shop.start("starter", prompt="prm_9")) == (429, "too_many_purchases")
    assert shop.start("pro_monthly", kind="plan", prompt="prm_10").mode == "subscription"


def test_checkouts_that_were_opened_before_any_was_paid_do_not_pass_the_cap(shop: Shop) -> None:
    shop.change(settings={"fraud": {"purchases_per_day": 2}})
    shop.pay(shop.start("starter"))
    sessions = shop.client.v1.checkout.sessions
    plan = shop.start("pro_monthly", kind="plan", prompt="prm_plan")
    opened = [shop.start("starter", prompt=f"prm_{n}").id for n in range(2, 5)]
    states = [sessions.retrieve(one).status for one in opened]
    assert states == ["expired", "expired", "open"]
    assert sessions.retrieve(plan.id).status == "open"
    link = token("prm_5")
    clicks = [shop.service.start_checkout(link, "pack", "starter", PAGE) for _ in range(2)]
    assert sessions.retrieve(clicks[-1].session_id).status == "open"
    shop.pay(sessions.retrieve(clicks[-1].session_id))
    assert refused(lambda: shop.start("starter", prompt="prm_9")) == (429, "too_many_purchases")


def test_without_a_cap_every_checkout_stays_open(shop: Shop) -> None:
    opened = [shop.start("starter", prompt=f"prm_{n}").id for n in range(2)]
    assert {shop.client.v1.checkout.sessions.retrieve(one).status for one in opened} == {"open"}


def test_fresh_credit_is_shown_and_opens_later(shop: Shop) -> None:
    shop.change(settings={"fraud": {"fresh_hours": 24, "fresh_percent": 25}})
    shop.pay(shop.start("starter"))
    (lot,) = shop.service.page(token("prm_look")).standing.lots
    assert lot.fresh_nano == 10**9
    assert lot.usable_nano(lot.granted_ms) == 10**9
    assert lot.usable_nano(lot.granted_ms + 24 * 3_600_000) == 4 * 10**9
    (shown,) = shop.usage["credits"]
    assert (shown["display"], shown["checking_display"][:2]) == ("$5.00", "$3")
    assert shown["checking_until"] == rfc3339(lot.granted_ms + 24 * 3_600_000)


def test_a_payment_of_long_ago_opens_credit_at_once_until_it_is_disputed(shop: Shop) -> None:
    fraud = {"fresh_hours": 24, "fresh_percent": 25, "trusted_days": 30}
    shop.change(settings={"fraud": fraud})
    long_ago_ms = clock() - 31 * 86_400_000
    shop.store.grant(Grant("ada", "pi_old", "starter", 10**9, 100, "usd", None, None, long_ago_ms))
    trusted = shop.start("starter").metadata.to_dict()
    assert "fresh_hours" not in trusted
    shop.store.claim(Claim("ada", "pi_old", "dp_1", (1, 1), 0, Hold.OPEN, clock()))
    doubted = shop.start("starter", prompt="prm_2").metadata.to_dict()
    assert (doubted["fresh_hours"], doubted["fresh_nano"]) == ("24", str(10**9))


def test_a_subscriber_changes_the_plan_and_pays_the_difference(shop: Shop) -> None:
    shop.change(
        tiers={"max": {"rank": 20, "limits": {"monthly": {"limit_usd": "50"}}}},
        plans={"max_monthly": {"label": "Max", "tier": "max", "price_minor": 5000}},
    )
    shop.pay(shop.start("pro_monthly", kind="plan"))
    assert shop.usage["tier"] == "pro"
    time.sleep(1.1)  # of two words of one second the order would be arbitrary
    started = shop.service.start_checkout(token("prm_2"), "plan", "max_monthly", PAGE)
    assert started.url.startswith(f"{PAGE}/upgrade/done?t=")
    (subscription,) = shop.client.v1.subscriptions.list().data
    assert subscription.metadata["plan"] == "max_monthly"
    assert subscription.items.data[0].price.unit_amount == 5000
    shop.hear()
    assert shop.usage["tier"] == "max"
    assert shop.service.status(token("prm_2"))["state"] == "paid"
    paid = [i.amount_paid for i in shop.client.v1.invoices.list().data]
    assert sum(paid) == pytest.approx(5000, abs=5)
    bought = {(s.prompt_id, s.minor) for s in shop.steps if s.kind is StepKind.PAID}
    assert bought == {("prm_1", 1200), ("prm_2", paid[0])}


def test_the_portal_is_for_who_bought_something(shop: Shop) -> None:
    assert refused(lambda: shop.service.portal_url(token("prm_1"), PAGE)) == (404, "no_customer")
    shop.pay(shop.start("pro_monthly", kind="plan"))
    url = shop.service.portal_url(token("prm_2"), PAGE)
    assert url.startswith(shop.server.url)
    assert httpx.get(url).status_code == 200
