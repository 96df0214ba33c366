"""What the API answers, as objects; and the errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

Json = dict[str, Any]


class TollkeeperError(Exception):
    """Tollkeeper refused the request: a wrong key, a value that does not validate."""


class UnavailableError(TollkeeperError):
    """Tollkeeper could not be asked in time, and the policy is not to go ahead without it."""


@dataclass(frozen=True)
class Usage:
    """Where an end user stands: what they may see, and no AI spend.

    A percentage is 0 to 100, rounded down, and None where the tier has no such limit. `resets_at`
    is when the fullest window starts over. `raw` is the API's own object.
    """

    daily_percent: int | None
    weekly_percent: int | None
    monthly_percent: int | None
    credit_balance_display: str | None
    resets_at: datetime | None
    tier: str
    raw: Json = field(repr=False)

    @classmethod
    def parse(cls, data: Json) -> Usage:
        """Read the API's usage object. Raises LookupError, TypeError or ValueError on any other."""
        windows: Mapping[str, Json] = data["windows"]
        percents = {name: int(window["percent"]) for name, window in windows.items()}
        fullest = max(windows.values(), key=lambda w: (w["percent"], w["resets_at"]), default=None)
        return cls(
            daily_percent=percents.get("daily"),
            weekly_percent=percents.get("weekly"),
            monthly_percent=percents.get("monthly"),
            credit_balance_display=" + ".join(str(c["display"]) for c in data["credits"]) or None,
            resets_at=parse_time(fullest["resets_at"]) if fullest else None,
            tier=str(data["tier"]),
            raw=data,
        )


@dataclass(frozen=True)
class Allowed:
    """The call may run. Hand `reservation_id` to `report` afterwards.

    `degraded`: nobody was asked or nothing was reserved, because of an outage.
    """

    reservation_id: str | None = None
    reserved_usd: Decimal | None = None
    expires_at: datetime | None = None
    warnings: tuple[Json, ...] = ()
    usage: Usage | None = None
    degraded: bool = False

    @classmethod
    def parse(cls, data: Json) -> Allowed:
        """Read an allowing decision."""
        reserved, expires_at, usage = map(data.get, ("reserved_usd", "expires_at", "usage"))
        return cls(
            reservation_id=data.get("reservation_id"),
            reserved_usd=None if reserved is None else Decimal(reserved),
            expires_at=parse_time(expires_at) if expires_at else None,
            warnings=tuple(data.get("warnings") or ()),
            usage=Usage.parse(usage) if usage else None,
            degraded=bool(data.get("degraded", False)),
        )


class BlockedError(Exception):
    """The call may not run: the user is at a limit. Show `upgrade_message`, open `upgrade_url`.

    `reason` is the code (`limit_reached`, ...), `window` the limit that stops the call, `resets_at`
    when it starts over. `upgrade_url` is None where no purchase would help. `raw` is the answer.
    """

    def __init__(self, data: Json) -> None:
        reason = data["reason"]
        resets_at = reason.get("resets_at")
        self.reason: str = str(reason["code"])
        self.window: str | None = reason.get("window")
        self.resets_at: datetime | None = parse_time(resets_at) if resets_at else None
        self.affordable_usd = Decimal(data.get("affordable_usd") or 0)
        self.upgrade_message: str = str(data["upgrade_message"])
        self.upgrade_url: str | None = data.get("upgrade_url")
        self.usage = Usage.parse(data["usage"])
        self.raw: Json = data
        super().__init__(f"{self.reason}: {self.upgrade_message}")

    def __reduce__(self) -> tuple[type[BlockedError], tuple[Json]]:
        return type(self), (self.raw,)

    @property
    def checkout_url(self) -> str | None:
        """The same as `upgrade_url`."""
        return self.upgrade_url


_FRACTION = re.compile(r"\.(\d+)")


def parse_time(text: str) -> datetime:
    """An RFC 3339 instant as an aware datetime. Python before 3.11 reads neither Z nor 1 digit."""
    text = _FRACTION.sub(lambda m: "." + m[1][:6].ljust(6, "0"), text)
    if text[-1:] in ("Z", "z"):
        text = text[:-1] + "+00:00"
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)
