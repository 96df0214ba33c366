"""How figures of the report are written, on the terminal and on its page."""

from collections.abc import Iterable
from fractions import Fraction

from tollkeeper_core.domain.funnel import StepKind
from tollkeeper_core.domain.money import format_minor
from tollkeeper_core.services.analytics import Sales

LABELS = {
    StepKind.LIMIT_REACHED: "limit reached",
    StepKind.PROMPT_SHOWN: "prompt shown",
    StepKind.OPTION_CLICKED: "option clicked",
    StepKind.CHECKOUT_OPENED: "checkout opened",
    StepKind.PAID: "paid",
    StepKind.CREDITS_USED: "credits used",
    StepKind.DISMISSED: "dismissed",
    StepKind.EXPIRED: "checkout expired",
}


#: The same as headings, where there is a column for each.
SHORT = {
    StepKind.LIMIT_REACHED: "limits",
    StepKind.PROMPT_SHOWN: "shown",
    StepKind.OPTION_CLICKED: "clicks",
    StepKind.CHECKOUT_OPENED: "opened",
    StepKind.PAID: "paid",
    StepKind.CREDITS_USED: "used",
    StepKind.DISMISSED: "closed",
    StepKind.EXPIRED: "expired",
}


def percent(ratio: Fraction | None) -> str:
    """To a tenth; a dash where there is nothing to divide by."""
    return "–" if ratio is None else f"{float(ratio) * 100:.1f}%"


def money(sales: Iterable[tuple[str, Sales]]) -> list[tuple[str, str]]:
    """What was paid, and the average order, by currency."""
    return [(format_minor(s.minor, c), format_minor(round(s.average_minor), c)) for c, s in sales]
