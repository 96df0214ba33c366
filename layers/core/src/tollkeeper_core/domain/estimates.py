"""How many calls an amount of AI spend is, by what the user's own calls have cost on average.

It is told to end users where the owner switches it on. docs/overlay.md says what it gives away.
"""

from collections.abc import Mapping

from tollkeeper_core.domain.config import Limit
from tollkeeper_core.domain.ledger import Counters
from tollkeeper_core.domain.periods import Window

#: An average of fewer calls says little, and a user who made them all knows what each was.
CALLS_MIN = 5

#: Of each window, how many of a shorter one are in it, at least.
_SHORTER = {
    Window.MONTHLY: {Window.WEEKLY: 4, Window.DAILY: 28},
    Window.WEEKLY: {Window.DAILY: 7},
    Window.DAILY: {},
}


def calls_for(amount_nano: int, spent: Mapping[Window, Counters]) -> int | None:
    """As many as an honest "about" allows: rounded down, to two significant digits.

    By the month's calls, or, while these are too few, by the week's, which may reach back into the
    month before. None where both are too few, and where it is not one whole call.
    """
    for window in (Window.MONTHLY, Window.WEEKLY):
        found = spent[window]
        if found.calls >= CALLS_MIN:
            return _two_digits(amount_nano * found.calls // found.total_nano) or None
    return None


def allowance(limits: Mapping[Window, Limit]) -> tuple[Window, int] | None:
    """The longest window that a tier limits, and what of it can really be used.

    A month's limit of 100 with 1 a day is 28. None where the tier limits nothing.
    """
    for window in reversed(Window):
        if window in limits:
            shorter = _SHORTER[window].items()
            of_shorter = [limits[w].limit_usd * times for w, times in shorter if w in limits]
            return window, min([limits[window].limit_usd, *of_shorter])
    return None


def _two_digits(number: int) -> int:
    unit = int("1" + "0" * (len(str(number)) - 2))
    return number // unit * unit
