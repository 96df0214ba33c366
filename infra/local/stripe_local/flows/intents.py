"""Payment intents that the API creates: confirm, charge a saved card, answer the bank, cancel."""

from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.errors import StripeError, unexpected_state
from infra.local.stripe_local.events import emit
from infra.local.stripe_local.flows import cards, payments
from infra.local.stripe_local.words import words

_CONFIRMABLE = words("requires_payment_method requires_confirmation requires_action")
_CANCELABLE = (
    "requires_payment_method",
    "requires_capture",
    "requires_confirmation",
    "requires_action",
    "processing",
)


def confirm(
    account: Account,
    intent: Json,
    method: Json,
    *,
    off_session: bool,
    refuse_challenge: bool,
    base_url: str,
) -> Json:
    """Charge `method`. Raises StripeError (402, card_error) with the intent where that failed."""
    if intent["status"] not in _CONFIRMABLE:
        raise unexpected_state(
            f"You cannot confirm this PaymentIntent because it has already "
            f"{intent['status']} after being previously confirmed.",
            intent,
        )
    receipt_url = f"{base_url}/_local#{intent['id']}"
    if method["type"] != "card":
        payments.hold(account, intent, payments.attempt(account, intent, method, receipt_url))
        payments.answer_later(account, intent)
    elif payments.needs_challenge(account, method) and not off_session:
        if refuse_challenge:
            payments.charge_card(account, intent, method, receipt_url, off_session=True)
            raise payment_error(account, intent)
        payments.challenge(account, intent, method, f"{base_url}/c/challenge/{intent['id']}")
    elif not payments.charge_card(account, intent, method, receipt_url, off_session=off_session):
        raise payment_error(account, intent)
    return intent


def payment_error(account: Account, intent: Json) -> StripeError:
    """Return the answer (402) to a request whose payment failed: the error carries the intent."""
    error = dict(intent["last_payment_error"])
    message, kind = error.pop("message"), error.pop("type")
    error.pop("doc_url", None)
    return StripeError(
        message,
        status=402,
        kind=kind,
        code=error.pop("code"),
        more=error | {"payment_intent": account.snapshot(intent)},
    )


def cancel(account: Account, intent: Json, reason: str | None) -> Json:
    """Cancel an intent that took no money. Raises StripeError (400) for any other."""
    if intent["status"] not in _CANCELABLE:
        raise unexpected_state(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. "
            "Only a PaymentIntent with one of the following statuses may be canceled: "
            f"{', '.join(_CANCELABLE)}.",
            intent,
        )
    intent |= {
        "canceled_at": account.now(),
        "cancellation_reason": reason,
        "next_action": None,
        "status": "canceled",
    }
    emit(account, "payment_intent.canceled", intent)
    return intent


def method_of_token(account: Account, token: str) -> Json | None:
    """Return a new payment method for one of Stripe's names (`pm_card_visa`), None for others."""
    number = cards.TOKENS.get(token)
    if number is None:
        return None
    payer = payments.Payer(email="", name="", card=number)
    return payments.create_method(account, "card", payer, None)
