"""What the terminal shows of a log line."""

import json

import pytest

from infra.local.logs import Line, compact


def test_a_powertools_line_is_level_message_and_its_own_fields() -> None:
    raw = json.dumps(
        {
            "level": "INFO",
            "location": "handler:18",
            "message": "synced",
            "timestamp": "2026-11-25 02:18:50,725+0000",
            "service": "sync_config",
            "cold_start": True,
            "function_name": "f",
            "published": True,
            "tiers": ["free"],
        }
    )
    assert compact(raw) == Line("INFO", 'synced published=true tiers=["free"]')


def test_an_error_keeps_its_trace() -> None:
    logged = json.dumps({"level": "ERROR", "message": "no", "exception": "Traceback\n  here"})
    assert compact(logged) == Line("ERROR", "no\nTraceback\n  here")
    failed = json.dumps(
        {
            "level": "ERROR",
            "errorType": "ValueError",
            "errorMessage": "no",
            "stackTrace": ["  File a\n", "  File b\n"],
        }
    )
    assert compact(failed) == Line("ERROR", "ValueError: no\n  File a\n  File b")


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "  ",
        '{"_aws": {"Timestamp": 1}, "Checks": 1}',
        '{"level": "INFO", "message": "Found credentials", "logger": "botocore.credentials"}',
        '{"level": "WARNING", "message": "LAMBDA_WARNING: Unhandled exception"}',
    ],
)
def test_what_nobody_reads_is_left_out(raw: str) -> None:
    assert compact(raw) is None


@pytest.mark.parametrize("raw", ["plain", "{broken", '{"no": "level"}', "[1]"])
def test_any_other_line_stays_as_it_is(raw: str) -> None:
    assert compact(raw) == Line("", raw)


def test_a_library_that_warns_is_heard() -> None:
    raw = '{"level": "WARNING", "message": "no credentials", "logger": "botocore.credentials"}'
    assert compact(raw) == Line("WARNING", "no credentials")
