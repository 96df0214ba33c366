"""Intervals that stay honest however often they are looked at.

A confidence interval of 95% holds for one look at a size that was fixed beforehand; whoever looks
every day and stops when they like what they see is misled far more often than once in twenty. The
sequences here hold at all sizes at once: the chance that the truth is ever outside is ``alpha``.

Means: the asymptotic confidence sequence (Gaussian mixture boundary) of Waudby-Smith, Arbour,
Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences",
Annals of Statistics 52 (2024), arXiv 2103.06476. It asks for independent users and a variance, and
for no shape; like the central limit theorem it is exact in the limit, so ``BUYERS_MIN`` says from
where on it is trusted (tests/unit/test_confidence.py looks at every size from there).

Shares: the beta-binomial mixture of Robbins, "Statistical methods related to the law of the
iterated logarithm", Annals of Mathematical Statistics 41 (1970), by Ville's inequality: exact at
every size, small ones too.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

#: Of all looks at all intervals of a kind, the chance that the truth was ever outside.
ALPHA = 0.05

#: With fewer buyers than this in an arm nothing is said of its mean: so few purchases do not show
#: yet how unequal purchases are. Looked at from 30 buyers on, means of very unequal purchases were
#: outside at some time in 10 of 100 simulated experiments, from 100 on in 4 to 6.
BUYERS_MIN = 100

#: The size at which the sequences of means are narrowest; from a quarter of it to ten times of it
#: they are less than a tenth wider than they could be.
TUNED_TO = 2_000

#: Jeffreys' prior: narrow where shares are small.
_PRIOR = 0.5

#: Halvings of an interval within [0, 1] until a double knows no more.
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Interval:
    """Both ends included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Moments:
    """``variance``: of the sample, by ``count`` - 1; 0 where that is not known."""

    count: int
    mean: float
    variance: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Of a sample that is not empty."""
        found = list(values)
        mean = math.fsum(found) / len(found)
        squares = math.fsum((value - mean) ** 2 for value in found)
        return cls(len(found), mean, squares / (len(found) - 1) if len(found) > 1 else 0.0)


def mean_interval(sample: Moments, alpha: float = ALPHA) -> Interval:
    """Where the mean is. The sample is not empty."""
    width = math.sqrt(sample.variance) * margin(sample.count, alpha)
    return Interval(sample.mean - width, sample.mean + width)


def difference_interval(one: Moments, other: Moments, alpha: float = ALPHA) -> Interval:
    """Where the mean of ``one`` less that of ``other`` is: two samples of one randomized crowd.

    The paper's sequence for an average treatment effect: each user stands for the mean of what
    they and the others would have done, weighted by the share of their arm. With the arms' own
    means and shares in it the estimate is the plain difference, and its variance a user that of
    both arms by their shares. That is narrower than two sequences of half the chance each.
    """
    count = one.count + other.count
    variance = one.variance * count / one.count + other.variance * count / other.count
    width = math.sqrt(variance) * margin(count, alpha)
    difference = one.mean - other.mean
    return Interval(difference - width, difference + width)


def margin(count: int, alpha: float) -> float:
    """Half the width for a variance of 1: sqrt(2 (t rho^2 + 1) / (t^2 rho^2) *
    log(sqrt(t rho^2 + 1) / alpha)), with the rho that makes it least at ``TUNED_TO``.
    """
    grown = count * _rho_squared(alpha) + 1
    return math.sqrt(2 * grown * math.log(math.sqrt(grown) / alpha) / (count * (grown - 1)))


def _rho_squared(alpha: float) -> float:
    """The closed form that the paper gives: (-2 log alpha + log(-2 log alpha + 1)) / t."""
    doubled = -2 * math.log(alpha)
    return (doubled + math.log(doubled + 1)) / TUNED_TO


def share_interval(hits: int, count: int, alpha: float = ALPHA) -> Interval:
    """Where the share is of which ``hits`` of ``count`` are seen; [0, 1] where nothing is."""
    if not count:
        return Interval(0.0, 1.0)
    seen, most = hits / count, -math.log(alpha)
    low = 0.0 if not hits else _edge(0.0, seen, hits, count, most)
    high = 1.0 if hits == count else _edge(1.0, seen, hits, count, most)
    return Interval(low, high)


def _edge(outside: float, inside: float, hits: int, count: int, most: float) -> float:
    for _ in range(_HALVINGS):
        middle = (outside + inside) / 2
        if evidence_against(middle, hits, count) < most:
            inside = middle
        else:
            outside = middle
    return outside


def evidence_against(share: float, hits: int, count: int) -> float:
    """The log of what a bet against this share (not 0 or 1) has made of 1: were it the true one,
    the chance that the bet ever makes 1/alpha of it is alpha (Ville's inequality).
    """
    misses = count - hits
    return (
        _log_beta(_PRIOR + hits, _PRIOR + misses)
        - _log_beta(_PRIOR, _PRIOR)
        - hits * math.log(share)
        - misses * math.log1p(-share)
    )


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
