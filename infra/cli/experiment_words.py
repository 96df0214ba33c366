"""How an experiment's figures are written, on the terminal and on its page."""

from tollkeeper_core.domain.confidence import BUYERS_MIN, Interval
from tollkeeper_core.domain.split import HOLDOUT
from tollkeeper_core.services.experiment_results import Arm, Difference, ExperimentReport, Verdict

from infra.cli.profit_words import by_currency

_SAID = {
    Verdict.OPEN: "no difference shown so far",
    Verdict.BETTER: "better than the hold-out",
    Verdict.WORSE: "worse than the hold-out",
}


def arm_name(name: str) -> str:
    """A variant's, or what the hold-out is called."""
    return "hold-out" if name == HOLDOUT else name


def usd(value: float) -> str:
    """Of one user: to a tenth of a cent, for most users are worth little."""
    return f"{'-' if round(value, 3) < 0 else ''}${abs(value):,.3f}"


def signed(value: float) -> str:
    """A difference."""
    return f"{'+' if round(value, 3) > 0 else ''}{usd(value)}"


def between(found: Interval | None) -> str:
    """The ends, of US dollars a user; a dash where it is too early."""
    return "–" if found is None else f"{usd(found.low)} to {usd(found.high)}"


def conversion(arm: Arm) -> tuple[str, str]:
    """What is seen, and where it is."""
    found = arm.conversion
    seen = f"{arm.buyers / arm.users:.1%}" if arm.users else "–"
    return seen, f"{found.low:.1%} to {found.high:.1%}"


def paid(arm: Arm) -> list[str]:
    """Each currency by itself."""
    return by_currency(arm.sums.paid_minor) or ["–"]


def verdict(difference: Difference, found: ExperimentReport) -> str:
    """What may be said, in words."""
    said = _SAID.get(difference.verdict)
    if said is not None:
        return said
    arms = {arm.name: arm for arm in found.arms}
    few = min((arms[difference.arm], arms[HOLDOUT]), key=lambda arm: arm.buyers)
    return f"too early: {few.buyers} of {BUYERS_MIN} buyers in {arm_name(few.name)}"


def remarks(found: ExperimentReport) -> list[str]:
    """What the reader has to know of these figures."""
    first, last = found.months[0], found.months[-1]
    span = first if first == last else f"{first} to {last}"
    said = [
        f"Profit of {span}: what was paid, less refunds, Stripe's fees and AI spend, of everybody "
        "who was shown the page, buyer or not.",
        "Intervals hold at every look, those of differences all together at "
        f"{1 - found.alpha:.0%}; docs/experiments.md says how.",
    ]
    if found.unconverted:
        names = ", ".join(currency.upper() for currency in found.unconverted)
        said.append(f"{names}: no rate in settings.report.usd_per, so in no figure of profit.")
    return said
