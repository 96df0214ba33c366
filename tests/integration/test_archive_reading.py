"""The archive in S3, read whole: every object, every posting once, memory flat; and by DuckDB."""

import json
import random
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from tollkeeper_core.adapters.archive import S3Archive
from tollkeeper_core.adapters.record import S3Record
from tollkeeper_core.adapters.workbench import open_workbench
from tollkeeper_core.domain.fold import UserFold, sets_of
from tollkeeper_core.domain.movements import Granted, Settlement
from tollkeeper_core.domain.periods import cutoffs
from tollkeeper_core.domain.postings import Posting, grant_postings, settlement_postings
from tollkeeper_core.domain.record import RecordError
from tollkeeper_core.services.read_archive import read_new

from tests.support.record import BUCKET, quiet, s3

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

ROOT = Path(__file__).parents[2]
NOW_MS = 1_795_600_000_000  # 2026-11-25
DAY_MS = 86_400_000


def settled(event: str, user: str = "ada", nano: int = 10, at_ms: int = NOW_MS) -> list[Posting]:
    day = f"d:2026-11-{25 + (at_ms - NOW_MS) // DAY_MS:02d}"
    return settlement_postings(
        Settlement(
            user, event, nano, nano, 0, {}, (day, "w:2026-11-23", "m:2026-11"), "free", "", {},
            at_ms, replayed=False,
        )
    )  # fmt: skip


def bought(purchase: str, user: str = "ada") -> list[Posting]:
    return grant_postings(
        Granted(
            user,
            purchase,
            "p",
            4_000,
            500,
            500,
            "usd",
            None,
            None,
            0,
            NOW_MS,
            0,
            claimed=False,
            replayed=False,
            paid_ms=NOW_MS,
        )
    )


@pytest.fixture
def client() -> "Iterator[S3Client]":
    with s3() as client:
        yield client


def test_a_line_is_flat_and_reads_back_as_it_was() -> None:
    for posting in [*settled("e1", "a:b {c} é"), *bought("cs_1")]:
        line = json.loads(posting.as_line())
        assert all(isinstance(value, str | int) for value in line.values())
        assert Posting.from_json(line) == posting


def test_objects_lie_by_the_day_and_are_listed_page_by_page(client: "S3Client") -> None:
    record = S3Record(client, BUCKET)
    assert not record.holds_postings()
    for n in range(1_005):
        record.write(settled(f"e{n}", at_ms=NOW_MS - (n % 3) * DAY_MS))

    pages = list(record.names())

    assert record.holds_postings()
    assert [len(page) for page in pages] == [1000, 5]
    days = [name.split("/")[1] for page in pages for name in page]
    assert days == sorted(days)
    assert set(days) == {"dt=2026-11-23", "dt=2026-11-24", "dt=2026-11-25"}


def test_doubles_and_other_mixes_of_the_same_postings_count_once(client: "S3Client") -> None:
    record = S3Record(client, BUCKET)
    sets = [settled(f"e{n}", nano=n + 1) for n in range(40)]
    for seed in range(3):
        mixed = random.Random(seed).sample(sets, len(sets))
        for first in range(0, len(mixed), 7):
            record.write([p for s in mixed[first : first + 7] for p in s])

    with open_workbench() as bench:
        assert read_new(record, bench, quiet) == 18
        assert read_new(record, bench, quiet) == 0
        assert bench.count() == (80, 1)
        fold = UserFold("ada", cutoffs(NOW_MS))
        for lines in sets_of(bench.postings("ada")):
            fold.add(lines)

    assert fold.result().spent["m:2026-11"].total_nano == sum(range(1, 41))
    assert not fold.problems


def test_the_same_id_with_two_contents_is_told_and_counts_the_same_in_any_order(
    client: "S3Client",
) -> None:
    for order in ([10, 11], [11, 10]):
        with open_workbench() as bench:
            for nano in order:
                bench.add(posting.as_line() for posting in settled("e1", nano=nano))
            assert len(bench.contradictions("ada")) == 2
            assert sorted(p.amount for p in bench.postings("ada")) == [-10, 10]


def test_what_is_no_posting_stops_the_reading_and_is_named(client: "S3Client") -> None:
    client.put_object(Bucket=BUCKET, Key="postings/dt=2026-11-25/x.jsonl", Body=b'{"id": 1}\n')
    with open_workbench() as bench, pytest.raises(RecordError, match="no posting"):
        read_new(S3Record(client, BUCKET), bench, quiet)


class Endless:
    """A record of any length that lies nowhere."""

    def __init__(self, objects: int) -> None:
        self.objects = objects

    def names(self) -> Iterator[list[str]]:
        for first in range(0, self.objects, 1000):
            yield [f"postings/dt=x/{n}" for n in range(first, min(first + 1000, self.objects))]

    def read(self, names: list[str]) -> Iterator[tuple[str, list[str]]]:
        for name in names:
            n = name.rpartition("/")[2]
            yield name, [p.as_line() for k in range(5) for p in settled(f"e{n}-{k}", f"u{n[-1:]}")]


def peak_bytes(objects: int) -> int:
    """Reading and folding everything; each object holds ten postings."""
    tracemalloc.start()
    try:
        with open_workbench() as bench:
            read_new(Endless(objects), bench, quiet)  # type: ignore[arg-type]  # all it needs
            assert bench.count()[0] == objects * 10
            for user in bench.users("", 1_000):
                fold = UserFold(user, cutoffs(NOW_MS))
                for lines in sets_of(bench.postings(user)):
                    fold.add(lines)
                assert not fold.problems
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_archive() -> None:
    small, large = peak_bytes(150), peak_bytes(1_500)
    assert large < small * 1.3 + 100_000


@pytest.fixture
def folder(client: "S3Client", tmp_path: Path) -> Path:
    """What S3Archive writes, doubled, as a folder of files that lies as the bucket does."""
    archive = S3Archive(client, BUCKET)
    archive.write([*settled("e1", nano=30), *settled("e2", "bob", 5)])
    archive.write([*settled("e1", nano=30), *settled("e3", nano=12), *bought("cs_1")])
    archive.write(settled("e4", nano=7, at_ms=NOW_MS - DAY_MS))
    for found in client.list_objects_v2(Bucket=BUCKET)["Contents"]:
        path = tmp_path / found["Key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        body = client.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read()
        path.write_bytes(body)
    return tmp_path


def documented(title: str, folder: Path) -> list[tuple[Any, ...]]:
    """The rows of a DuckDB query of docs/ledger.md, over these files in place of the bucket."""
    text = (ROOT / "docs" / "ledger.md").read_text()
    view, query = (
        re.search(rf"```sql\n-- DuckDB: {name}\n(.*?)```", text, re.DOTALL)
        for name in ("the postings", title)
    )
    assert view is not None
    assert query is not None
    with duckdb.connect() as database:
        database.execute(view[1].replace("s3://BUCKET", str(folder)))
        return database.execute(query[1]).fetchall()


def test_duckdb_reads_the_archive_as_it_lies(folder: Path) -> None:
    assert documented("balances by account", folder) == [
        ("cash", "usd_minor", -500),
        ("sales:p", "usd_nano", -4_000),
        ("user:ada:allowance", "usd_nano", -49),
        ("user:ada:lot:cs_1", "usd_nano", 4_000),
        ("user:ada:paid", "usd_minor", 500),
        ("user:ada:usage", "usd_nano", 49),
        ("user:bob:allowance", "usd_nano", -5),
        ("user:bob:usage", "usd_nano", 5),
    ]
    usage = documented("usage by user and day", folder)
    assert [(user, str(day), calls, nano) for user, day, calls, nano in usage] == [
        ("ada", "2026-11-24", 1, 7),
        ("ada", "2026-11-25", 2, 42),
        ("bob", "2026-11-25", 1, 5),
    ]
