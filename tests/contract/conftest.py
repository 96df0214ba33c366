"""The local Stripe that a file's tests share, and ways to it."""

from collections.abc import Iterator

import httpx
import pytest
import stripe

from infra.local.stripe_local import LocalStripe
from tests.support.stripe_local import client_of


@pytest.fixture(scope="module")
def server() -> Iterator[LocalStripe]:
    """A bank debit, and a refund to one, take a moment instead of days."""
    with LocalStripe(delayed_s=0.05) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: LocalStripe) -> stripe.StripeClient:
    """Stripe's own client, pointed at it."""
    return client_of(server)


@pytest.fixture(scope="module")
def http(server: LocalStripe) -> Iterator[httpx.Client]:
    """Requests as they are, with the secret key."""
    with httpx.Client(base_url=server.url, auth=(server.secret_key, "")) as raw:
        yield raw
