"""``tollkeeper report`` over a real Redis and an archive in S3."""

import json
import re
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console
from tollkeeper_core.adapters.redis_funnel import RedisFunnel
from tollkeeper_core.domain.funnel import Count, Step, StepKind
from tollkeeper_core.domain.periods import Calendar, periods_at
from tollkeeper_core.services.analytics import FunnelReport, Slice

from infra.cli import report
from infra.cli.commands import clock
from tests.support.stage import Stage


def sell(stage: Stage, offer: str = "starter", prompt: str = "prm_1", minor: int = 500) -> None:
    """A prompt that was paid just now, counted and on record."""
    now_ms = clock()
    kinds = [StepKind.LIMIT_REACHED, StepKind.PROMPT_SHOWN, StepKind.OPTION_CLICKED, StepKind.PAID]
    steps = [
        Step(
            kind=kind,
            prompt_id=prompt,
            user_id="ada",
            at_ms=now_ms,
            trigger="daily",
            tier="free",
            offer="" if kind in kinds[:2] else offer,
            currency="usd" if kind is StepKind.PAID else "",
            minor=minor if kind is StepKind.PAID else 0,
        )
        for kind in kinds
    ]
    periods = periods_at(Calendar(), now_ms)
    counted = RedisFunnel(stage.admin).count_steps([(step, periods) for step in steps])
    stage.record.write_steps([one.line for one in counted])


def test_counters_and_archive_tell_the_same_and_exactly(stage: Stage) -> None:
    sell(stage)
    sell(stage, prompt="prm_2", minor=501)
    stage.redis.reset_stats()
    code, live = stage.run("report", "--json", "--by", "month")
    assert (code, stage.redis.stats()["http_requests"]) == (0, 2)
    code, recorded = stage.run("report", "--json", "--by", "month", "--from-archive")
    assert code == 0
    told = json.loads(live)
    assert json.loads(recorded[: recorded.rindex("\n}") + 2]) == told
    assert told["total"]["conversion"] == [2, 2]
    assert told["total"]["sales"] == {"usd": {"count": 2, "minor": 1001}}
    assert told["slices"][-1]["steps"]["paid"] == 2


def test_the_terminal_shows_what_was_sold_by_offer(stage: Stage) -> None:
    sell(stage)
    sell(stage, offer="plus", prompt="prm_2", minor=2000)
    code, said = stage.run("report", "--by", "offer")
    assert code == 0
    assert "100.0%; $25.00 ($12.50 an order)" in said
    assert re.search(r"plus +0 +0 +1 +0 +1 +0 +0 +0 +– +\$20\.00", said)


@pytest.mark.parametrize(("width", "users"), [(80, False), (120, True)])
def test_a_terminal_that_is_too_narrow_is_told_less_and_nothing_is_cut_off(
    width: int, users: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = dict.fromkeys(StepKind, 1234)
    week = Slice("2026-10-26", users=steps)
    for kind in StepKind:
        paid = kind is StepKind.PAID
        week.add(Count("d:2026-10-26", kind, "daily", "free", "", "usd" * paid, "", 1_234, 123_119))
    days = (date(2026, 10, 26), date(2026, 11, 1))
    monkeypatch.setattr(report, "console", Console(width=width))
    report.show(FunnelReport(*days, "week", week, [week]))
    said = capsys.readouterr().out
    assert "…" not in said
    assert "$1,231.19" in said
    assert ("(1,234)" in said) == users


def test_the_page_needs_nothing_from_elsewhere(stage: Stage, tmp_path: Path) -> None:
    sell(stage)
    target = tmp_path / "funnel.html"
    code, _ = stage.run("report", "--by", "day", "--days", "7", "--html", str(target))
    page = target.read_text("utf-8")
    assert code == 0
    assert "$5.00" in page
    assert page.count("<svg") == 2
    assert not re.search(r"<script|<link|url\(|https?:|@import", page)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--from", "2026-02-02", "--to", "2026-02-01"),
        ("--from", "2020-01-01"),
    ],
)
def test_days_that_make_no_sense_are_told(stage: Stage, wrong: tuple[str, ...]) -> None:
    code, said = stage.run("report", *wrong)
    assert (code, "Give 1 to 800 days" in said) == (2, True)


def test_nothing_sold_is_no_error(stage: Stage) -> None:
    code, said = stage.run("report")
    assert (code, "nothing paid" in said) == (0, True)
    code, said = stage.run("report", "--from-archive", "--json")
    assert (code, '"conversion": null' in said) == (0, True)
