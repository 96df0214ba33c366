"""What an endpoint is, and what it is handed."""

from collections.abc import Callable
from dataclasses import dataclass

from infra.local.stripe_local.account import Account, Cause, Json


@dataclass(frozen=True)
class Call:
    """One authenticated request with checked parameters."""

    account: Account
    params: Json
    """Typed by the route's TypedDict; `expand` is not among them."""
    id: str
    """The id in the path, "" where the path has none."""
    path: str
    base_url: str
    """Where this server is reached: what pages and receipts link to."""
    cause: Cause


@dataclass(frozen=True)
class Route:
    """One endpoint. `path` is below `/v1`, `{id}` its only variable part."""

    method: str
    path: str
    params: type
    """The TypedDict of `stripe.params` for it."""
    endpoint: Callable[[Call], Json]
    answers: str
    """The kind of object that it answers, `list:` before it for a list."""
