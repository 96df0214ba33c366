"""Pay a payment intent: at once, later, or not at all."""

from dataclasses import dataclass

from infra.local.stripe_local import clockwork
from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.events import emit
from infra.local.stripe_local.flows import cards
from infra.local.stripe_local.objects import payments
from infra.local.stripe_local.objects.balance import charge_transaction

_BANK_FAILED = "payment_intent_payment_attempt_failed"
_NOT_AUTHENTICATED = (
    "We are unable to authenticate your payment method. Please choose a different payment method "
    "and try again."
)


@dataclass(frozen=True)
class Payer:
    """What the payer typed into the Checkout page."""

    email: str
    name: str
    country: str = "US"
    card: str = cards.GOOD_CARD


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


def create_method(account: Account, kind: str, payer: Payer, customer: str | None) -> Json:
    """Create the payer's payment method, attached to the customer where there is one."""
    method = account.add(
        payments.payment_method(
            account.new_id("payment_method"),
            kind=kind,
            details=payments.billing_details(
                email=payer.email or None, name=payer.name or None, country=payer.country
            ),
            created=account.now(),
            customer=None,
            last4=payer.card[-4:],
        ),
        card=payer.card,
    )
    if customer is not None:
        attach_method(account, method, customer)
    return method


def attach_method(account: Account, method: Json, customer: str) -> None:
    """Save the method for the customer; nothing to do where that is so."""
    if method["customer"] != customer:
        method["customer"] = customer
        emit(account, "payment_method.attached", method)


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


def needs_challenge(account: Account, method: Json) -> bool:
    """Say whether the bank asks the payer before it pays by this card."""
    if method["type"] != "card":
        return False
    hidden = account.private(method["id"])
    challenge = cards.card_of(hidden.get("card", "")).challenge
    return challenge == "always" or (challenge == "unless_set_up" and not hidden.get("set_up"))


def challenge(account: Account, intent: Json, method: Json, url: str) -> None:
    """Have the payer answer the bank at `url`: the intent is `requires_action` until then."""
    intent |= {
        "last_payment_error": None,
        "next_action": {
            "redirect_to_url": {"return_url": None, "url": url},
            "type": "redirect_to_url",
        },
        "payment_method": method["id"],
        "status": "requires_action",
    }
    emit(account, "payment_intent.requires_action", intent)


def fail_challenge(account: Account, intent: Json) -> None:
    """The payer did not pass the bank's question: no charge was made."""
    method = account.get("payment_method", intent["payment_method"])
    code = "payment_intent_authentication_failure"
    error = {
        "code": code,
        "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}",
        "message": _NOT_AUTHENTICATED,
        "type": "invalid_request_error",
    }
    _reject(account, intent, error, method)


def charge_card(
    account: Account, intent: Json, method: Json, receipt_url: str, *, off_session: bool = False
) -> bool:
    """Charge a card, whose bank was asked where it wanted to; say whether it paid."""
    charge = attempt(account, intent, method, receipt_url)
    decline = declines(account, method, off_session=off_session)
    if decline is None:
        succeed(account, intent, charge)
    else:
        fail(account, intent, charge, decline)
    return decline is None


def declines(account: Account, method: Json, *, off_session: bool) -> str | None:
    """Return the decline code that a charge of this card would have now, None if it would pay."""
    hidden = account.private(method["id"])
    card = cards.card_of(hidden.get("card", ""))
    if hidden.get("fails") is not None:
        return str(hidden["fails"])
    if off_session and needs_challenge(account, method):
        return "authentication_required"
    if card.declines_saved and off_session:
        return "generic_decline"
    return card.decline


def hold(account: Account, intent: Json, charge: Json) -> None:
    """The bank will say later: the intent is `processing`, the charge `pending`."""
    intent |= {"status": "processing", "last_payment_error": None}
    emit(account, "charge.pending", charge)
    emit(account, "payment_intent.processing", intent)


def answer_later(account: Account, intent: Json) -> None:
    """Have the bank pay a debit that is on hold, `delayed_s` seconds from now."""
    at = account.clock() + account.delayed_s
    clockwork.schedule(account, at, "payment.settle", id=intent["id"])


def settle(account: Account, arguments: Json) -> None:
    """Job: the bank pays, where the intent was not canceled meanwhile."""
    intent = account.get("payment_intent", arguments["id"])
    if intent["status"] == "processing":
        succeed(account, intent, account.get("charge", intent["latest_charge"]))


def succeed(account: Account, intent: Json, charge: Json) -> None:
    """The money came: both are `succeeded`, and the balance has it, less a fee."""
    amount = intent["amount"]
    transaction = account.add(charge_transaction(account, charge))
    charge |= {
        "amount_captured": amount,
        "balance_transaction": transaction["id"],
        "captured": True,
        "outcome": payments.outcome(None),
        "paid": True,
        "status": "succeeded",
    }
    intent |= {
        "amount_received": amount,
        "last_payment_error": None,
        "next_action": None,
        "status": "succeeded",
    }
    if intent["setup_future_usage"] is not None and intent["customer"] is not None:
        method = account.get("payment_method", charge["payment_method"])
        account.private(method["id"])["set_up"] = True
        attach_method(account, method, intent["customer"])
    emit(account, "charge.succeeded", charge)
    emit(account, "payment_intent.succeeded", intent)
    _follow_up(account, charge)


def _follow_up(account: Account, charge: Json) -> None:
    """Some test cards regret their payment: a moment later, as what is under way ends first."""
    card = cards.card_of(account.private(charge["payment_method"]).get("card", ""))
    if card.dispute is not None:
        clockwork.schedule(account, account.clock(), "dispute.open", charge=charge["id"])
    if card.warns:
        clockwork.schedule(account, account.clock(), "dispute.warn", charge=charge["id"])


def fail(account: Account, intent: Json, charge: Json, decline: str = "generic_decline") -> None:
    """The card or the bank said no: the intent waits for another payment method."""
    method = account.get("payment_method", charge["payment_method"])
    card = method["type"] == "card"
    error = cards.card_error(decline, charge["id"]) if card else _bank_error(charge)
    charge |= {
        "failure_code": error["code"],
        "failure_message": error["message"],
        "outcome": payments.outcome(decline),
        "status": "failed",
    }
    emit(account, "charge.failed", charge)
    _reject(account, intent, error, method)


def _reject(account: Account, intent: Json, error: Json, method: Json) -> None:
    intent |= {
        "last_payment_error": error | {"payment_method": account.snapshot(method)},
        "next_action": None,
        "payment_method": None,
        "status": "requires_payment_method",
    }
    emit(account, "payment_intent.payment_failed", intent)


def _bank_error(charge: Json) -> Json:
    return {
        "charge": charge["id"],
        "code": _BANK_FAILED,
        "doc_url": f"https://stripe.com/docs/error-codes/{_BANK_FAILED.replace('_', '-')}",
        "message": "The payment was rejected by the payer's bank.",
        "type": "invalid_request_error",
    }


JOBS: dict[str, clockwork.Job] = {"payment.settle": settle}
