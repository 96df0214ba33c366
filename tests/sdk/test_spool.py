"""Usage on disk: what memory has no room for, what a dead process left, and a disk that fails."""

import json
import os

import pytest
from tollkeeper import Tollkeeper
from tollkeeper import _spool as spool_module

from tests.support.scripted_tollkeeper import KEY

DOWN = (500, {}, "application/json")


def names(events):
    return sorted(event["event_id"] for event in events)


def report(tk, first, last):
    for number in range(first, last):
        tk.report(user_id="ada", event_id=f"e{number:04}", cost_usd="0.01")


def left_behind(folder, name, *event_ids, tail=""):
    lines = [json.dumps({"event_id": e, "user_id": "ada", "cost_usd": "0.01"}) for e in event_ids]
    (folder / name).write_text("".join(f"{line}\n" for line in lines) + tail)


def test_what_memory_has_no_room_for_waits_on_disk_and_is_delivered(api, tmp_path):
    api.broken["/v1/usage"] = DOWN
    with Tollkeeper(api.url, KEY, timeout_s=5, max_queue=50, spool_dir=tmp_path) as tk:
        report(tk, 0, 330)
        assert not tk.flush(0.2)
        assert (tk.stats().pending, tk.stats().dropped) == (330, 0)
        assert len(tk._core.reporter._pending) == 50
        api.broken.clear()
        report(tk, 330, 340)
        assert tk.flush(10)
        assert (tk.stats().pending, tk.stats().delivered) == (0, 340)
    assert names(api.events) == [f"e{n:04}" for n in range(340)]
    assert list(tmp_path.iterdir()) == []


def test_what_waits_on_disk_at_the_close_is_the_next_processs(api, tmp_path):
    api.broken["/v1/usage"] = DOWN
    tk = Tollkeeper(api.url, KEY, timeout_s=5, max_queue=50, spool_dir=tmp_path)
    report(tk, 0, 170)
    assert tk.close(0.2) == 170
    api.broken.clear()
    with Tollkeeper(api.url, KEY, timeout_s=5, max_queue=50, spool_dir=tmp_path) as tk:
        assert tk.flush(10)
    assert names(api.events) == [f"e{n:04}" for n in range(170)]
    assert list(tmp_path.iterdir()) == []


def test_what_many_dead_processes_left_is_read_one_by_one(api, tmp_path):
    api.broken["/v1/usage"] = DOWN
    for number in range(20):
        left_behind(tmp_path, f"{number}-a.jsonl", *(f"p{number:02}-{n}" for n in range(10)))
    left_behind(tmp_path, "torn.jsonl", "whole", tail='{"event_id": "to')
    left_behind(tmp_path, "empty.jsonl", tail='{"torn')
    with Tollkeeper(api.url, KEY, timeout_s=5, spool_dir=tmp_path) as tk:
        assert not tk.flush(0.2)
        assert tk.stats().pending == 201
        assert len(tk._core.reporter._pending) <= 10
        api.broken.clear()
        assert tk.flush(10)
    assert names(api.events) == [*(f"p{n:02}-{m}" for n in range(20) for m in range(10)), "whole"]
    assert list(tmp_path.iterdir()) == []


def test_two_processes_share_a_spool_and_take_nothing_from_each_other(api, tmp_path):
    api.broken["/v1/usage"] = DOWN
    first = Tollkeeper(api.url, KEY, timeout_s=5, spool_dir=tmp_path)
    report(first, 0, 5)
    second = Tollkeeper(api.url, KEY, timeout_s=5, spool_dir=tmp_path)
    assert second.stats().pending == 0
    api.broken.clear()
    assert second.close() == first.close() == 0
    assert names(api.events) == [f"e{n:04}" for n in range(5)]


def test_a_full_spool_is_full_and_what_is_lost_is_counted(api, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(spool_module, "_SEGMENT_BYTES_MAX", 1_000)
    monkeypatch.setattr(spool_module, "_SPOOL_BYTES_MAX", 4_000)
    api.broken["/v1/usage"] = DOWN
    with Tollkeeper(api.url, KEY, timeout_s=5, max_queue=3, spool_dir=tmp_path) as tk:
        report(tk, 0, 200)
        stats = tk.stats()
        assert stats.dropped > 0
        assert stats.pending + stats.dropped == 200
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 6_000
        assert caplog.text.count("usage lost") == stats.dropped
        api.broken.clear()
        assert tk.flush(10)
        assert tk.stats().delivered == stats.pending
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_half_a_line_spoils_no_other(api, tmp_path, monkeypatch):
    api.broken["/v1/usage"] = DOWN
    tk = Tollkeeper(api.url, KEY, timeout_s=5, spool_dir=tmp_path)
    report(tk, 0, 1)
    write, calls = os.write, []

    def full(fd, data):
        calls.append(data)
        if len(calls) == 1:
            return write(fd, data[:20])
        if len(calls) == 2:
            raise OSError("no space")
        return write(fd, data)

    monkeypatch.setattr(spool_module.os, "write", full)
    report(tk, 1, 3)
    monkeypatch.undo()
    (path,) = tmp_path.iterdir()
    kept = [json.loads(line)["event_id"] for line in path.read_text().splitlines()]
    assert kept == ["e0000", "e0002"]
    api.broken.clear()
    assert tk.close() == 0
    assert names(api.events) == ["e0000", "e0001", "e0002"]


def test_a_folder_that_cannot_be_made_is_an_error_at_once(api, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Tollkeeper(api.url, KEY, spool_dir=tmp_path / "file")
