"""Money as integers: nano-US-dollars inside, decimal strings at the API.

1 USD = 1,000,000,000 nano. No floats anywhere: a float cannot hold 0.1, and the sums of many
small AI calls are exactly where that shows. What a payer pays is a different thing: integer minor
units with a currency, as Stripe has it (``zero-decimal`` currencies have no minor unit).
"""

import re
from decimal import ROUND_HALF_EVEN, Decimal

NANO_PER_USD = 1_000_000_000

#: The largest single amount that the API, the configuration and the ledger accept: 1,000,000 USD.
#: Lua's numbers are doubles, exact up to 2**53 nano (about 9,007,199 USD): the sum of a few of
#: these still is.
AMOUNT_NANO_MAX = 1_000_000 * NANO_PER_USD

_USD = re.compile(r"[0-9]{1,7}(\.[0-9]{1,9})?", re.ASCII)

#: Stripe's zero-decimal currencies (docs.stripe.com/currencies#zero-decimal).
_ZERO_DECIMAL = frozenset(
    (
        *("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga"),
        *("pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"),
    )
)
#: Stripe's three-decimal currencies (docs.stripe.com/currencies#three-decimal).
_THREE_DECIMAL = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))

_SYMBOL = {
    "usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "inr": "₹", "krw": "₩",
    "aud": "A$", "cad": "C$", "brl": "R$", "nzd": "NZ$",
}  # fmt: skip


def parse_usd(text: str) -> int:
    """``"0.50"`` -> 500_000_000 nano. Raises ValueError for anything but a plain decimal.

    Signs, exponents, NaN, spaces, more than nine decimals and more than 1,000,000 USD are refused.
    """
    if not _USD.fullmatch(text):
        raise ValueError(
            "must be a decimal string of US dollars such as '0.50', nine decimals at most"
        )
    whole, _, fraction = text.partition(".")
    nano = int(whole) * NANO_PER_USD + int(fraction.ljust(9, "0"))
    if nano > AMOUNT_NANO_MAX:
        raise ValueError("must be at most 1000000 US dollars")
    return nano


def format_usd(nano: int) -> str:
    """500_000_000 -> ``"0.50"``: every digit that counts, and two decimals at least."""
    sign = "-" if nano < 0 else ""
    whole, fraction = divmod(abs(nano), NANO_PER_USD)
    digits = f"{fraction:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{digits}"


def usd_to_nano(usd: Decimal) -> int:
    """A price in Decimal dollars, rounded half-even to a nano: once per call, nowhere else."""
    return int((usd * NANO_PER_USD).to_integral_value(rounding=ROUND_HALF_EVEN))


def minor_digits(currency: str) -> int:
    """How many decimals the currency's minor unit has at Stripe: 2, 0 or 3."""
    code = currency.lower()
    return 0 if code in _ZERO_DECIMAL else 3 if code in _THREE_DECIMAL else 2


def format_minor(amount_minor: int, currency: str) -> str:
    """500, "usd" -> ``"$5.00"``; 500, "jpy" -> ``"¥500"``; 500, "chf" -> ``"5.00 CHF"``."""
    digits = minor_digits(currency)
    if digits:
        whole, fraction = divmod(abs(amount_minor), 10**digits)
        number = f"{whole:,}.{fraction:0{digits}d}"
    else:
        number = f"{abs(amount_minor):,}"
    sign = "-" if amount_minor < 0 else ""
    symbol = _SYMBOL.get(currency.lower())
    return f"{sign}{symbol}{number}" if symbol else f"{sign}{number} {currency.upper()}"
