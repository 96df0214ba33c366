"""reconcile's handler: the day's run looks at everything, the hour's at money alone."""

from collections import Counter
from typing import Any

import pytest
from tollkeeper_core import bootstrap, telemetry
from tollkeeper_core.services.book_money import Booked
from tollkeeper_core.services.reconcile import Reconciled

from functions.reconcile import app
from tests.support.function_server import Context

NOW_S = 1_795_600_000
DAY_S = 86_400


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []

    def reconcile(since_s: int, _: object) -> Reconciled:
        found.append(("everything", since_s))
        return Reconciled(Counter(sessions=2), 1, Counter(purchases=1), [], 0)

    def book_money(since_s: int, _: object) -> Booked:
        found.append(("money", since_s))
        return Booked(3, 2, ["txn_1"])

    monkeypatch.setattr(telemetry.metrics.provider, "namespace", "Tollkeeper")
    monkeypatch.setattr(bootstrap, "clock", lambda: NOW_S * 1000)
    monkeypatch.setattr(bootstrap, "reconcile", lambda: reconcile)
    monkeypatch.setattr(bootstrap, "book_money", lambda: book_money)
    return found


def test_a_day_looks_at_everything(
    asked: list[tuple[str, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    context: Any = Context()
    told = app.handler({}, context)
    assert asked == [("everything", NOW_S - 4 * DAY_S), ("money", NOW_S - 4 * DAY_S)]
    assert told["found"] == {"purchases": 1}
    assert told["money"] == {"looked_at": 3, "booked": 2, "unclear": ["txn_1"]}
    written = capsys.readouterr().out
    assert '"ReconcileProblem":[1.0]' in written.replace(" ", "")
    app.handler({"days": 9}, context)
    assert asked[2:] == [("everything", NOW_S - 9 * DAY_S), ("money", NOW_S - 9 * DAY_S)]


def test_an_hour_looks_at_money_alone(asked: list[tuple[str, int]]) -> None:
    context: Any = Context()
    assert app.handler({"money_hours": 3}, context)["money"]["booked"] == 2
    assert asked == [("money", NOW_S - 3 * 3_600)]
