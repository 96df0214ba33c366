"""Over any history, the local Stripe bills each period of a subscription once, and tells of it."""

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local.stripe_local.account import Account, Cause
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.flows import (
    changes,
    customers,
    payments,
    renewals,
    subscriptions,
    time_travel,
)
from infra.local.stripe_local.objects import catalog

DAY_S = 24 * 3600
UPDATES: list[Any] = [
    {"cancel_at_period_end": True},
    {"cancel_at_period_end": False},
    {"pause_collection": {"behavior": "void"}},
    {"pause_collection": {"behavior": "keep_as_draft"}},
    {"pause_collection": ""},
    {"billing_cycle_anchor": {"type": "now"}},
    {"trial_end": "now"},
    {"metadata": {"a": "b"}},
]
ACTIONS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([0.5, 3, 6, 8, 40])),
    st.tuples(st.just("card"), st.sampled_from([None, "generic_decline", "expired_card"])),
    st.tuples(st.just("update"), st.sampled_from(UPDATES)),
    st.tuples(
        st.just("quantity"),
        st.tuples(st.integers(1, 5), st.sampled_from(["create_prorations", "always_invoice"])),
    ),
    st.tuples(st.just("pay"), st.none()),
)


def _subscribe(account: Account, trial_days: int, interval: str) -> tuple[Any, Any]:
    customer = customers.create_customer(account, {"email": "a@example.com"}, Cause())
    payer = payments.Payer(email="a@example.com", name="A")
    method = payments.create_method(account, "card", payer, customer["id"])
    product = account.add(catalog.product("prod_1", name="Plan", created=account.now()))
    price = account.add(
        catalog.price(
            "price_1",
            product_id=product["id"],
            currency="usd",
            unit_amount=999,
            created=account.now(),
            recurring={"interval": interval},
        )
    )
    fields = {"trial_end": account.now() + trial_days * DAY_S} if trial_days else {}
    subscription = subscriptions.create(
        account,
        customer=customer,
        method=method,
        lines=[{"price": price, "quantity": 1}],
        fields=fields,
    )
    invoice = subscriptions.draft_invoice(account, subscription, "subscription_create")
    renewals.finalize_and_collect(account, invoice)
    return subscription, method


def _do(account: Account, subscription: Any, method: Any, name: str, how: Any) -> None:
    if name == "wait":
        time_travel.advance_account(account, how * DAY_S)
    elif name == "card":
        account.private(method["id"])["fails"] = how
    elif name == "update":
        changes.update(account, subscription, how, Cause())
    elif name == "quantity":
        item = {"id": subscription["items"]["data"][0]["id"], "quantity": how[0]}
        fields = {"items": [item], "proration_behavior": how[1]}
        changes.update(account, subscription, fields, Cause())
    else:
        owed = [i for i in account.each("invoice") if i["status"] == "open"]
        if owed:
            renewals.collect(account, owed[0])


@given(st.lists(ACTIONS, max_size=14), st.sampled_from([0, 7]), st.sampled_from(["week", "month"]))
@settings(max_examples=120, deadline=None)
def test_each_period_is_billed_once_and_told_of(
    actions: list[tuple[str, Any]], trial_days: int, interval: str
) -> None:
    account = Account(seed=1, clock=lambda: 1_800_000_000.0, delayed_s=5)
    subscription, method = _subscribe(account, trial_days, interval)
    for name, how in actions:
        with contextlib.suppress(StripeError):
            _do(account, subscription, method, name, how)
        _check_invoices(account)
        _check_periods(account)
        _check_events(account)
    _check_status(account, subscription)


def _check_invoices(account: Account) -> None:
    """What an invoice says was paid is what came in for it, once."""
    for invoice in account.each("invoice"):
        total = sum(line["amount"] for line in invoice["lines"]["data"])
        assert invoice["total"] == total
        assert invoice["amount_due"] == invoice["amount_paid"] + invoice["amount_remaining"]
        came = [
            account.get("payment_intent", p["payment"]["payment_intent"])["amount_received"]
            for p in account.each("invoice_payment")
            if p["invoice"] == invoice["id"]
        ]
        assert sum(came) == (invoice["amount_paid"] if invoice["status"] == "paid" else 0)
    for intent in account.each("payment_intent"):
        charges = [c for c in account.each("charge") if c["payment_intent"] == intent["id"]]
        assert sum(c["amount"] for c in charges if c["paid"]) == intent["amount_received"]


def _check_periods(account: Account) -> None:
    """No two invoices charge for the same period of a subscription's item, and none before it."""
    charged = [
        (line["period"]["start"], invoice["created"])
        for invoice in account.each("invoice")
        for line in invoice["lines"]["data"]
        if (line["parent"] or {}).get("type") == "subscription_item_details" and line["amount"]
    ]
    begun = [start for start, _ in charged]
    assert len(begun) == len(set(begun)) or _restarted_at_once(account)
    assert all(start <= created for start, created in charged)


def _restarted_at_once(account: Account) -> bool:
    """A cycle begun anew in the second in which it began: both are charged, one credited."""
    return any(item["amount"] < 0 for item in account.each("invoiceitem"))


def _check_events(account: Account) -> None:
    """The last that was told of an object is how it is now: who only hears events knows it all."""
    oldest_first = reversed(list(account.each("event")))
    told = {obj["id"]: obj for obj in (event["data"]["object"] for event in oldest_first)}
    for kind in ("invoice", "subscription"):
        for obj in account.each(kind):
            if obj["id"] in told:
                assert told[obj["id"]] == obj


def _check_status(account: Account, subscription: Any) -> None:
    ended = subscription["status"] in subscriptions.ENDED
    assert (subscription["ended_at"] is not None) == ended
    if subscription["status"] == "active":
        assert subscriptions.end_of(subscription) > account.now()
