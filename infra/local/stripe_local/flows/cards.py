"""Stripe's own test cards: what each does. Source: https://docs.stripe.com/testing."""

from dataclasses import dataclass

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.words import words

GOOD_CARD = "4242424242424242"
DECLINED_CARD = "4000000000000002"


@dataclass(frozen=True)
class TestCard:
    """What a card number does when it is charged. All of them are Visa cards here."""

    says: str
    """What it is for, in a few words: the Checkout page lists it."""
    decline: str | None = None
    """The decline code of every charge."""
    declines_saved: bool = False
    """It pays on session, and each later charge of the saved card is declined."""
    challenge: str = "never"
    """When the bank asks the payer: `never`, `always`, or `unless_set_up` for later use."""
    dispute: str | None = None
    """The reason of the dispute that follows each charge."""
    inquiry: bool = False
    """The dispute is an inquiry: no money is taken while it lasts."""
    warns: bool = False
    """An early fraud warning follows each charge."""
    refund: str = "succeeds"
    """What becomes of a refund: `succeeds`, `pending` (succeeds later), `fails` (later)."""


TEST_CARDS: dict[str, TestCard] = {
    GOOD_CARD: TestCard("pays"),
    DECLINED_CARD: TestCard("is declined", decline="generic_decline"),
    "4000000000009995": TestCard("has insufficient funds", decline="insufficient_funds"),
    "4000000000009987": TestCard("is reported lost", decline="lost_card"),
    "4000000000000069": TestCard("has expired", decline="expired_card"),
    "4000000000000127": TestCard("has a wrong security code", decline="incorrect_cvc"),
    "4000000000000119": TestCard("meets a processing error", decline="processing_error"),
    "4000000000000341": TestCard("pays once, and is declined when saved", declines_saved=True),
    "4000002500003155": TestCard("asks the payer, unless set up", challenge="unless_set_up"),
    "4000002760003184": TestCard("asks the payer each time", challenge="always"),
    "4000008260003178": TestCard(
        "asks the payer, then has insufficient funds",
        challenge="unless_set_up",
        decline="insufficient_funds",
    ),
    "4000000000000259": TestCard("pays, then is disputed as fraudulent", dispute="fraudulent"),
    "4000000000002685": TestCard("pays, then nothing came", dispute="product_not_received"),
    "4000000000001976": TestCard("pays, then inquires", dispute="fraudulent", inquiry=True),
    "4000000000005423": TestCard("pays, then warns of fraud", warns=True),
    "4000000000007726": TestCard("pays, and is refunded later", refund="pending"),
    "4000000000005126": TestCard("pays, and its refund fails", refund="fails"),
}

# The payment methods that Stripe makes of a test card by name.
TOKENS: dict[str, str] = {
    "pm_card_visa": GOOD_CARD,
    "pm_card_visa_chargeDeclined": DECLINED_CARD,
    "pm_card_chargeDeclined": DECLINED_CARD,
    "pm_card_visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_authenticationRequiredOnSetup": "4000002500003155",
    "pm_card_authenticationRequired": "4000002760003184",
    "pm_card_createDispute": "4000000000000259",
    "pm_card_createDisputeProductNotReceived": "4000000000002685",
    "pm_card_createDisputeInquiry": "4000000000001976",
    "pm_card_createIssuerFraudRecord": "4000000000005423",
    "pm_card_pendingRefund": "4000000000007726",
    "pm_card_refundFail": "4000000000005126",
}

_MESSAGES = {
    "authentication_required": "Your card was declined. This transaction requires authentication.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "insufficient_funds": "Your card has insufficient funds.",
    "processing_error": (
        "An error occurred while processing your card. Try again in a little bit."
    ),
}
_OWN_CODE = words("authentication_required expired_card incorrect_cvc processing_error")
_FINAL = words("lost_card expired_card")
DECLINES = words(
    """
    authentication_required expired_card generic_decline incorrect_cvc insufficient_funds lost_card
    processing_error
    """
)
DECLINED = "Your card was declined."


def card_of(number: str) -> TestCard:
    """Return what a number does; one that Stripe does not list pays."""
    return TEST_CARDS.get(number, TEST_CARDS[GOOD_CARD])


def read_number(typed: str) -> str | None:
    """Return the digits of a card number, or None for what is no card number (Luhn)."""
    digits = "".join(typed.split()).replace("-", "")
    if not digits.isascii() or not digits.isdecimal() or not 12 <= len(digits) <= 19:
        return None
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return digits if sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0 else None


def card_error(decline: str, charge: str | None) -> Json:
    """Return the error of a declined charge, as `last_payment_error` has it."""
    code = decline if decline in _OWN_CODE else "card_declined"
    error: Json = {
        "advice_code": "do_not_try_again" if decline in _FINAL else "try_again_later",
        "code": code,
        "decline_code": decline,
        "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}",
        "message": _MESSAGES.get(decline, DECLINED),
        "network_decline_code": "05",
        "type": "card_error",
    }
    if charge is not None:
        error["charge"] = charge
    return error
