"""The circuit breaker before Redis, on a clock that is moved by hand."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tollkeeper_core.adapters.circuit import Circuit


class Monotonic:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Monotonic:
    return Monotonic()


@pytest.fixture
def circuit(clock: Monotonic) -> Circuit:
    return Circuit(clock)


def fail(circuit: Circuit, times: int) -> None:
    for _ in range(times):
        circuit.failed()


def test_it_opens_at_the_third_failure_in_a_row(circuit: Circuit) -> None:
    fail(circuit, 2)
    assert circuit.admits()
    circuit.succeeded()
    fail(circuit, 2)
    assert circuit.admits()
    fail(circuit, 1)
    assert not circuit.admits()


def test_after_its_rest_one_call_tries(circuit: Circuit, clock: Monotonic) -> None:
    fail(circuit, 3)
    clock.now_s += 0.999
    assert not circuit.admits()
    clock.now_s += 0.001
    assert [circuit.admits() for _ in range(3)] == [True, False, False]


def test_a_trial_that_succeeds_closes_it(circuit: Circuit, clock: Monotonic) -> None:
    fail(circuit, 3)
    clock.now_s += 1
    assert circuit.admits()
    circuit.succeeded()
    assert all(circuit.admits() for _ in range(3))
    fail(circuit, 2)
    assert circuit.admits()


def test_each_trial_that_fails_doubles_the_rest_up_to_eight_seconds(
    circuit: Circuit, clock: Monotonic
) -> None:
    fail(circuit, 3)
    for rest_s in (1, 2, 4, 8, 8):
        clock.now_s += rest_s - 0.001
        assert not circuit.admits()
        clock.now_s += 0.001
        assert circuit.admits()
        circuit.failed()


def test_a_trial_that_never_comes_back_does_not_keep_it_open(
    circuit: Circuit, clock: Monotonic
) -> None:
    fail(circuit, 3)
    clock.now_s += 1
    assert circuit.admits()
    clock.now_s += 1
    assert circuit.admits()


def test_of_many_threads_one_tries(circuit: Circuit, clock: Monotonic) -> None:
    fail(circuit, 3)
    clock.now_s += 1
    with ThreadPoolExecutor(16) as pool:
        admitted = list(pool.map(lambda _: circuit.admits(), range(200)))
    assert admitted.count(True) == 1
