"""What is asked of the payment provider: one checkout, and whether an event is really its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class CheckoutRequest:
    """One purchase to start: one of ``title`` at ``price_minor`` of ``currency``.

    ``interval``: ``month`` or ``year`` for a subscription, None for a single payment.
    ``metadata`` comes back with every event about it. ``expires_s``: epoch seconds.
    Equal requests are one purchase: the provider answers both with the same checkout.
    """

    user_id: str
    title: str
    price_minor: int
    currency: str
    interval: str | None
    metadata: Mapping[str, str]
    success_url: str
    cancel_url: str
    expires_s: int


@dataclass(frozen=True, slots=True)
class CheckoutStart:
    """Where the payer goes, and the provider's id of it."""

    url: str
    session_id: str


class BillingError(Exception):
    """The provider did not start the checkout. Nothing was charged; it may be tried again."""


class ForgedEventError(Exception):
    """Bytes that the provider did not sign, or signed too long ago."""


class Billing(Protocol):
    """Starts checkouts."""

    @property
    def checkout_origins(self) -> tuple[str, ...]:
        """Where checkouts are paid: the origins that a form may be redirected to."""
        ...

    def create_checkout(self, request: CheckoutRequest) -> CheckoutStart:
        """Start it. Raises BillingError."""
        ...


class SignedEvents(Protocol):
    """Knows the provider's signature."""

    def open(self, body: bytes, signature: str | None) -> dict[str, Any]:
        """The event in these exact bytes, parsed after they proved to be signed.

        Raises ForgedEventError; ValueError where what was signed is no JSON object.
        """
        ...
