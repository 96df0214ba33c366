"""``tollkeeper report --experiment`` over a real Redis and an archive in S3."""

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from tollkeeper_core.adapters.redis_books import RedisBooks
from tollkeeper_core.adapters.redis_funnel import RedisFunnel
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.experiments import Experiment, assign
from tollkeeper_core.domain.funnel import Step, StepKind
from tollkeeper_core.domain.movements import Settle, Settlement
from tollkeeper_core.domain.periods import Calendar, periods_at
from tollkeeper_core.domain.postings import money_postings, settlement_postings
from tollkeeper_core.domain.transactions import Movement

from infra.cli.commands import clock
from tests.support.stage import Stage

EXPERIMENT = Experiment.model_validate(
    {
        "name": "copy",
        "holdout_percent": 30,
        "variants": [{"name": "short"}, {"name": "long"}],
    }
)
#: What a purchase of each arm pays, in cents; cheap enough that all are losses in one.
PRICES = {"holdout": 1000, "short": 4000, "long": 1000}
FEE = 59
COST_NANO = 120_000_000
BATCH = 200


@dataclass
class Crowd:
    """Users who are shown the page, of whom some buy, with the sums that it keeps itself."""

    users: int
    buys: float
    seed: int
    now_ms: int = field(default_factory=clock)
    shown: Counter[str] = field(default_factory=Counter)
    buyers: Counter[str] = field(default_factory=Counter)
    paid: Counter[str] = field(default_factory=Counter)
    cost_nano: Counter[str] = field(default_factory=Counter)

    def lives(self, stage: Stage) -> None:
        chance = random.Random(self.seed)
        steps: list[Step] = []
        moved: list[Movement] = []
        calls: list[Settle] = []
        ids = periods_at(Calendar(), self.now_ms)
        for n in range(self.users):
            user = f"user {n}|é"
            label = assign(EXPERIMENT, user).label
            arm = label.partition(":")[2]
            self.shown[arm] += 1
            steps.append(self._step(StepKind.PROMPT_SHOWN, n, user, label))
            nano = chance.randrange(COST_NANO)
            self.cost_nano[arm] += nano
            calls.append(Settle(user, f"e{n}", nano, None, ids, self.now_ms))
            if chance.random() < self.buys:
                minor = PRICES[arm]
                self.buyers[arm] += 1
                self.paid[arm] += minor
                steps.append(self._step(StepKind.PAID, n, user, label, minor))
                moved.append(
                    Movement(
                        *(f"txn_{n}", user, "charge", f"ch_{n}", minor, FEE, "usd"),
                        at_ms=self.now_ms,
                        period_ids=ids.ids,
                    )
                )
        _write(stage, chance, steps, moved, calls)

    def profit(self, arm: str) -> Fraction:
        cents = self.paid[arm] - FEE * self.buyers[arm]
        return Fraction(cents, 100) - Fraction(self.cost_nano[arm], 10**9)

    def _step(self, kind: StepKind, n: int, user: str, label: str, minor: int = 0) -> Step:
        paid = {"offer": "plus", "currency": "usd", "minor": minor} if minor else {}
        told: dict[str, Any] = {"trigger": "daily", "tier": "free", "variant": label, **paid}
        return Step(kind=kind, prompt_id=f"p{n}", user_id=user, at_ms=self.now_ms + n, **told)


def _write(
    stage: Stage,
    chance: random.Random,
    steps: list[Step],
    moved: list[Movement],
    calls: list[Settle],
) -> None:
    """As the functions do; each step once or twice, in any order."""
    told = [step for step in steps for _ in range(chance.choice((1, 1, 2)))]
    chance.shuffle(told)
    version, books = stage.version, RedisBooks(stage.admin)
    for part in _parts(told):
        periods = [(step, periods_at(Calendar(), step.at_ms)) for step in part]
        counted = RedisFunnel(stage.admin).count_steps(periods)
        stage.record.write_steps([one.line for one in counted])
    for movements in _parts(moved):
        books.book(movements)
        stage.record.write([p for movement in movements for p in money_postings(movement)])
    for requests in _parts(calls):
        settled = stage.admin.settle(requests, version)
        assert all(isinstance(one, Settlement) for one in settled)
        stage.record.write(
            [p for one in settled if isinstance(one, Settlement) for p in settlement_postings(one)]
        )


def _parts(everything: list[Any]) -> Iterator[list[Any]]:
    return (everything[n : n + BATCH] for n in range(0, len(everything), BATCH))


def publish(stage: Stage, experiment: Experiment | None = EXPERIMENT) -> None:
    loaded = stage.admin.load()
    assert loaded is not None
    raw = loaded[1].model_dump(mode="json", by_alias=True)
    raw["experiment"] = experiment.model_dump(mode="json") if experiment else None
    assert stage.admin.publish(Config.model_validate(raw), clock())


def told(stage: Stage, *options: str) -> dict[str, Any]:
    code, said = stage.run("report", "--experiment", *options, "--json")
    assert code == 0, said
    found: dict[str, Any] = json.loads(said[: said.rindex("\n}") + 2])
    return found


def test_every_figure_is_the_crowds_own_from_the_counters_and_from_the_archive(
    stage: Stage,
) -> None:
    publish(stage)
    crowd = Crowd(users=1_500, buys=0.35, seed=6)
    crowd.lives(stage)
    live = told(stage)
    assert told(stage, "--from-archive") == live
    arms = {arm["name"]: arm for arm in live["arms"]}
    assert list(arms) == ["holdout", "short", "long"]
    for name, arm in arms.items():
        profit = crowd.profit(name)
        assert (arm["users"], arm["buyers"]) == (crowd.shown[name], crowd.buyers[name])
        assert arm["paid_minor"] == {"usd": crowd.paid[name]}
        assert arm["fee_minor"] == {"usd": FEE * crowd.buyers[name]}
        assert arm["cost_nano"] == crowd.cost_nano[name]
        assert Fraction(*arm["profit_usd"]) == profit
        assert arm["profit_per_user_usd"] == pytest.approx(float(profit) / crowd.shown[name])
        low, high = arm["profit_per_user_interval"]
        assert low < arm["profit_per_user_usd"] < high
        low, high = arm["conversion_interval"]
        assert low < 0.35 < high
    assert [(d["variant"], d["verdict"]) for d in live["differences"]] == [
        ("short", "better"),
        ("long", "open"),
    ]


def test_with_few_buyers_nothing_is_said(stage: Stage, tmp_path: Path) -> None:
    publish(stage)
    crowd = Crowd(users=60, buys=0.2, seed=7)
    crowd.lives(stage)
    code, said = stage.run("report", "--experiment", "copy")
    assert code == 0
    least = min(crowd.buyers[name] for name in ("holdout", "short"))
    assert f"too early: {least} of 100 buyers in" in said
    assert "better" not in said
    assert "no difference" not in said
    target = tmp_path / "copy.html"
    code, _ = stage.run("report", "--experiment", "copy", "--html", str(target))
    page = target.read_text("utf-8")
    assert (code, "too early" in page) == (0, True)
    assert not re.search(r"<script|<link|url\(|https?:|@import", page)


def test_a_page_has_each_interval_in_a_chart(stage: Stage, tmp_path: Path) -> None:
    publish(stage)
    Crowd(users=1_200, buys=0.4, seed=8).lives(stage)
    target = tmp_path / "copy.html"
    assert stage.run("report", "--experiment", "--html", str(target))[0] == 0
    page = target.read_text("utf-8")
    assert page.count("<circle") == 2
    assert "better than the hold-out" in page
    assert "no difference shown so far" in page
    code, said = stage.run("report", "--experiment")
    assert (code, said.count("●")) == (0, 2)


def test_an_experiment_that_ended_is_told_by_its_name(stage: Stage) -> None:
    publish(stage)
    Crowd(users=40, buys=0.2, seed=9).lives(stage)
    publish(stage, None)
    code, said = stage.run("report", "--experiment")
    assert (code, "No experiment runs" in said) == (2, True)
    arms = defaultdict(int, {arm["name"]: arm["users"] for arm in told(stage, "copy")["arms"]})
    assert sum(arms.values()) == 40


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--experiment", "other"), "Nobody was shown the page in an experiment 'other'"),
        (("--experiment", "copy", "--from", "2026-11-01"), "without --from and --to"),
    ],
)
def test_what_cannot_be_told_says_why(stage: Stage, options: tuple[str, ...], says: str) -> None:
    code, said = stage.run("report", *options)
    assert (code, says in said) == (2, True)
