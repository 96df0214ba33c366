"""The first metered call: a check, then the report of what the call cost."""

import time
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx

from infra.setup.errors import SetupError

USER_ID = "setup-check"
COST_USD = "0.001"
TIMEOUT_S = 30.0
# A new key is known to the API once sync_config has published it: moments, or a cold start.
PATIENCE_S = 60.0
PAUSE_S = 1.0


def first_call(api_url: str, api_key: str, patience_s: float = PATIENCE_S) -> dict[str, Any]:
    """Meter one small call of the user ``setup-check``, as app code would; answer the check.

    Raises SetupError when the API refuses, or does not answer within ``patience_s``.
    """
    headers = {"Authorization": f"Bearer {api_key}"}
    with httpx.Client(base_url=api_url, headers=headers, timeout=TIMEOUT_S) as client:
        check = _check(client, patience_s)
        if check["decision"] == "allow":
            _send(client, "/v1/usage", {"events": [_event(check.get("reservation_id"))]})
    return check


def _check(client: httpx.Client, patience_s: float) -> dict[str, Any]:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return _send(client, "/v1/check", {"user_id": USER_ID, "amount_usd": COST_USD})
        except SetupError:
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_S)


def _event(reservation_id: str | None) -> dict[str, Any]:
    event = {
        "event_id": f"setup-{uuid.uuid4()}",
        "user_id": USER_ID,
        "cost_usd": COST_USD,
        "at": datetime.now(UTC).isoformat(),
        "status": "ok",
    }
    return event | ({"reservation_id": reservation_id} if reservation_id else {})


def _send(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    try:
        response = client.post(path, json=body)
    except httpx.HTTPError as error:
        raise SetupError(f"The API cannot be reached at {client.base_url}: {error}") from error
    if response.is_success:
        answer: dict[str, Any] = response.json()
        return answer
    raise SetupError(f"POST {path} was answered with {response.status_code}: {response.text[:300]}")
