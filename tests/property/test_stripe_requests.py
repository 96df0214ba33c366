"""Whatever the owner configures and a payer chooses, Stripe is asked as its own types have it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stripe import RequestOptions
from stripe.params import SubscriptionUpdateParams
from stripe.params.checkout import SessionCreateParams
from tollkeeper_core.adapters.stripe_billing import StripeBilling
from tollkeeper_core.adapters.stripe_lists import StripeLists
from tollkeeper_core.adapters.stripe_reads import StripeReads
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.movements import SubscriptionState
from tollkeeper_core.domain.offers import Choice

from infra.setup.stripe_endpoint import register_webhook
from tests.support.memory_ledger import MemoryConfig
from tests.support.stripe_params import TypedStripe, WrongParameterError, problems
from tests.support.upgrade import NOW_MS, Upgrade

PAGE = "https://page.test"
PRICES = st.integers(1, 99_999)
CREDIT = st.sampled_from(["0.01", "4.00", "900.5"])
CURRENCIES = st.sampled_from(["usd", "eur", "jpy"])
LABELS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=80)


@st.composite
def packs(draw: st.DrawFn) -> dict[str, Any]:
    price = draw(PRICES)
    how = draw(st.sampled_from(["fixed", "quantity", "amount"]))
    amount = {"amount": {"min_minor": 1, "max_minor": 99_999_999}} if how == "amount" else {}
    return {
        "label": draw(LABELS),
        "price_minor": price,
        "currency": draw(CURRENCIES),
        "credit_usd": draw(CREDIT),
        "expires_days": draw(st.sampled_from([None, 365])),
        "max_quantity": 9 if how == "quantity" else 1,
        "fresh_hours": draw(st.sampled_from([None, 24])),
        **amount,
    }


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    credit = draw(st.sampled_from([None, "9.00"]))
    return {
        "label": draw(LABELS),
        "tier": "pro",
        "price_minor": draw(PRICES),
        "currency": draw(CURRENCIES),
        "interval": draw(st.sampled_from(["month", "year"])),
        "trial_days": draw(st.sampled_from([None, 1, 730])),
        "included_credit_usd": credit,
        "rollover": draw(st.booleans()) if credit else False,
    }


def configs(pack: dict[str, Any], plan: dict[str, Any], checkout: dict[str, Any]) -> Config:
    return Config.model_validate({
        "settings": {
            "checkout": checkout, "fraud": {"fresh_percent": 25, "purchases_per_day": 9}
        },
        "tiers": {"free": {"limits": {}}, "pro": {"rank": 5, "limits": {}}},
        "packs": {"pack": pack},
        "plans": {"plan": plan},
    })  # fmt: skip


def typed(adapter: Any) -> TypedStripe:
    """Puts the typed Stripe in the place of an adapter's client."""
    client = TypedStripe()
    adapter.__dict__["_client"] = client
    return client


OPTIONS = st.fixed_dictionaries(
    {
        **dict.fromkeys(("promotion_codes", "automatic_tax", "tax_ids", "receipts"), st.booleans()),
        "embedded_key": st.sampled_from([None, "pk_test_" + "a" * 24]),
    }
)
USERS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)


@settings(deadline=None)
@given(
    packs(), plans(), OPTIONS, USERS.filter(lambda u: len(u) < 129), st.booleans(), st.booleans()
)
def test_a_purchase_is_asked_for_as_the_types_have_it(
    pack: dict[str, Any],
    plan: dict[str, Any],
    checkout: dict[str, Any],
    user: str,
    known: bool,
    runs: bool,
) -> None:
    up = Upgrade(config=MemoryConfig(configs(pack, plan, checkout)))
    billing = StripeBilling("sk_test_none")
    client, service = typed(billing), replace(up.service, billing=billing)
    if known:
        up.ledger.keep_customer(user, "cus_1", None)
    if runs:
        until = (NOW_MS + 10**9, (1, 0), None, NOW_MS)
        up.ledger.apply_subscription(SubscriptionState(user, "sub_1", "old", "free", *until))
    choice = Choice(quantity=pack["max_quantity"], embedded=True)
    if "amount" in pack:
        choice = Choice(amount_text="1234", embedded=True)
    token = up.token(user)

    service.start_checkout(token, "pack", "pack", PAGE, choice)
    service.start_checkout(token, "plan", "plan", PAGE, Choice(embedded=True))
    service.portal_url(token, PAGE)

    made = [] if known else ["v1.customers.create"]
    look = "v1.subscriptions.retrieve"
    change = [look, "v1.products.create", look, "v1.subscriptions.update"]
    sold, others = "v1.checkout.sessions.create", "v1.checkout.sessions.list"
    assert client.asked == [
        *made, sold, others, *(change if runs else [sold]), "v1.billing_portal.sessions.create"
    ]  # fmt: skip


@given(st.integers(0, 2 * 10**9), st.integers(0, 2 * 10**9))
def test_lists_are_asked_for_as_the_types_have_it(since_s: int, now_s: int) -> None:
    lists = StripeLists("sk_test_none")
    client = typed(lists)
    found = lists.since(since_s, now_s)
    assert [list(read()) for read in found.values()] == [[]] * 7
    assert len(set(client.asked)) == len(found)


def test_look_ups_are_asked_for_as_the_types_have_it() -> None:
    reads = StripeReads("sk_test_none")
    client = typed(reads)
    assert reads.paid_by("pi_1") is None
    assert reads.payment_of("ch_1") == "pi_1"
    assert reads.refunds_of("pi_1") == []
    asked = ["payment_intents.retrieve", "invoice_payments.list", "charges.retrieve"]
    assert client.asked == [f"v1.{name}" for name in (*asked, "refunds.list")]


def test_the_webhook_is_registered_as_the_types_have_it() -> None:
    """Every event that it names is one of Stripe's, of the pinned version."""
    client: Any = TypedStripe()
    assert register_webhook(client, "https://hook.test") == "whsec_1"
    assert client.asked == [f"v1.webhook_endpoints.{name}" for name in ("list", "create")]


LINE = {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 5, "product": "p"}}


@pytest.mark.parametrize(
    ("params", "wrong"),
    [
        ({"allow_promotions": True}, "params.allow_promotions is not known"),
        ({"mode": "pay"}, "params.mode is 'pay'"),
        ({"expires_at": "1"}, "params.expires_at is '1'"),
        ({"expires_at": True}, "params.expires_at is True"),
        ({"line_items": [LINE | {"qty": 1}]}, "params.line_items[0].qty is not known"),
        ({"line_items": LINE}, "params.line_items is no list"),
        ({"metadata": {"n": 1}}, "params.metadata.n is 1"),
        ({"idempotency_key": "k"}, "params.idempotency_key is not known"),
        ({"automatic_tax": {}}, "params.automatic_tax.enabled is missing"),
    ],
)
def test_what_is_wrong_is_seen(params: dict[str, Any], wrong: str) -> None:
    (found,) = problems(params, SessionCreateParams)
    assert found.startswith(wrong)
    with pytest.raises(WrongParameterError):
        TypedStripe().v1.checkout.sessions.create(params)


def test_what_is_right_is_not() -> None:
    assert not list(problems({"mode": "payment", "line_items": [LINE]}, SessionCreateParams))
    assert not list(problems({"metadata": {"n": ""}, "cancel_at": ""}, SubscriptionUpdateParams))
    assert list(problems({"proration_behavior": "now"}, SubscriptionUpdateParams))
    assert list(problems({"key": "k"}, RequestOptions))
