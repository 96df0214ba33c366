"""Balance transactions: what each movement of money leaves in the account, with its fee."""

from typing import Any

from infra.local.stripe_local.account import Account

Json = dict[str, Any]

_SETTLES_AFTER_S = 2 * 24 * 3600
DISPUTE_FEE = 1500
"""Minor units, as in the United States. Source: https://stripe.com/pricing."""


def charge_fee(amount: int) -> int:
    """Return Stripe's fee on a payment: 2.9% and 30 minor units, half up, never above it."""
    return min(amount, (amount * 29 + 500) // 1000 + 30)


def charge_transaction(account: Account, charge: Json) -> Json:
    """The balance transaction of a charge that succeeded."""
    card = charge["payment_method_details"]["type"] == "card"
    return transaction(
        account,
        kind="charge" if card else "payment",
        category="charge",
        amount=charge["amount"],
        fee=charge_fee(charge["amount"]),
        currency=charge["currency"],
        source=charge["id"],
        description=charge["description"],
    )


def transaction(
    account: Account,
    *,
    kind: str,
    category: str,
    amount: int,
    fee: int,
    currency: str,
    source: str,
    description: str | None,
) -> Json:
    """A `balance_transaction`. `amount`: minor units, negative where money leaves."""
    return {
        "id": account.new_id("balance_transaction"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": account.now() + _SETTLES_AFTER_S,
        "balance_type": "payments",
        "created": account.now(),
        "currency": currency,
        "description": description,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [_fee(fee, currency, category)] if fee else [],
        "net": amount - fee,
        "reporting_category": category,
        "source": source,
        "status": "pending",
        "type": kind,
    }


def _fee(fee: int, currency: str, category: str) -> Json:
    return {
        "amount": fee,
        "application": None,
        "currency": currency,
        "description": "Dispute fee" if category == "dispute" else "Stripe processing fees",
        "type": "stripe_fee",
    }
