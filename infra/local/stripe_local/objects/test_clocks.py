"""Test clocks."""

from typing import Any

Json = dict[str, Any]

_KEPT_S = 30 * 24 * 3600


def test_clock(clock_id: str, *, created: int, frozen_time: int, name: str | None) -> Json:
    """A `test_helpers.test_clock`, at rest."""
    return {
        "id": clock_id,
        "object": "test_helpers.test_clock",
        "created": created,
        "deletes_after": created + _KEPT_S,
        "frozen_time": frozen_time,
        "livemode": False,
        "name": name,
        "status": "ready",
        "status_details": {},
    }
