"""Moments, for people."""

from datetime import UTC, datetime


def show_moment(seconds: float) -> str:
    """Render Unix seconds: `25 Nov 2026, 12:00` (UTC)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%-d %b %Y, %H:%M")
