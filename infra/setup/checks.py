"""Is what the owner typed right? Asked of Upstash and of Stripe themselves."""

import os
import re
from dataclasses import dataclass, field

import httpx
import stripe

from infra.setup.errors import SetupError

TIMEOUT_S = 10.0
# Tries what the ledger needs of a token: to run a script, and to write from it.
WRITE_SCRIPT = "return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])"
PROBE_KEY = "tollkeeper:setup-probe"
PROBE_EXPIRY_S = "60"


@dataclass(frozen=True, slots=True)
class Upstash:
    """The REST address and token of an Upstash Redis database."""

    url: str
    token: str = field(repr=False)


def check_upstash(url: str, token: str) -> Upstash:
    """Connect to Upstash: PING, then a script that writes. Raises SetupError."""
    url = url.strip().strip('"').rstrip("/")
    token = token.strip().strip('"')
    if not re.match(r"https://[^\s/]+$|http://(localhost|127\.0\.0\.1)(:\d+)?$", url):
        raise SetupError(
            "The address must look like https://name-12345.upstash.io: "
            "copy UPSTASH_REDIS_REST_URL from the database's REST section."
        )
    if not re.fullmatch(r"[\x21-\x7e]{8,}", token):
        raise SetupError(
            "The token must be one word: copy UPSTASH_REDIS_REST_TOKEN from the REST section."
        )
    with httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S
    ) as client:
        _command(client, "PING")
        _command(client, "EVAL", WRITE_SCRIPT, "1", PROBE_KEY, "1", PROBE_EXPIRY_S)
    return Upstash(url, token)


def _command(client: httpx.Client, *words: str) -> None:
    try:
        response = client.post("/", json=list(words))
        answer = response.json()
    except httpx.HTTPError as error:
        raise SetupError(f"Upstash cannot be reached at {client.base_url}: {error}") from error
    except ValueError as error:
        raise SetupError(f"{client.base_url} does not answer as Upstash does.") from error
    if response.status_code == httpx.codes.UNAUTHORIZED:
        raise SetupError("Upstash refuses the token: copy both values from the same database.")
    if not isinstance(answer, dict) or "result" not in answer:
        reason = answer.get("error", answer) if isinstance(answer, dict) else answer
        raise SetupError(
            f"Upstash refuses {words[0]}: {reason}. The standard token is needed, "
            "not the read-only one."
        )


def stripe_client(api_key: str) -> stripe.StripeClient:
    """A client of Stripe, or of what STRIPE_API_BASE names in its place."""
    base = os.environ.get("STRIPE_API_BASE")
    if base:
        return stripe.StripeClient(api_key, base_addresses={"api": base.rstrip("/")})
    return stripe.StripeClient(api_key)


def check_stripe_key(api_key: str) -> str:
    """Ask Stripe for webhook endpoints, which set-up needs next; answer the mode, test or live.

    Raises SetupError.
    """
    key = re.fullmatch(r"(?:sk|rk)_(test|live)_\w+", api_key)
    if key is None:
        kind = "a publishable key" if api_key.startswith("pk_") else "not a secret key"
        raise SetupError(
            f"That is {kind}: a secret key begins with sk_test_ or sk_live_ "
            "(Stripe's dashboard, Developers, API keys)."
        )
    try:
        stripe_client(api_key).v1.webhook_endpoints.list({"limit": 1})
    except stripe.AuthenticationError as error:
        raise SetupError("Stripe refuses the key: it is mistyped, expired or deleted.") from error
    except stripe.PermissionError as error:
        raise SetupError(
            "That restricted key may not see webhook endpoints: "
            "let it write Webhook Endpoints and Checkout Sessions."
        ) from error
    except stripe.StripeError as error:
        raise SetupError(f"Stripe cannot be asked: {error}") from error
    return key[1]
