"""Intervals that hold at every look: simulated experiments that are looked at after each user."""

import math
import random
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tollkeeper_core.domain.confidence import (
    ALPHA,
    BUYERS_MIN,
    TUNED_TO,
    Interval,
    Moments,
    difference_interval,
    evidence_against,
    margin,
    mean_interval,
    share_interval,
)

BUYS = 0.12
#: What a purchase brings, in US dollars: few bring most.
PRICES = (5.0, 5.0, 5.0, 20.0, 20.0, 100.0)
COST = 0.4
MEAN = BUYS * statistics.mean(PRICES) - COST

#: A look at the two arms (the other empty where there is one): whether the truth is outside.
Look = Callable[["Running", "Running"], bool]


@dataclass
class Running:
    """Moments of one user more at a time (Welford), and how many of them bought."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    buyers: int = 0

    def add(self, value: float) -> None:
        self.count += 1
        before = value - self.mean
        self.mean += before / self.count
        self.squares += before * (value - self.mean)
        self.buyers += value > 0

    @property
    def moments(self) -> Moments:
        return Moments(self.count, self.mean, self.squares / (self.count - 1))


def profits(chance: random.Random) -> Iterator[float]:
    """Nothing but costs for most, which differ; much for few."""
    while True:
        spent = -math.log(1 - chance.random()) * COST
        yield (chance.choice(PRICES) if chance.random() < BUYS else 0.0) - spent


def missed(outside: Look, *, runs: int, users: int, held_out: float = 0.0) -> float:
    """Of simulated experiments, the part in which the truth was outside at any look."""
    count = 0
    for seed in range(runs):
        chance = random.Random(seed)
        draw, arm, other = profits(chance), Running(), Running()
        for _ in range(users):
            (other if chance.random() < held_out else arm).add(next(draw))
            enough = min(arm.buyers, other.buyers) if held_out else arm.buyers
            if enough >= BUYERS_MIN and outside(arm, other):
                count += 1
                break
    return count / runs


def misses(found: Interval, truth: float) -> bool:
    return not found.low <= truth <= found.high


def test_the_mean_is_inside_at_every_look() -> None:
    def outside(one: Running, _: Running) -> bool:
        return misses(mean_interval(one.moments), MEAN)

    assert missed(outside, runs=400, users=3_000) <= ALPHA


def test_two_arms_that_do_not_differ_are_not_told_apart_at_any_look() -> None:
    def told_apart(one: Running, other: Running) -> bool:
        return misses(difference_interval(one.moments, other.moments), 0.0)

    assert missed(told_apart, runs=200, users=4_000, held_out=0.3) <= ALPHA
    assert missed(told_apart, runs=100, users=12_000, held_out=0.1) <= ALPHA


def test_an_interval_for_one_look_would_mislead_who_looks_every_day() -> None:
    """So a formula that is too narrow fails the tests above."""

    def naive(one: Running, _: Running) -> bool:
        return abs(one.mean - MEAN) > 1.96 * math.sqrt(one.moments.variance / one.count)

    assert missed(naive, runs=200, users=3_000) > 4 * ALPHA


def test_a_true_difference_is_found() -> None:
    chance = random.Random(6)
    draw, one, other = profits(chance), Running(), Running()
    for _ in range(8_000):
        other.add(next(draw))
        one.add(next(draw) + 2.0)
    found = difference_interval(one.moments, other.moments)
    assert 0 < found.low < 2.0 < found.high
    assert difference_interval(other.moments, one.moments) == Interval(-found.high, -found.low)


@pytest.mark.parametrize("count", [1, 10, 100, TUNED_TO, 10**6])
@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.0025])
def test_the_margin_is_the_papers(count: int, alpha: float) -> None:
    rho = math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / TUNED_TO)
    inner = 2 * (count * rho**2 + 1) / (count**2 * rho**2)
    assert margin(count, alpha) == pytest.approx(
        math.sqrt(inner * math.log(math.sqrt(count * rho**2 + 1) / alpha)), rel=1e-12
    )


def test_it_is_narrowest_where_it_is_tuned_to_and_not_far_from_it_elsewhere() -> None:
    def by(grown: float) -> float:
        """The margin at TUNED_TO, for any other rho: t rho^2 + 1."""
        return math.sqrt(grown / (grown - 1) * math.log(grown / ALPHA**2) / TUNED_TO)

    mine = margin(TUNED_TO, ALPHA)
    best = min(by(1 + n / 1000) for n in range(1, 60_000))
    assert best <= mine < best * 1.001
    # What honesty at every look costs, over an interval for one look at this size.
    assert mine / (1.96 / math.sqrt(TUNED_TO)) == pytest.approx(1.54, abs=0.01)


@pytest.mark.parametrize("share", [0.004, 0.03, 0.5])
def test_a_share_is_inside_at_every_look_from_the_first_user_on(share: float) -> None:
    chance, most, outside = random.Random(7), -math.log(ALPHA), 0
    for _ in range(400):
        hits = 0
        for count in range(1, 1_001):
            hits += chance.random() < share
            if evidence_against(share, hits, count) >= most:
                outside += 1
                break
    assert outside / 400 <= ALPHA


@given(st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_shares_interval_is_what_the_evidence_leaves(seen: tuple[int, int]) -> None:
    hits, count = seen
    found, most = share_interval(hits, count), -math.log(ALPHA)
    assert 0 <= found.low <= hits / count <= found.high <= 1
    assert (found.low == 0) == (hits == 0)
    assert (found.high == 1) == (hits == count)
    for edge, inwards in ((found.low, 1e-6), (found.high, -1e-6)):
        if 0 < edge < 1 and found.high - found.low > 1e-5:
            assert evidence_against(edge, hits, count) == pytest.approx(most, rel=1e-3)
            assert evidence_against(edge + inwards, hits, count) < most


def test_a_share_of_nobody_is_anything() -> None:
    assert share_interval(0, 0) == Interval(0.0, 1.0)


@pytest.mark.parametrize(("hits", "count"), [(0, 20), (3, 40), (50, 1_000)])
def test_a_share_is_never_said_to_be_better_known_than_by_one_look(hits: int, count: int) -> None:
    """Than by Wilson's score interval, that is."""
    share, z = hits / count, 1.96
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    found = share_interval(hits, count)
    assert found.high > centre + half
    assert found.low <= max(centre - half, 0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_moments_are_those_of_the_sample(values: list[float]) -> None:
    found = Moments.of(values)
    assert found.count == len(values)
    assert found.mean == pytest.approx(statistics.fmean(values), abs=1e-6)
    assert found.variance == pytest.approx(statistics.variance(values), rel=1e-9, abs=1e-6)


def test_one_user_alone_has_no_variance() -> None:
    assert Moments.of([3.0]) == Moments(1, 3.0, 0.0)
