"""Fills a fresh local AWS by the code that sets up the real one: configuration, secrets, Stripe."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.setup.keys import ApiKey, new_link_key
from infra.setup.parameters import write_configuration, write_secrets
from infra.setup.stripe_endpoint import register_webhook

if TYPE_CHECKING:
    from types_boto3_ssm import SSMClient

LOCAL_STRIPE_KEY = "sk_test_local"


@dataclass(frozen=True, slots=True)
class Upstash:
    """Where Redis answers over HTTP."""

    url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stripe:
    """The Stripe in use. `api_base` is the local one's address, None for the real Stripe.

    Of the real one the webhook secret comes from `stripe listen`; until it is given, every event
    is refused as unsigned.
    """

    secret_key: str = field(default=LOCAL_STRIPE_KEY, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)
    api_base: str | None = None


def seed(
    ssm: "SSMClient",
    prefix: str,
    *,
    api_key: ApiKey,
    upstash: Upstash,
    stripe: Stripe,
    webhook_url: str,
    overrides: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write the stage's parameters; of the API key only its hash."""
    write_configuration(
        ssm, prefix, overrides={name: dict(value) for name, value in overrides.items()}
    )
    write_secrets(
        ssm,
        prefix,
        {
            "upstash_url": upstash.url,
            "upstash_token": upstash.token,
            "link_key": new_link_key(),
            "api_keys": json.dumps({api_key.key_id: api_key.sha256}),
            "stripe_secret_key": stripe.secret_key,
            "stripe_webhook_secret": _webhook_secret(stripe, webhook_url),
        },
    )


def _webhook_secret(stripe: Stripe, webhook_url: str) -> str:
    if stripe.api_base is None:
        return stripe.webhook_secret or f"whsec_{secrets.token_hex(32)}"
    # A second to import: only the real Stripe's users are spared it.
    from stripe import StripeClient

    client = StripeClient(stripe.secret_key, base_addresses={"api": stripe.api_base})
    secret = register_webhook(client, webhook_url)
    if secret is None:
        raise RuntimeError(f"the local Stripe knew {webhook_url} before it was registered")
    return secret
