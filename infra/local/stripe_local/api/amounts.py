"""What amounts and currencies the API takes."""

from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.money import CURRENCIES, show_amount

AMOUNT_MIN = 50
AMOUNT_MAX = 99_999_999


def check_currency(currency: str, param: str) -> str:
    """Return it in lower case; raises StripeError (400) for one that Stripe does not take."""
    name = currency.lower()
    if name not in CURRENCIES:
        raise StripeError(
            f"Invalid currency: {name}. Stripe currently supports these currencies: "
            f"{', '.join(sorted(CURRENCIES))}",
            param=param,
        )
    return name


def check_amount(amount: int, currency: str) -> None:
    """Raise StripeError (400) for an amount that cannot be charged."""
    if amount < AMOUNT_MIN:
        raise StripeError(
            f"Amount must be at least {show_amount(AMOUNT_MIN, currency)} {currency}",
            code="amount_too_small",
            param="amount",
        )
    if amount > AMOUNT_MAX:
        raise StripeError(
            f"Amount must be no more than {show_amount(AMOUNT_MAX, currency)} {currency}",
            code="amount_too_large",
            param="amount",
        )
