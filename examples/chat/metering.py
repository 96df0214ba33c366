"""A client for Tollkeeper's API: ask before an AI call, report after it.

Safe to use from several threads. `check` and the readers wait for the answer for a bounded time;
`report` never waits.
"""

import logging
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

import httpx

from examples.chat.reporter import Reporter, Undeliverable

logger = logging.getLogger(__name__)

Json = dict[str, Any]

# A key that is being rotated, a throttled function: worth another attempt with the same events.
_RETRY_STATUSES = frozenset({401, 403, 408, 429})


class TollkeeperError(Exception):
    """Tollkeeper refused the request: a wrong key, a value that does not validate."""


class UnavailableError(TollkeeperError):
    """Tollkeeper could not be asked in time, and the policy is not to go ahead without it."""


@dataclass(frozen=True)
class Window:
    """How much of a limit is used, and when it starts over."""

    percent: int
    resets_at: datetime


@dataclass(frozen=True)
class Credit:
    """A balance of credits in what the user paid: `balance_minor` in the currency's minor unit."""

    currency: str
    balance_minor: int
    display: str


@dataclass(frozen=True)
class Usage:
    """What an end user may see: no AI spend."""

    tier: str
    windows: dict[str, Window]
    credits: tuple[Credit, ...]

    @classmethod
    def parse(cls, data: Json) -> "Usage":
        """Read the API's usage object."""
        windows = {
            name: Window(window["percent"], _time(window["resets_at"]))
            for name, window in data["windows"].items()
        }
        credits_ = tuple(
            Credit(c["currency"], c["balance_minor"], c["display"]) for c in data["credits"]
        )
        return cls(data["tier"], windows, credits_)


@dataclass(frozen=True)
class Allowed:
    """The call may run. Hand `reservation_id` to `report` afterwards.

    `degraded`: nobody was asked or nothing was reserved, because of an outage.
    """

    reservation_id: str | None = None
    reserved_usd: Decimal | None = None
    expires_at: datetime | None = None
    warnings: tuple[Any, ...] = ()
    usage: Usage | None = None
    degraded: bool = False


class BlockedError(Exception):
    """The call may not run: the user is at a limit. Show `upgrade_message`, open `upgrade_url`."""

    def __init__(self, data: Json) -> None:
        reason = data["reason"]
        self.code: str = reason["code"]
        self.window: str | None = reason.get("window")
        resets_at = reason.get("resets_at")
        self.resets_at: datetime | None = _time(resets_at) if resets_at else None
        self.affordable_usd = Decimal(data.get("affordable_usd") or 0)
        self.upgrade_message: str = data["upgrade_message"]
        self.upgrade_url: str = data["upgrade_url"]
        self.usage = Usage.parse(data["usage"])
        super().__init__(f"{self.code}: {self.upgrade_message}")


class Tollkeeper:
    """A connection to one Tollkeeper. Close it, or use it in a `with` block: usage is flushed.

    `url` is the intercept function's, `api_key` the whole `tk_...` string. `outage` says what
    `check` does when no answer comes within `timeout_seconds`: `allow` or `block`.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        timeout_seconds: float = 2.0,
        outage: Literal["allow", "block"] = "allow",
        retry_seconds: float = 0.25,
    ) -> None:
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=timeout_seconds,
            trust_env=False,
        )
        self._outage = outage
        self._reporter = Reporter(self._send_events, retry_seconds)

    def check(
        self,
        *,
        user_id: str,
        provider: str,
        model: str,
        input_tokens: int,
        max_output_tokens: int,
        tier: str | None = None,
        request_id: str | None = None,
    ) -> Allowed:
        """Ask whether a call may run, and reserve what it may cost at most.

        The same `request_id` gets the same answer, so asking again is safe. Raises `BlockedError`
        at a limit, `UnavailableError` when the answer to an outage is to block, and
        `TollkeeperError` when the request itself is refused.
        """
        body = {
            "user_id": user_id,
            "tier": tier,
            "provider": provider,
            "model": model,
            "input_tokens": input_tokens,
            "max_output_tokens": max_output_tokens,
            "request_id": request_id or str(uuid.uuid4()),
        }
        try:
            data = self._call("POST", "/v1/check", {k: v for k, v in body.items() if v is not None})
            if data["decision"] == "block":
                raise BlockedError(data)
            return _allowed(data)
        except (_NoAnswer, KeyError, TypeError, ValueError) as error:
            if self._outage == "block":
                raise UnavailableError("Tollkeeper did not answer") from error
            logger.warning("Tollkeeper did not answer, the call goes ahead: %r", error)
            return Allowed(degraded=True)

    def report(
        self,
        *,
        event_id: str,
        user_id: str,
        provider: str,
        model: str,
        usage: Json | None = None,
        cost_usd: Decimal | None = None,
        reservation_id: str | None = None,
        status: Literal["ok", "error"] = "ok",
        estimated: bool = False,
    ) -> None:
        """Queue what a call used: the provider's raw `usage` object, or its cost.

        Returns at once. The event is delivered in the background and retried until it arrives;
        the same `event_id` counts once.
        """
        event: Json = {
            "event_id": event_id,
            "user_id": user_id,
            "reservation_id": reservation_id,
            "provider": provider,
            "model": model,
            "usage": usage,
            "cost_usd": None if cost_usd is None else f"{cost_usd:f}",
            "at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "status": status,
            "estimated": True if estimated else None,
        }
        self._reporter.put({k: v for k, v in event.items() if v is not None})

    def get_usage(self, user_id: str) -> Usage:
        """Where the user stands. Raises `UnavailableError` when no answer comes."""
        return Usage.parse(self._ask("GET", f"/v1/users/{quote(user_id, safe='')}/usage"))

    def upgrade_link(
        self, user_id: str, *, tier: str | None = None, reason: str | None = None
    ) -> str:
        """A link to the upgrade page for this user, good for some minutes."""
        wanted = {"user_id": user_id, "tier": tier, "reason": reason}
        body = {key: value for key, value in wanted.items() if value is not None}
        url: str = self._ask("POST", "/v1/upgrade-links", body)["upgrade_url"]
        return url

    def flush(self, timeout_seconds: float = 5.0) -> bool:
        """Wait until all reported usage is delivered; False when the time is up first."""
        return self._reporter.flush(timeout_seconds)

    def close(self, timeout_seconds: float = 5.0) -> int:
        """Deliver what is pending and close; the number of events that could not be delivered."""
        left = self._reporter.close(timeout_seconds)
        self._http.close()
        return left

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        try:
            return self._call(method, path, body)
        except _NoAnswer as error:
            raise UnavailableError("Tollkeeper did not answer") from error

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        """One request; raises `_NoAnswer` for an outage, `TollkeeperError` for a refusal."""
        response = self._request(method, path, body)
        problem = response.headers.get("content-type", "").startswith("application/problem+json")
        if response.status_code == 503 and problem:
            # Not the network but Tollkeeper itself, which was asked and applied the tier's policy.
            raise UnavailableError(_detail(response))
        if response.status_code >= 500 or response.status_code == 429:
            raise _NoAnswer(f"HTTP {response.status_code}")
        if response.status_code >= 400:
            raise TollkeeperError(f"HTTP {response.status_code}: {_detail(response)}")
        data: Json = response.json()
        return data

    def _request(self, method: str, path: str, body: Json | None) -> httpx.Response:
        try:
            try:
                return self._http.request(method, path, json=body)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # A kept connection that the server had closed meanwhile. Every request here
                # carries an id or changes nothing, so a second one is safe.
                return self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise _NoAnswer(str(error)) from error

    def _send_events(self, events: list[Json]) -> None:
        response = self._request("POST", "/v1/usage", {"events": events})
        status = response.status_code
        if status >= 500 or status in _RETRY_STATUSES:
            raise _NoAnswer(f"HTTP {status}")
        if status >= 400:
            raise Undeliverable(f"HTTP {status}: {_detail(response)}")
        for verdict in response.json()["results"]:
            if verdict["status"] != "accepted":
                logger.error("usage lost: %s: %s", verdict["event_id"], verdict.get("error"))


class _NoAnswer(Exception):  # noqa: N818  # never leaves this module
    """No answer in time, or none that says anything."""


def _allowed(data: Json) -> Allowed:
    usage, expires_at, reserved = map(data.get, ("usage", "expires_at", "reserved_usd"))
    return Allowed(
        reservation_id=data.get("reservation_id"),
        reserved_usd=None if reserved is None else Decimal(reserved),
        expires_at=_time(expires_at) if expires_at else None,
        warnings=tuple(data.get("warnings", ())),
        usage=Usage.parse(usage) if usage else None,
        degraded=data.get("degraded", False),
    )


def _detail(response: httpx.Response) -> str:
    """What a problem+json answer says, or the beginning of any other."""
    try:
        problem = response.json()
        return str(problem.get("detail") or problem.get("title"))
    except (ValueError, AttributeError):
        return response.text[:200]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
