"""What was found: one line each, with its target where there is one."""

from dataclasses import dataclass

from tests.bench.timing import Spread


@dataclass(frozen=True, slots=True)
class Target:
    """A bound, and on which side of it a value should lie."""

    bound: float
    at_least: bool = False

    def met_by(self, value: float) -> bool:
        """Whether the value is on the right side, as it is shown: to two decimals."""
        return value >= self.bound if self.at_least else round(value, 2) <= self.bound


@dataclass(frozen=True, slots=True)
class Finding:
    """``value``, of ``unit``; ``detail`` says what it is made of. ``chart``: its bar's panel."""

    section: str
    what: str
    value: Spread
    unit: str
    detail: str = ""
    target: Target | None = None
    chart: str = ""

    @property
    def met(self) -> bool | None:
        """None where no target is set."""
        return None if self.target is None else self.target.met_by(self.value.median)

    @property
    def shown(self) -> str:
        """The median with its unit."""
        return f"{_number(self.value.median, self.unit)} {self.unit}".replace(" ×", "×")

    @property
    def shown_spread(self) -> str:
        """From where to where, or nothing for what was counted."""
        if self.value.low == self.value.high:
            return ""
        return f"{_number(self.value.low, self.unit)} to {_number(self.value.high, self.unit)}"

    @property
    def shown_target(self) -> str:
        """The bound in words."""
        if self.target is None:
            return ""
        side = "at least" if self.target.at_least else "at most"
        return f"{side} {self.target.bound:g}"


def counted(value: float) -> Spread:
    """A number that does not vary."""
    return Spread(value, value, value)


def milliseconds(spread: Spread) -> str:
    """Of microseconds."""
    return f"{spread.median / 1_000:.2f} ms"


def _number(value: float, unit: str) -> str:
    return f"{value:.2f}" if unit in {"×", "ms"} else f"{value:,.0f}"
