"""More at once, less when what is paid is over: asked of a Stripe, and what its events do."""

import json
import time
from typing import Any

import pytest
from tollkeeper_core.domain.funnel import StepKind

from tests.integration.test_checkout import Shop, refused, shop
from tests.integration.test_stripe_webhook import PAGE, token

__all__ = ["shop"]  # a fixture


@pytest.fixture
def max_plan(shop: Shop) -> Shop:
    """A shop whose user has the larger of two plans, with credit included."""
    shop.change(
        tiers={"max": {"rank": 20, "limits": {"monthly": {"limit_usd": "50"}}}},
        plans={
            "max_monthly": {
                "label": "Max",
                "tier": "max",
                "price_minor": 5000,
                "included_credit_usd": "9.00",
            },
            "pro_yearly": {"label": "Year", "tier": "pro", "price_minor": 9, "interval": "year"},
        },
    )
    shop.pay(shop.start("max_monthly", kind="plan"))
    assert shop.usage["tier"] == "max"
    return shop


def purchases(shop: Shop) -> list[tuple[str, str, int]]:
    """The funnel's, each once however often it was told."""
    told = [step for step in shop.steps if step.kind is StepKind.PAID]
    return list(dict.fromkeys((step.prompt_id, step.offer, step.minor) for step in told))


def change(shop: Shop, prompt: str, plan: str) -> str:
    time.sleep(1.1)  # of two words of one second the order would be arbitrary
    started = shop.service.start_checkout(token(prompt), "plan", plan, PAGE)
    shop.hear()
    assert shop.service.status(token(prompt))["state"] == "paid"
    return started.url


def subscription(shop: Shop) -> Any:
    (found,) = shop.client.v1.subscriptions.list().data
    return found


def paid(shop: Shop) -> list[int]:
    return [invoice.amount_paid for invoice in shop.client.v1.invoices.list().data]


def hears_of_the_next_period(shop: Shop) -> None:
    """As when the month is over: Stripe tells the period that has begun."""
    told = json.loads(str(subscription(shop)))
    (item,) = told["items"]["data"]
    ends_s = item["current_period_end"]
    item |= {"current_period_start": ends_s, "current_period_end": ends_s + 30 * 86_400}
    shop.hear(
        [
            {
                "id": "evt_next",
                "type": "customer.subscription.updated",
                "created": ends_s,
                "data": {"object": told},
            }
        ]
    )


def test_less_begins_when_what_is_paid_is_over(max_plan: Shop) -> None:
    shop = max_plan
    page = shop.service.page(token("prm_look"))
    assert ([name for name, _ in page.smaller_plans], page.plans) == (["pro_monthly"], [])

    url = change(shop, "prm_2", "pro_monthly")

    assert url.endswith("&later=pro_monthly")
    assert subscription(shop).items.data[0].price.unit_amount == 1200
    assert paid(shop) == [5000]
    assert shop.usage["tier"] == "max"
    page = shop.service.page(token("prm_look"))
    assert list(page.account.subscriptions.values()) == ["max_monthly"]
    assert list(page.account.next_plans.values()) == ["pro_monthly"]
    assert (page.plans, page.smaller_plans) == ([], [])

    assert purchases(shop) == [("prm_1", "max_monthly", 5000)]  # less is no purchase
    assert "trigger" not in subscription(shop).metadata.to_dict()
    hears_of_the_next_period(shop)
    page = shop.service.page(token("prm_look"))
    assert (page.usage["tier"], dict(page.account.next_plans)) == ("pro", {})
    assert list(page.account.subscriptions.values()) == ["pro_monthly"]


def test_a_trial_is_a_purchase_when_it_is_paid(shop: Shop) -> None:
    shop.change(plans={"pro_monthly": {"trial_days": 7, "included_credit_usd": "9.00"}})
    shop.pay(shop.start("pro_monthly", kind="plan"))
    assert (shop.usage["tier"], purchases(shop), paid(shop)) == ("pro", [], [0])
    found = subscription(shop)
    shop.client.v1.subscriptions.update(found.id, {"trial_end": "now"})
    for _ in range(2):
        shop.hear()
        assert purchases(shop) == [("prm_1", "pro_monthly", 1200)]


def test_the_change_may_be_undone(max_plan: Shop) -> None:
    shop = max_plan
    change(shop, "prm_2", "pro_monthly")

    url = change(shop, "prm_3", "max_monthly")

    assert url.endswith("&plan=max_monthly")
    assert subscription(shop).items.data[0].price.unit_amount == 5000
    assert paid(shop) == [5000]
    metadata = subscription(shop).metadata.to_dict()
    assert not [name for name in metadata if name.startswith("kept_")]
    assert "trigger" not in metadata  # nor is what was bought before
    assert (metadata["plan"], metadata["credit_nano"]) == ("max_monthly", str(9 * 10**9))
    page = shop.service.page(token("prm_look"))
    assert (page.usage["tier"], dict(page.account.next_plans)) == ("max", {})
    hears_of_the_next_period(shop)
    assert shop.usage["tier"] == "max"


def test_what_the_next_plan_lacks_does_not_stay_with_the_subscription(max_plan: Shop) -> None:
    """Stripe keeps metadata that is not named: credit of the old plan would come for ever."""
    change(max_plan, "prm_2", "pro_monthly")
    metadata = subscription(max_plan).metadata.to_dict()
    assert "credit_nano" not in metadata
    assert metadata["kept_credit_nano"] == str(9 * 10**9)


def test_another_interval_is_not_for_later(max_plan: Shop) -> None:
    def choose(plan: str) -> None:
        max_plan.service.start_checkout(token("prm_2"), "plan", plan, PAGE)

    for plan in ("pro_yearly", "max_monthly", "nothing"):
        assert refused(lambda plan=plan: choose(plan)) == (404, "unknown_offer")
    assert paid(max_plan) == [5000]


def test_a_second_change_that_overtakes_the_event_of_the_first_keeps_what_is_paid(
    max_plan: Shop,
) -> None:
    shop = max_plan
    shop.change(plans={"less": {"label": "Less", "tier": "pro", "price_minor": 700}})
    for prompt, plan in (("prm_2", "pro_monthly"), ("prm_3", "less")):  # no webhook in between
        shop.service.start_checkout(token(prompt), "plan", plan, PAGE)
    metadata = subscription(shop).metadata.to_dict()
    assert (metadata["plan"], metadata["kept_plan"]) == ("less", "max_monthly")
    time.sleep(1.1)
    shop.hear()
    assert shop.usage["tier"] == "max"
