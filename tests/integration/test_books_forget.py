"""Who is forgotten is in no book by name, and every sum stays what it was."""

from typing import Any

import pytest
from tollkeeper_core.adapters.books_bench import BooksBench
from tollkeeper_core.adapters.redis_books import RedisBooks
from tollkeeper_core.domain.forgetting import is_forgotten
from tollkeeper_core.services.config_cache import ConfigCache

from infra.cli.commands import clock
from tests.support.money import Account, Bookkeeper, calendar_config, transaction
from tests.support.record import quiet
from tests.support.stage import Stage

USD = 10**9
#: Everything that a pattern of Redis would take for something else, and bars.
PERSON = r"a*[x]\?|ada é"
NEIGHBOURS = ("ada é", r"other|a*[x]\?|ada é", "axx", "aa[x]x|ada é")


def keeper(stage: Stage, *more: Any) -> Bookkeeper:
    """reconcile's, over what these came to at Stripe."""
    now_s = clock() // 1000
    listed = [
        transaction(f"{kind}{n}", user, category=kind, amount_minor=minor, created_s=now_s)
        for n, user in enumerate((PERSON, *NEIGHBOURS))
        for kind, minor in (("charge", 1_000), ("refund", -100 - n))
    ]
    configs = ConfigCache(stage.admin.load, lambda: calendar_config("UTC"), clock)
    books = RedisBooks(stage.admin)
    return Bookkeeper(Account([*listed, *more]), books, stage.record, configs, clock())


def live(stage: Stage) -> None:
    for n, user in enumerate((PERSON, *NEIGHBOURS)):
        stage.settle(f"e{n}", (n + 1) * USD, user)
    keeper(stage)()


def months(stage: Stage) -> list[str]:
    return [key.removeprefix("tk:books:") for key in stage.keys("tk:books:*")]


def books(stage: Stage) -> list[dict[tuple[str, ...], int]]:
    """Of counters and record, a forgotten user called so."""

    def name(user: str) -> str:
        return "forgotten" if is_forgotten(user) else user

    return [
        {(e.month, e.kind, e.of, name(e.user_id)): e.amount for e in source.entries(months(stage))}
        for source in (RedisBooks(stage.admin), BooksBench(stage.record, quiet))
    ]


def test_the_books_go_on_under_the_alias(stage: Stage) -> None:
    live(stage)
    before, record = books(stage)
    assert before == record
    assert stage.run("forget", "--yes", PERSON)[0] == 0
    after, record = books(stage)
    assert after == record
    renamed = {(*at[:3], "forgotten" if at[3] == PERSON else at[3]): n for at, n in before.items()}
    assert after == renamed
    stored = stage.everything_ever_stored()
    assert "forgotten" in stored
    names = {e.user_id for e in RedisBooks(stage.admin).entries(months(stage))}
    assert PERSON not in names
    assert set(NEIGHBOURS) < names
    assert "txn_charge0" not in "".join(str(line) for line in stage.lines())


def test_stripe_tells_of_their_money_again_and_it_is_no_news(stage: Stage) -> None:
    live(stage)
    stage.run("forget", "--yes", PERSON)
    before = books(stage)
    assert keeper(stage)().booked == 0
    assert books(stage) == before


def test_who_is_forgotten_comes_back_to_the_books_of_a_rebuild(stage: Stage) -> None:
    live(stage)
    stage.run("forget", "--yes", PERSON)
    before = books(stage)
    stage.redis.flush()
    assert stage.rebuild()[0] == 0
    assert books(stage) == before
    assert stage.run("verify")[0] == 0


def test_money_that_a_run_left_between_books_and_record_bears_no_name_either(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.settle("e0", USD, PERSON)
    broken = keeper(stage)
    with monkeypatch.context() as patch:
        patch.setattr(type(stage.record), "write", _down)
        with pytest.raises(OSError, match="down"):
            broken()
    live_, record = books(stage)
    assert live_ != record
    stage.run("forget", "--yes", PERSON)
    broken()
    live_, record = books(stage)
    assert live_ == record
    assert sum(n for at, n in live_.items() if at[1] == "paid" and at[3] == "forgotten") == 1_000
    assert PERSON not in {line["user_id"] for line in stage.lines()}


def _down(*_: object) -> None:
    raise OSError("down")


def test_a_forgetting_that_broke_off_counts_nobody_twice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(stage)
    before = sorted(books(stage)[0].values())
    with monkeypatch.context() as patch:
        patch.setattr(type(stage.admin), "delete_user", _down)
        with pytest.raises(OSError, match="down"):
            stage.run("forget", "--yes", PERSON)
    assert sorted(books(stage)[0].values()) == before
    assert stage.run("forget", "--yes", PERSON)[0] == 0
    after, record = books(stage)
    assert after == record
    assert sorted(after.values()) == before


def test_export_tells_a_persons_entries_and_nobody_elses(stage: Stage) -> None:
    live(stage)
    _, said = stage.run("export", PERSON)
    (month,) = months(stage)
    assert f'"tk:books:{month}"' in said
    told = stage.admin.dump(PERSON)[f"tk:books:{month}"]
    assert told == {
        f"cost|free|{PERSON}": str(USD),
        f"paid|usd|{PERSON}": "1000",
        f"refunded|usd|{PERSON}": "100",
        f"fee|usd|{PERSON}": "90",
    }
    assert '\\"txn_id\\":\\"txn_charge0\\"' in said
    assert "txn_charge1" not in said
