"""The API without any input or output: what is sent, and what an answer means.

Sync and async clients and the reporter all go through here.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from tollkeeper._types import Allowed, BlockedError, Json, TollkeeperError, UnavailableError, Usage

BATCH_MAX = 100
#: The API refuses bodies over 64 KiB; what is around the events has room in the rest.
BATCH_BYTES_MAX = 64 * 1024 - 64
#: No answer of the API is as long.
ANSWER_BYTES_MAX = 1 << 20
_WRONG_KEY = frozenset({401, 403})


class NoAnswer(Exception):  # noqa: N818  # never leaves this package
    """No answer in time, or none that says anything: an outage."""


class Refused(Exception):  # noqa: N818  # the same
    """A batch that will never be taken, however often it is sent."""


@dataclass(frozen=True)
class Request:
    """One request of the API."""

    method: str
    path: str
    body: Json | None = None


@dataclass(frozen=True)
class Answer:
    """One response, whole."""

    status: int
    content_type: str
    body: bytes


def check_request(
    *,
    user_id: str,
    tier: str | None,
    provider: str | None,
    model: str | None,
    input_tokens: int | None,
    max_output_tokens: int | None,
    amount_usd: Decimal | str | None,
    request_id: str | None,
) -> Request:
    """`POST /v1/check`. Without an id it gets one, so that it can be repeated."""
    body = {
        "user_id": user_id,
        "tier": tier,
        "provider": provider,
        "model": model,
        "input_tokens": input_tokens,
        "max_output_tokens": max_output_tokens,
        "amount_usd": None if amount_usd is None else usd(amount_usd),
        "request_id": request_id or str(uuid.uuid4()),
    }
    return Request("POST", "/v1/check", _given(body))


def usage_request(user_id: str) -> Request:
    """`GET /v1/users/{id}/usage`."""
    return Request("GET", f"/v1/users/{quote(user_id, safe='')}/usage")


def link_request(
    user_id: str, tier: str | None, reason: str | None, expires_in: int | None = None
) -> Request:
    """`POST /v1/upgrade-links`."""
    body = {"user_id": user_id, "tier": tier, "reason": reason, "expires_in": expires_in}
    return Request("POST", "/v1/upgrade-links", _given(body))


def event(
    *,
    user_id: str,
    event_id: str | None,
    reservation_id: str | None,
    provider: str | None,
    model: str | None,
    usage: Mapping[str, Any] | None,
    cost_usd: Decimal | str | None,
    status: str,
    estimated: bool,
    at: datetime | None,
) -> Json:
    """One usage event; its id stays the same over all attempts to deliver it."""
    if usage is not None and cost_usd is not None:
        raise ValueError("report usage or cost_usd, not both")
    if usage is not None and model is None:
        raise ValueError("usage needs the model to have a price")
    if usage is None and cost_usd is None and status == "ok":
        raise ValueError("report the provider's usage, or cost_usd")
    instant = (at or datetime.now(timezone.utc)).astimezone(timezone.utc)
    return _given(
        {
            "event_id": event_id or f"evt_{uuid.uuid4().hex}",
            "user_id": user_id,
            "reservation_id": reservation_id,
            "provider": provider,
            "model": model,
            "usage": None if usage is None else dict(usage),
            "cost_usd": None if cost_usd is None else usd(cost_usd),
            "at": instant.isoformat().replace("+00:00", "Z"),
            "status": status,
            "estimated": True if estimated else None,
        }
    )


def decision(answer: Answer) -> Allowed:
    """What a check's answer says; raises BlockedError, TollkeeperError or NoAnswer."""
    data = read(answer)
    try:
        if data["decision"] == "block":
            raise BlockedError(data)
        if data["decision"] != "allow":
            raise NoAnswer("neither allowed nor blocked")
        return Allowed.parse(data)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise NoAnswer(f"an answer that makes no sense: {error!r}") from error


def standing(answer: Answer) -> Usage:
    """What a usage answer says; raises TollkeeperError or NoAnswer."""
    data = read(answer)
    try:
        return Usage.parse(data)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise NoAnswer(f"an answer that makes no sense: {error!r}") from error


def link(answer: Answer) -> str:
    """The link of an answer; raises TollkeeperError or NoAnswer."""
    url = read(answer).get("upgrade_url")
    if not isinstance(url, str):
        raise NoAnswer("an answer without a link")
    return url


def read(answer: Answer) -> Json:
    """An answer's JSON object; raises NoAnswer for an outage, TollkeeperError for a refusal."""
    status = answer.status
    if status == 503 and answer.content_type.startswith("application/problem+json"):
        # Not the network but Tollkeeper itself, which was asked and applied the tier's own policy.
        raise UnavailableError(_detail(answer))
    if status in (408, 429) or status >= 500:
        raise NoAnswer(f"HTTP {status}")
    if status >= 400:
        raise TollkeeperError(f"HTTP {status}: {_detail(answer)}")
    if status >= 300:
        raise NoAnswer(f"HTTP {status}")
    try:
        data = json.loads(answer.body)
    except ValueError as error:
        raise NoAnswer("an answer that is no JSON") from error
    if not isinstance(data, dict):
        raise NoAnswer("an answer that is no JSON object")
    return data


def verdicts(answer: Answer) -> dict[str, Json]:
    """The verdict on each event of a batch, by its id.

    Raises Refused for a batch that is wrong, NoAnswer for one to be sent again: a key that is being
    rotated is worth another attempt too, as the events would be lost otherwise.
    """
    if answer.status in _WRONG_KEY:
        raise NoAnswer(f"HTTP {answer.status}: {_detail(answer)}")
    try:
        return {verdict["event_id"]: verdict for verdict in read(answer)["results"]}
    except UnavailableError as error:
        raise NoAnswer(str(error)) from error
    except TollkeeperError as error:
        raise Refused(str(error)) from error
    except (LookupError, TypeError) as error:
        raise NoAnswer(f"an answer that makes no sense: {error!r}") from error


def encode(body: Json | None) -> bytes | None:
    """JSON as it goes over the wire."""
    if body is None:
        return None
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


def usd(amount: object) -> str:
    """A decimal string of a Decimal or a string, nine decimals at most. Raises ValueError."""
    if not isinstance(amount, (Decimal, str)):
        raise ValueError("an amount of money is a Decimal or a string, not a float")
    value = Decimal(amount)
    if not value.is_finite() or value < 0:
        raise ValueError("an amount of money is 0 or more")
    return f"{value:.9f}" if value.as_tuple().exponent < -9 else f"{value:f}"  # type: ignore[operator]  # finite: an int


def _given(body: Json) -> Json:
    return {key: value for key, value in body.items() if value is not None}


def _detail(answer: Answer) -> str:
    """What a problem+json answer says, or the beginning of any other."""
    try:
        problem = json.loads(answer.body)
        return str(problem.get("detail") or problem.get("title"))
    except (ValueError, AttributeError):
        return answer.body[:200].decode(errors="replace")
