"""Compares what was sent, what the archive says and what Redis holds, to the nano.

Twice, in two ways: with a few sums over the archive's raw lines, and with the product's own verify.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tollkeeper_core.adapters.record import S3Record
from tollkeeper_core.adapters.redis_admin import RedisAdmin
from tollkeeper_core.adapters.redis_books import RedisBooks
from tollkeeper_core.adapters.workbench import open_workbench
from tollkeeper_core.domain.books import entry_of
from tollkeeper_core.domain.postings import Posting
from tollkeeper_core.services.verify import Verify

from tests.kills.traffic import DAY_MS, NOON_MS, USERS, Traffic
from tests.support.record import quiet


def differences(record: S3Record, admin: RedisAdmin, traffic: Traffic) -> Iterator[str]:
    """Each as a sentence; none where nothing was lost and nothing doubled."""
    lines: dict[str, dict[str, Any]] = {}
    for names in record.names():
        for _, texts in record.read(names):
            for line in map(json.loads, texts):
                if lines.setdefault(line["id"], line) != line:
                    yield f"{line['id']} is on record with two contents"
    yield from _costs(lines, traffic)
    yield from _redis(lines, admin, traffic)
    yield from _books(lines, admin)
    if held := traffic.held_nano():
        yield f"{held} nano are still held"
    verify = Verify(
        record, admin, open_workbench, lambda: NOON_MS + 4 * DAY_MS, lambda _: None, 1, 0.0
    )
    yield from map(str, verify(quiet))


def _costs(lines: dict[str, dict[str, Any]], traffic: Traffic) -> Iterator[str]:
    recorded: Counter[tuple[str, str]] = Counter()
    sums: Counter[tuple[str, str]] = Counter()
    for line in lines.values():
        sums[line["set_id"], line["asset"]] += line["amount"]
        if line["account"].endswith(":usage"):
            recorded[line["user_id"], json.loads(line["terms"])["event_id"]] += line["amount"]
    for name in recorded.keys() | traffic.costs.keys():
        if recorded[name] != traffic.costs.get(name, 0):
            yield f"{name} cost {traffic.costs.get(name)}, recorded are {recorded[name]}"
    yield from (f"the set {name} does not sum to 0" for name, total in sums.items() if total)


def _books(lines: dict[str, dict[str, Any]], admin: RedisAdmin) -> Iterator[str]:
    """The owner's books against the record, which was held to the traffic before."""
    recorded: Counter[tuple[str, str]] = Counter()
    for line in lines.values():
        if (entry := entry_of(Posting.from_json(line))) is not None:
            recorded[entry.month, entry.field] += entry.amount
    months = sorted({month for month, _ in recorded})
    live = {(e.month, e.field): e.amount for e in RedisBooks(admin).entries(months)}
    for at in live.keys() | recorded.keys():
        if live.get(at, 0) != recorded[at]:
            yield f"books {at}: Redis {live.get(at)}, archive {recorded[at]}"


def _redis(lines: dict[str, dict[str, Any]], admin: RedisAdmin, traffic: Traffic) -> Iterator[str]:
    lots: Counter[tuple[str, str]] = Counter()
    for line in lines.values():
        if ":lot:" in line["account"]:
            lots[line["user_id"], line["account"].rpartition(":")[2]] += line["amount"]
    for state in admin.states(USERS):
        spent = {id_: s.total_nano for id_, s in state.spent.items() if id_[0] == "d"}
        sent = {day: nano for (user, day), nano in traffic.days.items() if user == state.user_id}
        for day in spent.keys() | sent.keys():
            if spent.get(day, 0) != sent.get(day, 0):
                yield f"{state.user_id} {day}: sent {sent.get(day)}, Redis has {spent.get(day)}"
        left = {lot.id: lot.remaining_nano for lot in state.lots}
        kept = {lot: n for (user, lot), n in lots.items() if user == state.user_id and n}
        if left != kept:
            yield f"lots of {state.user_id}: Redis {left}, archive {kept}"
