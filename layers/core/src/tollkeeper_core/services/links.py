"""Links to the upgrade page: for a block, and for a "buy credits" button."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tollkeeper_core.domain.links import (
    LINK_SECONDS,
    LinkClaims,
    LinkReason,
    sign_link,
    upgrade_url,
)
from tollkeeper_core.domain.ports import Clock


class UpgradeLinks(Protocol):
    """What a check asks for the link of a block."""

    def url(
        self,
        user_id: str,
        tier: str | None,
        reason: LinkReason | None,
        prompt_id: str | None = None,
    ) -> str | None:
        """A link for this user; None from who cannot sign one."""
        ...


@dataclass(frozen=True)
class Links:
    """``key`` answers the signing key: asked for only when a link is made."""

    page_url: str
    key: Callable[[], bytes]
    clock: Clock

    def url(
        self,
        user_id: str,
        tier: str | None,
        reason: LinkReason | None,
        prompt_id: str | None = None,
        origin: str | None = None,
        lifetime_s: int = LINK_SECONDS,
    ) -> str:
        """A link for this user, which works for ``lifetime_s`` seconds."""
        claims = LinkClaims(
            user_id=user_id,
            prompt_id=prompt_id or f"prm_{secrets.token_hex(12)}",
            expires_ms=self.clock() + lifetime_s * 1000,
            tier=tier,
            reason=reason,
            origin=origin,
        )
        return upgrade_url(self.page_url, sign_link(claims, self.key()))
