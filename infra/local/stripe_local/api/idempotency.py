"""Idempotency keys. Source: https://docs.stripe.com/api/idempotent_requests."""

import hashlib
import json
from dataclasses import dataclass

from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.errors import StripeError

_KEY_MAX = 255
_KEPT_S = 24 * 3600


@dataclass(frozen=True)
class Recorded:
    """An answer that was given before under the same key."""

    status: int
    body: Json
    request_id: str


def replay(account: Account, key: str, path: str, form: Json) -> Recorded | None:
    """Return the answer recorded for `key`, if any.

    Raises StripeError (400, idempotency_error) where the key was used for something else.
    """
    if len(key) > _KEY_MAX:
        raise StripeError(f"Idempotency keys must be at most {_KEY_MAX} characters.")
    entry = account.state.idempotency.get(key)
    if entry is None or account.clock() - entry["at"] > _KEPT_S:
        return None
    if entry["path"] != path:
        raise _misused(key, f"for the same endpoint they were first used for ('{entry['path']}')")
    if entry["form"] != _digest(form):
        raise _misused(key, "with the same parameters they were first used with")
    return Recorded(entry["status"], entry["body"], entry["request_id"])


def record(account: Account, key: str, path: str, form: Json, answer: Recorded) -> None:
    """Keep an answer: the same key gets it again, whatever happened since."""
    account.state.idempotency[key] = {
        "at": account.clock(),
        "path": path,
        "form": _digest(form),
        "status": answer.status,
        "body": answer.body,
        "request_id": answer.request_id,
    }


def _digest(form: Json) -> str:
    return hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()


def _misused(key: str, rule: str) -> StripeError:
    return StripeError(
        f"Keys for idempotent requests can only be used {rule}. Try using a key other than "
        f"'{key}' if you meant to execute a different request.",
        kind="idempotency_error",
    )
