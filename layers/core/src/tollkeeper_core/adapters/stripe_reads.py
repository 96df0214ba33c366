"""What the webhook looks up at Stripe, which most events spare it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tollkeeper_core.adapters.stripe_client import make_client, raising
from tollkeeper_core.domain.offers import MARK
from tollkeeper_core.domain.purchases import Purchase, PurchaseLookupError

if TYPE_CHECKING:
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
        with raising(PurchaseLookupError):
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
        with raising(PurchaseLookupError):
            charge = self._client.v1.charges.retrieve(charge_id)
        intent = charge.payment_intent
        return intent if intent is None or isinstance(intent, str) else intent.id

    def refunds_of(self, payment_intent_id: str) -> Sequence[Mapping[str, Any]]:
        """See Purchases."""
        with raising(PurchaseLookupError):
            page = self._client.v1.refunds.list(
                {"payment_intent": payment_intent_id, "limit": _PAGE}
            )
            return [refund.to_dict() for refund in page.auto_paging_iter()]

    @cached_property
    def _client(self) -> "StripeClient":
        return make_client(self.secret_key, self.api_base, _TIMEOUT_S, _RETRIES)
