"""Pay a payment intent: at once, later, or not at all."""

from dataclasses import dataclass

from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.events import emit
from infra.local.stripe_local.objects import payments

# Test cards, from https://docs.stripe.com/testing.
CARD_LAST4 = "4242"
DECLINED_CARD_LAST4 = "0002"
CARD_DECLINED = "Your card was declined."

_SETTLES_AFTER_S = 2 * 24 * 3600


@dataclass(frozen=True)
class Payer:
    """What the payer typed into the Checkout page."""

    email: str
    name: str
    country: str = "US"


def create_intent(
    account: Account,
    *,
    amount: int,
    currency: str,
    method_types: list[str],
    customer: str | None,
    fields: Json,
) -> Json:
    """Create a payment intent; `fields` are a session's `payment_intent_data`."""
    intent_id = account.new_id("payment_intent")
    intent = account.add(
        payments.payment_intent(
            intent_id,
            amount=amount,
            currency=currency,
            created=account.now(),
            client_secret=f"{intent_id}_{account.mint('client_secret')}",
            method_types=method_types,
            customer=customer,
            fields=fields,
        )
    )
    emit(account, "payment_intent.created", intent)
    return intent


def create_method(
    account: Account, kind: str, payer: Payer, customer: str | None, *, last4: str = CARD_LAST4
) -> Json:
    """Create the payer's payment method, attached to the customer where there is one."""
    method = account.add(
        payments.payment_method(
            account.new_id("payment_method"),
            kind=kind,
            details=payments.billing_details(
                email=payer.email, name=payer.name, country=payer.country
            ),
            created=account.now(),
            customer=customer,
            last4=last4,
        )
    )
    if customer is not None:
        emit(account, "payment_method.attached", method)
    return method


def attempt(account: Account, intent: Json, method: Json, receipt_url: str) -> Json:
    """Put a charge on the intent, still without an outcome; return the charge."""
    charge = account.add(
        payments.charge(
            account.new_id("charge"),
            intent=intent,
            method=method,
            created=account.now(),
            receipt_url=receipt_url,
        )
    )
    intent |= {"latest_charge": charge["id"], "payment_method": method["id"]}
    return charge


def hold(account: Account, intent: Json, charge: Json) -> None:
    """The bank will say later: the intent is `processing`, the charge `pending`."""
    intent |= {"status": "processing", "last_payment_error": None}
    emit(account, "charge.pending", charge)
    emit(account, "payment_intent.processing", intent)


def succeed(account: Account, intent: Json, charge: Json) -> None:
    """The money came: both are `succeeded`, and the balance has it, less a fee."""
    amount = intent["amount"]
    transaction = account.add(
        payments.balance_transaction(
            account.new_id("balance_transaction"),
            charge=charge,
            created=account.now(),
            available_on=account.now() + _SETTLES_AFTER_S,
            fee=min(amount, (amount * 29 + 500) // 1000 + 30),
        )
    )
    charge |= {
        "amount_captured": amount,
        "balance_transaction": transaction["id"],
        "captured": True,
        "outcome": payments.outcome(approved=True),
        "paid": True,
        "status": "succeeded",
    }
    intent |= {"amount_received": amount, "last_payment_error": None, "status": "succeeded"}
    emit(account, "charge.succeeded", charge)
    emit(account, "payment_intent.succeeded", intent)


def fail(account: Account, intent: Json, charge: Json) -> None:
    """The card or the bank said no: the intent waits for another payment method."""
    method = account.get("payment_method", charge["payment_method"])
    error = _card_error(charge) if method["type"] == "card" else _bank_error(charge)
    charge |= {
        "failure_code": error["code"],
        "failure_message": error["message"],
        "outcome": payments.outcome(approved=False),
        "status": "failed",
    }
    intent |= {
        "last_payment_error": error | {"payment_method": account.snapshot(method)},
        "payment_method": None,
        "status": "requires_payment_method",
    }
    emit(account, "charge.failed", charge)
    emit(account, "payment_intent.payment_failed", intent)


def _card_error(charge: Json) -> Json:
    return {
        "advice_code": "try_again_later",
        "charge": charge["id"],
        "code": "card_declined",
        "decline_code": "generic_decline",
        "doc_url": "https://stripe.com/docs/error-codes/card-declined",
        "message": CARD_DECLINED,
        "network_decline_code": "05",
        "type": "card_error",
    }


def _bank_error(charge: Json) -> Json:
    return {
        "charge": charge["id"],
        "code": "payment_intent_payment_attempt_failed",
        "doc_url": "https://stripe.com/docs/error-codes/payment-intent-payment-attempt-failed",
        "message": "The payment was rejected by the payer's bank.",
        "type": "invalid_request_error",
    }
