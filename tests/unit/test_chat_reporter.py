"""The chat's background delivery of usage: in order, in batches, until it arrives."""

import logging
import threading
from collections.abc import Callable

import pytest

from examples.chat.reporter import Event, Reporter, Undeliverable


class Books:
    """Takes events; `fail` says what to raise before the n-th attempt, counted from 0."""

    def __init__(self, fail: Callable[[int], Exception | None] = lambda _attempt: None) -> None:
        self.batches: list[list[Event]] = []
        self.attempts = 0
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self._fail = fail

    def __call__(self, events: list[Event]) -> None:
        self.entered.set()
        self.gate.wait(5)
        failure = self._fail(self.attempts)
        self.attempts += 1
        if failure:
            raise failure
        self.batches.append(events)

    @property
    def ids(self) -> list[int]:
        return [event["id"] for batch in self.batches for event in batch]


def test_events_arrive_once_in_order_and_in_batches_of_at_most_100() -> None:
    books = Books()
    books.gate.clear()
    reporter = Reporter(books)
    for i in range(250):
        reporter.put({"id": i})
        if i == 0:
            assert books.entered.wait(5)
    books.gate.set()
    assert reporter.flush(5)
    assert books.ids == list(range(250))
    assert [len(batch) for batch in books.batches] == [1, 100, 100, 49]
    assert reporter.close(5) == 0


def test_put_does_not_wait_for_delivery() -> None:
    books = Books()
    books.gate.clear()
    reporter = Reporter(books)
    reporter.put({"id": 1})
    assert not reporter.flush(0.02)
    books.gate.set()
    assert reporter.close(5) == 0
    assert books.ids == [1]


def test_a_failed_batch_is_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    books = Books(lambda attempt: OSError("away") if attempt < 3 else None)
    reporter = Reporter(books, retry_seconds=0.001)
    reporter.put({"id": 1})
    assert reporter.flush(5)
    assert books.ids == [1]
    assert books.attempts == 4
    assert caplog.text.count("usage is waiting") == 3
    reporter.close(5)


def test_a_refused_batch_makes_room_for_the_next(caplog: pytest.LogCaptureFixture) -> None:
    books = Books(lambda attempt: Undeliverable("nonsense") if attempt == 0 else None)
    reporter = Reporter(books)
    reporter.put({"id": 1})
    assert reporter.flush(5)
    reporter.put({"id": 2})
    assert reporter.close(5) == 0
    assert books.ids == [2]
    assert "1 events were refused: nonsense" in caplog.text


def test_close_tries_until_its_time_is_up(caplog: pytest.LogCaptureFixture) -> None:
    books = Books(lambda _attempt: OSError("away"))
    reporter = Reporter(books, retry_seconds=60)
    reporter.put({"id": 1})
    assert books.entered.wait(5)
    with caplog.at_level(logging.ERROR):
        assert reporter.close(0.2) == 1
    assert "1 events could not be delivered" in caplog.text


def test_close_does_not_sit_out_a_long_wait() -> None:
    books = Books(lambda attempt: OSError("away") if attempt == 0 else None)
    reporter = Reporter(books, retry_seconds=60)
    reporter.put({"id": 1})
    assert books.entered.wait(5)
    assert reporter.close(5) == 0
    assert books.ids == [1]


def test_close_without_any_event(caplog: pytest.LogCaptureFixture) -> None:
    reporter = Reporter(Books())
    assert reporter.close(5) == 0
    reporter.put({"id": 1})
    assert "after the end" in caplog.text
