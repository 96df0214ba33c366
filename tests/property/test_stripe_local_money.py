"""Whatever happens to payments at the local Stripe, its sums, balance and events agree."""

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local.stripe_local.account import Account
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.flows import cards, disputes, payments, refunds, time_travel
from infra.local.stripe_local.objects.balance import DISPUTE_FEE, charge_fee

NUMBERS = sorted(cards.TEST_CARDS)
ACTIONS = st.one_of(
    st.tuples(st.just("pay"), st.sampled_from(NUMBERS), st.integers(50, 99_999)),
    st.tuples(st.just("refund"), st.integers(0, 9), st.none() | st.integers(1, 99_999)),
    st.tuples(st.just("dispute"), st.integers(0, 9), st.booleans()),
    st.tuples(st.just("decide"), st.integers(0, 9), st.booleans()),
    st.tuples(st.just("wait"), st.just(0), st.just(0)),
)


def _nth(account: Account, kind: str, n: int) -> Any:
    found = list(account.each(kind))
    return found[n % len(found)] if found else None


def _pay(account: Account, number: str, amount: int) -> None:
    payer = payments.Payer(email="a@example.com", name="A", card=number)
    method = payments.create_method(account, "card", payer, None)
    intent = payments.create_intent(
        account, amount=amount, currency="usd", method_types=["card"], customer=None, fields={}
    )
    payments.charge_card(account, intent, method, "http://127.0.0.1/")


def _do(account: Account, name: str, which: Any, how: Any) -> None:
    if name == "pay":
        _pay(account, which, how)
    elif name == "wait":
        time_travel.advance_account(account, 10)
    elif name == "decide":
        if (dispute := _nth(account, "dispute", which)) is not None:
            disputes.decide(account, dispute, won=how)
    elif (charge := _nth(account, "charge", which)) is not None:
        if name == "refund":
            refunds.create_refund(account, charge, how, {})
        else:
            disputes.open_dispute(account, charge, inquiry=how)


@given(st.lists(ACTIONS, max_size=25))
@settings(max_examples=150, deadline=None)
def test_sums_agree(actions: list[tuple[str, Any, Any]]) -> None:
    account = Account(seed=1, clock=lambda: 1_800_000_000.0, delayed_s=5)
    for name, which, how in actions:
        # What cannot be done now is refused, and changes nothing that the sums would show.
        with contextlib.suppress(StripeError):
            _do(account, name, which, how)
    _check_refunds(account)
    _check_balance(account)
    _check_events(account)


def _check_refunds(account: Account) -> None:
    for charge in account.each("charge"):
        kept = [
            refund["amount"]
            for refund in account.each("refund")
            if refund["charge"] == charge["id"] and refund["status"] != "failed"
        ]
        assert charge["amount_refunded"] == sum(kept) <= charge["amount"]
        assert charge["refunded"] == (charge["amount_refunded"] == charge["amount"])
        assert charge["paid"] or not kept


def _check_balance(account: Account) -> None:
    paid = [c["amount"] for c in account.each("charge") if c["paid"]]
    back = [r["amount"] for r in account.each("refund") if r["status"] != "failed"]
    taken = [
        d["amount"] + DISPUTE_FEE
        for d in account.each("dispute")
        if d["status"] in ("needs_response", "under_review", "lost")
    ]
    for charge in account.each("charge"):
        lost = [
            d["amount"]
            for d in account.each("dispute")
            if d["charge"] == charge["id"] and d["balance_transactions"] and d["status"] != "won"
        ]
        assert charge["amount_refunded"] + sum(lost) <= charge["amount"]
    net = sum(transaction["net"] for transaction in account.each("balance_transaction"))
    assert net == sum(a - charge_fee(a) for a in paid) - sum(back) - sum(taken)


def _check_events(account: Account) -> None:
    """The last that was told of an object is how it is now."""
    told = {
        e["data"]["object"]["id"]: e["data"]["object"]
        for e in reversed(list(account.each("event")))
    }
    for kind in ("charge", "dispute", "payment_intent", "radar.early_fraud_warning", "refund"):
        for obj in account.each(kind):
            assert told[obj["id"]] == obj
