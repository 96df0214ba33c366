"""tollkeeper export and forget: everything that is held, and then nothing that names anybody."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tollkeeper_core.adapters.record import S3Record
from tollkeeper_core.adapters.redis_admin import RedisAdmin
from tollkeeper_core.domain.forgetting import Forgetting, is_forgotten, masked
from tollkeeper_core.domain.movements import Claim, Hold
from tollkeeper_core.domain.postings import Posting, claim_postings

from infra.cli.commands import clock
from tests.support.stage import Stage

CENT = 10_000_000
PERSON = "lovelace:l{o} é"  # the archive has it percent-encoded, Redis too
EVERY_NAME = ("lovelace", "call-by-", "cs_", "sub_")


def lives(stage: Stage) -> None:
    """Both in the same objects: a batch mixes users."""
    for user, suffix in ((PERSON, "lovelace"), ("bob", "bob")):
        assert stage.buy(f"cs_{suffix}", user=user)
        stage.subscribe(f"sub_{suffix}", user=user)
        for n in range(2):
            stage.settle(f"call-by-{suffix}-{n}", 40 * CENT, user=user)
    claimed = stage.admin.claim(
        Claim(PERSON, "cs_lovelace", "re_1", (0, 2), 500, Hold.NONE, clock())
    )
    assert claimed is not None
    stage.record.write(claim_postings(claimed))
    stage.record.write([Posting.from_json(line) for line in stage.lines()])


def totals(stage: Stage) -> Counter[tuple[str, str]]:
    """What the owner's books say: accounts of all users taken together, each posting once."""
    sums: Counter[tuple[str, str]] = Counter()
    for line in {line["id"]: line for line in stage.lines()}.values():
        parts = line["account"].split(":")
        account = parts[2] if parts[0] == "user" else line["account"]
        sums[account, line["asset"]] += line["amount"]
    return sums


def by_set(stage: Stage) -> Counter[tuple[str, str]]:
    sums: Counter[tuple[str, str]] = Counter()
    for line in {line["id"]: line for line in stage.lines()}.values():
        sums[line["set_id"], line["asset"]] += line["amount"]
    return sums


def nothing_is_left(stage: Stage) -> None:
    stored = stage.everything_ever_stored()
    assert "cs_bob" in stored
    for bobs in ("call-by-bob", "cs_bob", "sub_bob"):
        stored = stored.replace(bobs, "")
    assert not [name for name in EVERY_NAME if name in stored]


def test_export_tells_all_that_is_held(stage: Stage) -> None:
    lives(stage)
    code, said = stage.run("export", PERSON)
    assert code == 0
    told = json.loads(said[: said.rindex("]}") + 2])
    assert told["user_id"] == PERSON
    expected = {line["id"]: line for line in stage.lines() if line["user_id"] == PERSON}
    assert {line["id"]: line for line in told["postings"]} == expected
    assert len(told["postings"]) == len(expected)
    stem = "tk:{lovelace%3Al%7Bo%7D%20%C3%A9}"
    (books,) = stage.keys("tk:books:*")
    assert set(told["live"]) == {*stage.keys(f"{stem}*"), books}
    assert told["live"][books] == {f"cost|pro|{PERSON}": str(2 * 40 * CENT)}
    assert told["live"][stem]["bought"] == "1"
    assert "cs_lovelace" in told["live"][f"{stem}:buys"]

    code, said = stage.run("export", "nobody")
    assert (code, json.loads(said[: said.rindex("]}") + 2])["postings"]) == (0, [])


def test_forgotten_is_gone_everywhere_and_the_totals_stay_true(stage: Stage) -> None:
    lives(stage)
    before, bob = totals(stage), stage.admin.states(["bob"])

    code, said = stage.run("forget", PERSON, "--yes")

    assert code == 0, said
    nothing_is_left(stage)
    assert totals(stage) == before
    assert not any(by_set(stage).values())
    assert stage.run("verify")[0] == 0
    assert stage.admin.states(["bob"]) == bob
    assert len({line["user_id"] for line in stage.lines()} - {"bob"}) == 1

    stage.redis.flush()
    assert stage.rebuild()[0] == 0
    assert [name for names in stage.admin.users() for name in names] == ["bob"]
    assert stage.admin.states(["bob"]) == bob
    assert stage.run("verify")[0] == 0


def test_forget_again_changes_nothing(stage: Stage) -> None:
    lives(stage)
    assert stage.run("forget", PERSON, "--yes")[0] == 0
    before = stage.lines()
    code, said = stage.run("forget", PERSON, "--yes")
    assert (code, "0 keys deleted; 0 postings" in said) == (0, True)
    assert stage.lines() == before


def test_who_comes_back_while_being_forgotten_is_forgotten_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives(stage)
    real, calls = S3Record.versions, []

    def with_late_writer(self: S3Record) -> Any:
        yield from real(self)
        calls.append(1)
        if len(calls) == 1:
            stage.settle("call-by-lovelace-late", CENT, user=PERSON)

    monkeypatch.setattr(S3Record, "versions", with_late_writer)
    assert stage.run("forget", PERSON, "--yes")[0] == 0
    monkeypatch.undo()
    nothing_is_left(stage)


def steps() -> list[tuple[type, str, int]]:
    """Where it may break off: before the n-th call of each step."""
    return [
        (RedisAdmin, "delete_user", 1),
        (S3Record, "_put", 4),
        (S3Record, "_delete", 4),
        (RedisAdmin, "delete_user", 2),
        (S3Record, "end_forgetting", 1),
    ]


@pytest.mark.parametrize(("owner", "step", "nth"), steps())
def test_broken_off_anywhere_and_begun_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, owner: type, step: str, nth: int
) -> None:
    lives(stage)
    before, bob = totals(stage), stage.admin.states(["bob"])
    real: Callable[..., Any] = getattr(owner, step)
    calls: list[int] = []

    def power_cut(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == nth:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(owner, step, power_cut)
        assert stage.run("forget", PERSON, "--yes")[0] == 130
    assert len(calls) == nth

    for command in (("verify",), ("rebuild", "--yes", "--force", "--grace", "0")):
        code, said = stage.run(*command)
        assert (code, "run tollkeeper forget" in said) == (2, True)

    assert stage.run("forget", PERSON, "--yes")[0] == 0
    nothing_is_left(stage)
    assert totals(stage) == before
    assert not any(by_set(stage).values())
    assert stage.admin.states(["bob"]) == bob
    assert stage.run("verify")[0] == 0


def test_versions_that_were_left_behind_go_too(stage: Stage) -> None:
    """What somebody deleted or wrote again before: it is not listed any more, and still there."""
    lives(stage)
    names = [name for page in stage.record.names() for name in page]
    for name in names:
        body = stage.s3.get_object(Bucket=stage.bucket, Key=name)["Body"].read()
        stage.s3.put_object(Bucket=stage.bucket, Key=name, Body=body)
    before = totals(stage)
    stage.settle("call-by-lovelace-deleted", CENT, user=PERSON)
    (deleted,) = {name for page in stage.record.names() for name in page} - set(names)
    stage.s3.delete_object(Bucket=stage.bucket, Key=deleted)

    assert stage.run("forget", PERSON, "--yes")[0] == 0

    nothing_is_left(stage)
    assert totals(stage) == before  # what was deleted is no part of the record, under any name


def test_a_bucket_without_versions_will_do(stage: Stage) -> None:
    stage.s3.put_bucket_versioning(
        Bucket=stage.bucket, VersioningConfiguration={"Status": "Suspended"}
    )
    lives(stage)
    before = totals(stage)
    assert stage.run("forget", PERSON, "--yes")[0] == 0
    nothing_is_left(stage)
    assert totals(stage) == before


def test_nobody_can_be_called_as_the_forgotten_are() -> None:
    who = Forgetting("ada", "0" * 128)
    assert is_forgotten(who.alias)
    assert len(who.alias) > 128
    assert not is_forgotten("forgotten:" + "0" * 118)  # as long as an app's id may be
    assert who.alias != Forgetting("ada", "1" * 128).alias


def test_names_are_replaced_the_same_within_a_person_and_nowhere_else(stage: Stage) -> None:
    lives(stage)
    who, other = Forgetting(PERSON, "0" * 128), Forgetting(PERSON, "1" * 128)
    mine = [Posting.from_json(line) for line in stage.lines() if line["user_id"] == PERSON]
    lots = {masked(p, who).account for p in mine if ":lot:" in p.account}
    assert len(lots) == 1
    assert lots.isdisjoint(masked(p, other).account for p in mine)
    assert len({masked(p, who).id for p in mine}) == len({p.id for p in mine})
    for p in mine:
        new = masked(p, who)
        assert (new.amount, new.asset, new.at_ms, new.period_ids) == (
            p.amount, p.asset, p.at_ms, p.period_ids,
        )  # fmt: skip
