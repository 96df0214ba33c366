"""Discounts and taxes on lines, exact to the minor unit."""

from collections.abc import Sequence
from fractions import Fraction

from infra.local.stripe_local.account import Json

# Standard rates of value added tax, in percent. This stands in for Stripe Tax, where only the
# shape matters: elsewhere nothing is collected.
TAX_PERCENT = {
    "AT": 20,
    "BE": 21,
    "DE": 19,
    "DK": 25,
    "ES": 21,
    "FR": 20,
    "GB": 20,
    "IE": 23,
    "IT": 22,
    "NL": 21,
    "PL": 23,
    "PT": 23,
    "SE": 25,
}


def half_up(value: Fraction) -> int:
    """Round to the nearest integer, a half away from zero."""
    rounded = int(abs(value) + Fraction(1, 2))
    return rounded if value >= 0 else -rounded


def discount_on(coupon: Json | None, amount: int) -> int:
    """Return what a coupon takes off `amount` minor units, at most all of it."""
    if coupon is None or amount <= 0:
        return 0
    if coupon["percent_off"] is not None:
        return half_up(amount * Fraction(str(coupon["percent_off"])) / 100)
    return int(min(coupon["amount_off"], amount))


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """Share `total` out by weight, largest remainder first: the shares sum to it exactly."""
    whole = sum(weights)
    if whole == 0:
        return [0] * len(weights)
    shares = [total * weight // whole for weight in weights]
    by_rest = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % whole))
    for index in by_rest[: total - sum(shares)]:
        shares[index] += 1
    return shares


def tax_on(amount: int, percent: int, *, inclusive: bool) -> int:
    """Return the tax on `amount`, or the tax in it where the price includes it."""
    return half_up(Fraction(amount * percent, 100 + percent if inclusive else 100))


def total_up(session: Json, items: list[Json], coupon: Json | None, *, trial: bool) -> None:
    """Write discount, tax and totals into a session and its items. On trial, plans cost nothing.

    The tax is by the country in the session's `customer_details`; without one there is none yet.
    """
    for item in items:
        free = trial and item["price"]["recurring"]
        item["amount_subtotal"] = 0 if free else item["price"]["unit_amount"] * item["quantity"]
    subtotals = [item["amount_subtotal"] for item in items]
    percent = tax_percent(session)
    shares = spread(discount_on(coupon, sum(subtotals)), subtotals)
    for item, share in zip(items, shares, strict=True):
        left = item["amount_subtotal"] - share
        inclusive = item["price"]["tax_behavior"] == "inclusive"
        tax = tax_on(left, percent, inclusive=inclusive)
        item |= {
            "amount_discount": share,
            "amount_tax": tax,
            "amount_total": left + (0 if inclusive else tax),
        }
    session |= {
        "amount_subtotal": sum(subtotals),
        "amount_total": sum(item["amount_total"] for item in items),
        "total_details": {
            "amount_discount": sum(shares),
            "amount_shipping": 0,
            "amount_tax": sum(item["amount_tax"] for item in items),
        },
    }


def tax_percent(session: Json) -> int:
    """Return the rate that a session is taxed by, 0 while its payer's country is not known."""
    if not session["automatic_tax"]["enabled"]:
        return 0
    address = (session["customer_details"] or {}).get("address") or {}
    return TAX_PERCENT.get(address.get("country") or "", 0)
