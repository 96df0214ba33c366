"""What a browser is answered for a `BlockedError`: one shape, whatever the framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollkeeper import BlockedError

STATUS = 402
#: The body names a link that is this user's alone.
HEADERS = {"Cache-Control": "no-store"}


def blocked_body(error: BlockedError) -> dict[str, Any]:
    """The JSON object that `Tollkeeper.fetch` of embed.js knows by its `"tollkeeper": "blocked"`.

    `upgrade_url` is null where no purchase would help. Times are RFC 3339. `usage` is what the end
    user may see: percent of each limit and credits in what was paid, no AI spend.
    """
    return {
        "tollkeeper": "blocked",
        "code": error.reason,
        "window": error.window,
        "resets_at": error.resets_at.isoformat() if error.resets_at else None,
        "upgrade_message": error.upgrade_message,
        "upgrade_url": error.upgrade_url,
        "usage": error.usage.raw,
    }
