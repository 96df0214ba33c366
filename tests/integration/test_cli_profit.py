"""``tollkeeper report --profit`` over a real Redis and an archive in S3."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from tollkeeper_core.adapters.redis_books import RedisBooks
from tollkeeper_core.services.config_cache import ConfigCache

from infra.cli.commands import clock
from tests.support.money import Account, Bookkeeper, calendar_config, transaction
from tests.support.stage import REGION, Stage

USD = 10**9


def move(stage: Stage, *listed: object) -> None:
    """Booked and on record, as reconcile does."""
    configs = ConfigCache(stage.admin.load, lambda: calendar_config("UTC"), clock)
    books = RedisBooks(stage.admin)
    Bookkeeper(Account(list(listed)), books, stage.record, configs, clock())()  # type: ignore[arg-type]


def trade(stage: Stage) -> None:
    """ada: 10.00 USD paid, 0.59 of fees, 1.005 of calls; eve: 5.00 EUR and 2.00 given back, and
    calls for 3.00; bob: calls for a nano.
    """
    now_s = clock() // 1000
    stage.settle("e1", 1_005_000_000)
    stage.settle("e2", 3 * USD, "eve\x1b[31m")
    stage.settle("e3", 1, "bob")
    move(
        stage,
        transaction("a", "ada", amount_minor=1_000, fee_minor=59, created_s=now_s),
        transaction("b", "eve\x1b[31m", currency="eur", created_s=now_s),
        transaction(
            "c", "eve\x1b[31m", category="refund", amount_minor=-200, fee_minor=0, currency="eur",
            created_s=now_s,
        ),
    )  # fmt: skip


def give_a_rate(stage: Stage) -> None:
    boto3.client("ssm", region_name=REGION).put_parameter(
        Name=f"/tollkeeper/{stage.name}/settings",
        Value=json.dumps({"report": {"usd_per": {"eur": "1.08"}}}),
        Type="String",
    )
    assert stage.sync()


def test_counters_and_archive_tell_the_same_and_exactly(stage: Stage) -> None:
    trade(stage)
    give_a_rate(stage)
    stage.redis.reset_stats()
    code, live = stage.run("report", "--profit", "--json", "--months", "2")
    assert (code, stage.redis.stats()["http_requests"]) == (0, 3)
    code, recorded = stage.run("report", "--profit", "--json", "--months", "2", "--from-archive")
    assert code == 0
    told = json.loads(live)
    assert json.loads(recorded[: recorded.rindex("\n}") + 2]) == told
    assert told["months"][-1] == f"{datetime.now(UTC):%Y-%m}"
    assert (told["usd_per"]["eur"], told["unconverted"]) == ([27, 25], [])
    profits = {row["name"]: row["profit_usd"] for row in told["top"]}
    assert profits == {
        "ada": [1_681, 200],  # 9.41 - 1.005
        "bob": [-1, USD],
        "eve\x1b[31m": [-123, 500],  # (5.00 - 2.00 - 0.45) x 1.08 - 3.00
    }
    assert told["total"]["paid_minor"] == {"eur": 500, "usd": 1_000}
    assert told["total"]["cost_nano"] == 4_005_000_001
    assert told["top_spend"] == {
        "users": 1,
        "of_users": 3,
        "cost_nano": 3 * USD,
        "of_cost_nano": 4_005_000_001,
    }


def test_the_terminal_shows_the_best_and_the_worst(stage: Stage) -> None:
    trade(stage)
    code, said = stage.run("report", "--profit")
    assert code == 0
    assert "EUR: no rate in settings.report.usd_per" in said
    assert re.search(r"ada +\$10\.00 +– +\$0\.59 +\$1\.00 +\$8\.40 +▇", said)
    assert re.search(r"eve.\[31m +€5\.00 +€2\.00 +€0\.45 +\$3\.00 +-\$3\.00 +▇", said)
    assert re.search(r"bob +– +– +– +<\$0\.01 +>-\$0\.01", said)
    assert "\x1b[31m" not in said
    assert "The 1 user who cost most, 5% of 3, took 74.9% of the AI spend." in said
    give_a_rate(stage)
    assert "1 EUR = 1.08 USD" in stage.run("report", "--profit", "--top", "1")[1]


def test_the_page_needs_nothing_from_elsewhere(stage: Stage, tmp_path: Path) -> None:
    stage.settle("e1", 5 * USD, "<script>alert(1)</script>")
    trade(stage)
    target = tmp_path / "profit.html"
    code, _ = stage.run("report", "--profit", "--html", str(target))
    page = target.read_text("utf-8")
    assert code == 0
    assert "$8.40" in page
    assert "EUR by itself" in page
    assert page.count("<svg") == 5
    assert not re.search(r"<script|<link|url\(|https?:|@import", page)
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("--profit", "--from", "2026-02", "--to", "2026-01"), "Give 1 to 26 months"),
        (("--profit", "--from", "2020-01"), "Give 1 to 26 months"),
        (("--profit", "--from", "2026-02-01"), "whole months"),
        (("--from", "2026-02"), "A month is for --profit"),
    ],
)
def test_months_that_make_no_sense_are_told(
    stage: Stage, wrong: tuple[str, ...], told: str
) -> None:
    code, said = stage.run("report", *wrong)
    assert (code, told in said) == (2, True)


def test_months_are_those_that_were_asked_for(stage: Stage) -> None:
    _, said = stage.run("report", "--profit", "--json", "--from", "2025-11", "--to", "2026-02")
    assert json.loads(said)["months"] == ["2025-11", "2025-12", "2026-01", "2026-02"]
    _, said = stage.run("report", "--profit", "--json", "--to", "2026-02")
    assert json.loads(said)["months"] == ["2025-12", "2026-01", "2026-02"]


def test_nobody_is_no_error(stage: Stage, tmp_path: Path) -> None:
    code, said = stage.run("report", "--profit")
    assert (code, "Nobody cost anything." in said) == (0, True)
    assert stage.run("report", "--profit", "--html", str(tmp_path / "p.html"))[0] == 0
    assert stage.run("report", "--profit", "--from-archive", "--json")[0] == 0


@pytest.mark.parametrize(
    ("field", "by", "told"),
    [
        ("cost|free|ada", 1, "1005000001"),
        ("fee|usd|ada", -9, "50"),
        ("paid|usd|nobody", 7, "7"),
    ],
)
def test_verify_sees_books_that_are_not_the_records(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, field: str, by: int, told: str
) -> None:
    monkeypatch.setattr("infra.cli.commands._PAUSE_S", 0.0)
    trade(stage)
    assert stage.run("verify")[0] == 0
    (books,) = stage.keys("tk:books:*")
    stage.redis.direct.hincrby(books, field, by)
    code, said = stage.run("verify")
    assert (code, "1 differences" in said) == (1, True)
    kind, of, user = field.split("|")
    assert re.search(rf"{user} +│ books m:\S+ {kind} {of} +│ {told} +│", said)
    assert stage.rebuild("--force")[0] == 0
    assert stage.run("verify")[0] == 0


def test_verify_sees_that_a_months_books_are_gone_and_not_that_old_ones_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.cli.commands._PAUSE_S", 0.0)
    for days in (0, 700, 860):
        stage.settle(f"e{days}", USD, at_ms=clock() - days * 86_400_000)
    assert stage.run("verify")[0] == 0
    books = sorted(stage.keys("tk:books:*"))
    assert len(books) == 3
    stage.redis.direct.delete(books[0])
    assert stage.run("verify")[0] == 0
    stage.redis.direct.delete(books[1])
    code, said = stage.run("verify")
    assert (code, "1 differences" in said, books[1][9:] in said) == (1, True, True)
