"""Races: contenders take turns, and each is compared with another one of the same round.

A machine that others use is slow for seconds at a time. Both sides of a ratio are therefore
measured within one round, and what counts is the median of the rounds' ratios.
"""

import gc
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from time import perf_counter_ns


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one operation, in microseconds: for who waits, and inside Redis's scripts."""

    wall_us: float
    script_us: float


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, and what nine of ten lie between."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of one value or more."""
        ordered = sorted(values)
        last = len(ordered) - 1
        return cls(
            statistics.median(ordered), ordered[round(last * 0.05)], ordered[round(last * 0.95)]
        )


#: Runs a number of operations and says what one of them cost.
Turn = Callable[[], Cost]
Race = Mapping[str, Sequence[Cost]]


def race(contenders: Mapping[str, Turn], rounds: int, rng: Random) -> Race:
    """Every contender once a round, in changing order. The first round warms up, uncounted."""
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    order = list(contenders)
    gc.collect()
    gc.disable()  # a collection would be charged to whoever runs just then
    try:
        for number in range(rounds + 1):
            rng.shuffle(order)
            for name in order:
                cost = contenders[name]()
                if number:
                    costs[name].append(cost)
            gc.collect()
    finally:
        gc.enable()
    return costs


def wall(costs: Sequence[Cost]) -> Spread:
    """Microseconds for who waits."""
    return Spread.of([cost.wall_us for cost in costs])


def script(costs: Sequence[Cost]) -> Spread:
    """Microseconds inside the script."""
    return Spread.of([cost.script_us for cost in costs])


def wall_ratio(over: Sequence[Cost], under: Sequence[Cost]) -> Spread:
    """Round by round."""
    return Spread.of([a.wall_us / b.wall_us for a, b in zip(over, under, strict=True)])


def script_ratio(over: Sequence[Cost], under: Sequence[Cost]) -> Spread:
    """Round by round."""
    return Spread.of([a.script_us / b.script_us for a, b in zip(over, under, strict=True)])


def timed_us(call: Callable[[], object]) -> float:
    """How long one call takes."""
    began = perf_counter_ns()
    call()
    return (perf_counter_ns() - began) / 1_000
