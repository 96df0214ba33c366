"""Stripe: starts Checkout Sessions, and knows Stripe's signature on events.

``stripe`` costs a quarter of a second to import: each of the two loads it when first used, so that
a page that sells nothing yet does not wait for it.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tollkeeper_core.domain.billing import (
    BillingError,
    CheckoutRequest,
    CheckoutStart,
    ForgedEventError,
)

if TYPE_CHECKING:
    from stripe import StripeClient
    from stripe.params.checkout import SessionCreateParams

#: Per try. Two tries and what lies between them stay below the function's 15 s.
_TIMEOUT_S = 5.0
_RETRIES = 1

#: How old a signature may be (docs.stripe.com/webhooks#replay-attacks).
_TOLERANCE_S = 300


@dataclass(frozen=True)
class StripeBilling:
    """Checkout Sessions at Stripe, or at the local Stripe under ``api_base``."""

    secret_key: str
    api_base: str | None = None

    @property
    def checkout_origins(self) -> tuple[str, ...]:
        """Stripe's hosted page, or wherever the local Stripe shows its own."""
        if self.api_base is None:
            return ("https://checkout.stripe.com",)
        parts = urlsplit(self.api_base)
        return (f"{parts.scheme}://{parts.netloc}",)

    def create_checkout(self, request: CheckoutRequest) -> CheckoutStart:
        """One Checkout Session. Raises BillingError, with nothing secret in its text."""
        import stripe  # see the module's docstring

        params = _session_params(request)
        try:
            session = self._client.v1.checkout.sessions.create(
                params, {"idempotency_key": _idempotency_key(params)}
            )
        except stripe.StripeError as error:
            kind = type(error).__name__
            raise BillingError(
                f"Stripe: {kind}, code {error.code}, request {error.request_id}"
            ) from error
        if session.url is None:
            raise BillingError("Stripe: a session without a page")
        return CheckoutStart(session.url, session.id)

    @cached_property
    def _client(self) -> "StripeClient":
        import stripe  # see the module's docstring

        return stripe.StripeClient(
            self.secret_key,
            base_addresses={"api": self.api_base} if self.api_base else {},
            max_network_retries=_RETRIES,
            http_client=stripe.RequestsClient(timeout=_TIMEOUT_S),
        )


@dataclass(frozen=True, slots=True)
class StripeEvents:
    """Events from Stripe. ``secrets``: the endpoint's, two while they rotate."""

    secrets: tuple[str, ...]

    def open(self, body: bytes, signature: str | None) -> dict[str, Any]:
        """See SignedEvents. Raises ForgedEventError, and nothing of the body in its text."""
        from stripe import SignatureVerificationError, WebhookSignature

        for secret in self.secrets:
            try:
                WebhookSignature.verify_header(body, signature, secret, _TOLERANCE_S)
            except (SignatureVerificationError, UnicodeDecodeError):
                continue
            event = json.loads(body)
            if not isinstance(event, dict):
                raise ValueError("a signed body that is no JSON object")
            return event
        raise ForgedEventError("no valid signature of Stripe")


def parse_webhook_secrets(secret: str) -> tuple[str, ...]:
    """The secret ``stripe_webhook_secret``: one, or two with a comma between. Raises ValueError."""
    secrets = tuple(part.strip() for part in secret.split(","))
    if len(secrets) > 2 or not all(secrets):
        raise ValueError("stripe_webhook_secret must be one secret, or two with a comma between")
    return secrets


def _session_params(request: CheckoutRequest) -> "SessionCreateParams":
    metadata = dict(request.metadata)
    price: Any = {
        "currency": request.currency,
        "unit_amount": request.price_minor,
        "product_data": {"name": request.title},
    }
    if request.interval is not None:
        price["recurring"] = {"interval": request.interval}
    params: SessionCreateParams = {
        "mode": "payment" if request.interval is None else "subscription",
        "client_reference_id": request.user_id,
        "line_items": [{"price_data": price, "quantity": 1}],
        "metadata": metadata,
        "success_url": request.success_url,
        "cancel_url": request.cancel_url,
        "expires_at": request.expires_s,
    }
    # Events about the payment or the subscription carry these, not the session's.
    if request.interval is None:
        params["payment_intent_data"] = {"metadata": metadata}
    else:
        params["subscription_data"] = {"metadata": metadata}
    return params


def _idempotency_key(params: "SessionCreateParams") -> str:
    # Made of the parameters themselves: Stripe refuses a key that comes with other parameters
    # than before, as it would after a price change between two clicks.
    text = json.dumps(params, sort_keys=True)
    return f"tollkeeper-{hashlib.sha256(text.encode()).hexdigest()}"
