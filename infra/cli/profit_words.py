"""How figures of profit are written: exact until here, and rounded to the cent only now."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from tollkeeper_core.domain.forgetting import is_forgotten
from tollkeeper_core.domain.money import NANO_PER_USD, format_minor
from tollkeeper_core.services.profit import ProfitReport, Row, TopSpend

from infra.cli.report_words import percent

_NAME_MAX = 40
_ALIAS_SHOWN = 8


def dollars(usd: Fraction) -> str:
    """Half-even to the cent; what is there and less than half a cent says so."""
    cents = round(usd * 100)
    if cents == 0 and usd:
        return "<$0.01" if usd > 0 else ">-$0.01"
    return format_minor(cents, "usd")


def spend(nano: int) -> str:
    """AI spend."""
    return dollars(Fraction(nano, NANO_PER_USD))


def by_currency(minor: Mapping[str, int]) -> list[str]:
    """Each currency by itself, those of nothing left out."""
    return [format_minor(amount, currency) for currency, amount in sorted(minor.items()) if amount]


def user_name(user_id: str) -> str:
    """A user's id: short enough for a table, and harmless on a terminal."""
    if is_forgotten(user_id):
        return f"(forgotten {user_id.rpartition(':')[2][:_ALIAS_SHOWN]})"
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in user_id)
    return shown if len(shown) <= _NAME_MAX else f"{shown[: _NAME_MAX - 1]}…"


def tier_name(row: Row) -> str:
    """A tier's, or what stands for none."""
    return "(no calls)" if row.name == "-" else row.name


def top_spend(found: TopSpend) -> str:
    """The share of the users who cost most, in words."""
    if found.share is None:
        return "Nobody cost anything."
    who = "user" if found.users == 1 else "users"
    return (
        f"The {found.users:,} {who} who cost most, 5% of {found.of_users:,}, "
        f"took {percent(found.share)} of the AI spend."
    )


def _decimal(rate: Fraction) -> Decimal:
    """Exact: a rate comes from a decimal of few digits."""
    return Decimal(rate.numerator) / Decimal(rate.denominator)


def remarks(found: ProfitReport) -> list[str]:
    """What the reader has to know of these figures."""
    said = [
        f"1 {currency.upper()} = {_decimal(rate)} USD (settings.report.usd_per)."
        for currency, rate in sorted(found.rates.items())
        if currency != "usd" and currency in found.total.sums.net_minor
    ]
    if found.unconverted:
        names = ", ".join(currency.upper() for currency in found.unconverted)
        said.append(f"{names}: no rate in settings.report.usd_per, so in no figure of profit.")
    return said
