"""What the webhook looks up at Stripe, which most events spare it."""

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tollkeeper_core.domain.offers import MARK
from tollkeeper_core.domain.purchases import Purchase, PurchaseLookupError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stripe import StripeClient

#: Per try. An event takes three reads at most, and each two tries: the function has 30 s.
_TIMEOUT_S = 3.0
_RETRIES = 1

#: Stripe's largest page. A payment with more refunds than this is read page by page.
_PAGE = 100


@dataclass(frozen=True)
class StripeReads:
    """Implements domain.purchases.Purchases. ``api_base``: where the local Stripe is."""

    secret_key: str
    api_base: str | None = None

    def paid_by(self, payment_intent_id: str) -> Purchase | None:
        """See Purchases. A plan's payment carries no terms: its invoice has the subscription's."""
        with _lookup():
            intent = self._client.v1.payment_intents.retrieve(payment_intent_id)
            if MARK in intent.metadata:
                return Purchase(intent.id, intent.metadata.to_dict())
            paid = self._client.v1.invoice_payments.list(
                {
                    "payment": {"type": "payment_intent", "payment_intent": payment_intent_id},
                    "expand": ["data.invoice"],
                    "limit": 1,
                }
            ).to_dict()
        for invoice in (payment["invoice"] for payment in paid["data"]):
            details = (invoice.get("parent") or {}).get("subscription_details") or {}
            metadata = details.get("metadata") or {}
            if MARK in metadata:
                return Purchase(invoice["id"], metadata)
        return None

    def payment_of(self, charge_id: str) -> str | None:
        """See Purchases."""
        with _lookup():
            charge = self._client.v1.charges.retrieve(charge_id)
        intent = charge.payment_intent
        return intent if intent is None or isinstance(intent, str) else intent.id

    def refunds_of(self, payment_intent_id: str) -> Sequence[Mapping[str, Any]]:
        """See Purchases."""
        with _lookup():
            page = self._client.v1.refunds.list(
                {"payment_intent": payment_intent_id, "limit": _PAGE}
            )
            return [refund.to_dict() for refund in page.auto_paging_iter()]

    @cached_property
    def _client(self) -> "StripeClient":
        import stripe  # a quarter of a second, which an event without a lookup spares

        # The API version is the package's own, which the requirements pin.
        return stripe.StripeClient(
            self.secret_key,
            base_addresses={"api": self.api_base} if self.api_base else {},
            max_network_retries=_RETRIES,
            http_client=stripe.RequestsClient(timeout=_TIMEOUT_S),
        )


@contextmanager
def _lookup() -> "Iterator[None]":
    """Also what Stripe does not find is an error: a key of another account would lose refunds."""
    import stripe

    try:
        yield
    except stripe.StripeError as error:
        kind = type(error).__name__
        raise PurchaseLookupError(
            f"Stripe: {kind}, code {error.code}, request {error.request_id}"
        ) from error
