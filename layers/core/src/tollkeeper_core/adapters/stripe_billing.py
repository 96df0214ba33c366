"""Stripe: starts Checkout Sessions, and knows Stripe's signature on events.

``stripe`` costs a quarter of a second to import: each of the two loads it when first used, so that
a page that sells nothing yet does not wait for it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from tollkeeper_core.adapters.stripe_client import make_client, said
from tollkeeper_core.domain.billing import (
    BillingError,
    CheckoutRequest,
    CheckoutStart,
    ForgedEventError,
    NoSuchCustomerError,
    PaymentRefusedError,
    PlanChange,
    RunningPlan,
)
from tollkeeper_core.domain.offers import MARK

if TYPE_CHECKING:
    from stripe import RequestOptions, StripeClient
    from stripe.params import CustomerCreateParams, SubscriptionUpdateParams
    from stripe.params.checkout import SessionCreateParams

#: Per try. Two tries and what lies between them stay below the function's 15 s.
_TIMEOUT_S = 5.0
_RETRIES = 1

#: docs.stripe.com/js: named after the API's release, 2026-03-25.dahlia.
_SCRIPT_URL = "https://js.stripe.com/dahlia/stripe.js"

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
            return ("https://checkout.stripe.com", "https://billing.stripe.com")
        parts = urlsplit(self.api_base)
        return (f"{parts.scheme}://{parts.netloc}",)

    @property
    def script_url(self) -> str:
        """See Billing. Of the release that belongs to the API's version."""
        return f"{self.api_base}/stripe.js" if self.api_base else _SCRIPT_URL

    def create_checkout(self, request: CheckoutRequest) -> CheckoutStart:
        """See Billing."""
        params = _session_params(request)
        with _asking():
            session = self._client.v1.checkout.sessions.create(params, _once(params))
        if request.embedded and session.client_secret is not None:
            return CheckoutStart("", session.id, session.client_secret)
        if session.url is None:
            raise BillingError("Stripe: a session without a page")
        return CheckoutStart(session.url, session.id)

    def close_checkouts(self, customer_id: str, stage: str, session_id: str, most: int) -> None:
        """See Billing. Stripe lists the newest first; an hour closes them by itself."""
        import stripe

        sessions = self._client.v1.checkout.sessions
        with _asking():
            found = sessions.list(
                {"customer": customer_id, "status": "open", "limit": 100}
            ).to_dict()
        others = [
            one["id"]
            for one in found["data"]
            if one["mode"] == "payment"
            and one["metadata"].get(MARK) == stage
            and one["id"] != session_id
        ]
        for surplus in others[max(most - 1, 0) :]:
            with _asking(), suppress(stripe.InvalidRequestError):  # paid or closed in the meantime
                sessions.expire(surplus)

    def create_customer(self, user_id: str, stage: str, replaces: str | None) -> str:
        """See Billing."""
        params: CustomerCreateParams = {"metadata": {MARK: stage, "user_id": user_id}}
        with _asking():
            made = self._client.v1.customers.create(params, _once(params, replaces or ""))
        return made.id

    def running_plan(self, subscription_id: str) -> RunningPlan:
        """See Billing."""
        with _asking():
            running = self._client.v1.subscriptions.retrieve(subscription_id).to_dict()
        (item,) = running["items"]["data"]
        return RunningPlan(
            metadata=running["metadata"],
            interval=item["price"]["recurring"]["interval"],
            ends_s=item["current_period_end"],
        )

    def change_plan(self, change: PlanChange) -> None:
        """See Billing. The price needs a product that exists: it is made by an id of ours."""
        import stripe

        with _asking():
            try:
                self._client.v1.products.create({"id": change.product, "name": change.title})
            except stripe.InvalidRequestError as error:
                if error.code != "resource_already_exists":
                    raise
            running = self._client.v1.subscriptions.retrieve(change.subscription_id).to_dict()
            (item,) = running["items"]["data"]
            params: SubscriptionUpdateParams = {
                "items": [
                    {
                        "id": item["id"],
                        "price_data": {
                            "currency": change.currency,
                            "product": change.product,
                            "recurring": {"interval": cast("Any", change.interval)},
                            "unit_amount": change.price_minor,
                        },
                    }
                ],
                "metadata": dict(change.metadata),
                "proration_behavior": "always_invoice" if change.at_once else "none",
                # Or a card that is refused would leave the plan changed and unpaid.
                "payment_behavior": "error_if_incomplete",
                "cancel_at_period_end": False,
            }
            self._client.v1.subscriptions.update(
                change.subscription_id, params, _once(params, change.subscription_id)
            )

    def portal_url(self, customer_id: str, return_url: str) -> str:
        """See Billing."""
        with _asking():
            session = self._client.v1.billing_portal.sessions.create(
                {"customer": customer_id, "return_url": return_url}
            )
        return session.url

    @cached_property
    def _client(self) -> "StripeClient":
        return make_client(self.secret_key, self.api_base, _TIMEOUT_S, _RETRIES)


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
    metadata, options = dict(request.metadata), request.options
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
        "customer": request.customer_id,
        "line_items": [{"price_data": price, "quantity": request.quantity}],
        "metadata": metadata,
        "expires_at": request.expires_s,
    }
    if request.embedded:
        params["ui_mode"] = "embedded_page"
        params["redirect_on_completion"] = "if_required"
        params["return_url"] = request.success_url
    else:
        params["success_url"] = request.success_url
        params["cancel_url"] = request.cancel_url
    # Events about the payment or the subscription carry these, not the session's.
    if request.interval is None:
        params["payment_intent_data"] = {"metadata": metadata}
        if request.keeps_card:
            params["payment_intent_data"]["setup_future_usage"] = "off_session"
            params["allowed_payment_method_types"] = ["card"]
        if options.receipts:
            # A receipt is mailed by the dashboard's setting, an invoice by this one.
            params["invoice_creation"] = {"enabled": True}
    else:
        params["subscription_data"] = {"metadata": metadata}
        if request.trial_days is not None:
            params["subscription_data"]["trial_period_days"] = request.trial_days
    if options.promotion_codes:
        params["allow_promotion_codes"] = True
    if options.automatic_tax:
        params["automatic_tax"] = {"enabled": True}
    if options.tax_ids:
        params["tax_id_collection"] = {"enabled": True}
    if options.automatic_tax or options.tax_ids:
        # A customer that exists keeps what they type only so (docs.stripe.com/tax/checkout).
        params["customer_update"] = {"address": "auto", "name": "auto"}
    return params


def _once(params: Mapping[str, Any], more: str = "") -> "RequestOptions":
    # Made of the parameters themselves: Stripe refuses a key that comes with other parameters
    # than before, as it would after a price change between two clicks.
    text = json.dumps(params, sort_keys=True) + more
    return {"idempotency_key": f"tollkeeper-{hashlib.sha256(text.encode()).hexdigest()}"}


@contextmanager
def _asking() -> Iterator[None]:
    """Stripe's errors as ours, with nothing secret in their texts."""
    import stripe  # see the module's docstring

    try:
        yield
    except stripe.StripeError as error:
        kind = BillingError
        if isinstance(error, stripe.CardError):
            kind = PaymentRefusedError
        elif error.code == "resource_missing" and getattr(error, "param", None) == "customer":
            kind = NoSuchCustomerError
        raise kind(said(error)) from error
