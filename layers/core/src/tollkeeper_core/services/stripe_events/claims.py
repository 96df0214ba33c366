"""What may be taken back of a purchase: refunds, disputes and early fraud warnings.

Each is a claim of its own, by its own id, as it stands: the ledger takes the newest word on each
claim and the sum of all, so neither order nor number matters. None of the three says whose the
purchase was: Stripe is asked, once an event.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tollkeeper_core.domain.announcements import dispute_told
from tollkeeper_core.domain.movements import Claim, Hold
from tollkeeper_core.domain.purchases import Purchase, Purchases
from tollkeeper_core.services.stripe_events.books import Books
from tollkeeper_core.services.stripe_events.event import (
    Action,
    Effect,
    Event,
    Fields,
    UnusableEventError,
    number,
    ours,
    reference,
    text,
)

#: A refund's status only moves forward (docs.stripe.com/refunds), so it says which word is newer.
_REFUND_RANKS = {"pending": 0, "requires_action": 1, "succeeded": 2, "failed": 3, "canceled": 3}
_GIVEN_BACK = frozenset(("pending", "requires_action", "succeeded"))

#: A dispute's state within one second; between seconds the later event counts.
_DISPUTE_RANKS = {
    "warning_needs_response": 1,
    "needs_response": 1,
    "appeal_needs_response": 1,
    "warning_under_review": 2,
    "under_review": 2,
    "appeal_under_review": 2,
    "warning_closed": 3,
    "prevented": 3,
    "won": 3,
    "lost": 3,
}
_CLOSED = 3
_TOLD = {"charge.dispute.created": "dispute.opened", "charge.dispute.closed": "dispute.closed"}

#: More than anything that was ever paid: the ledger takes what was paid at most.
_WHOLE_MINOR = 10**12


@dataclass(frozen=True, slots=True)
class Claims:
    """Refunds, disputes, warnings -> the ledger."""

    books: Books
    purchases: Purchases

    def actions(self) -> Mapping[str, Action]:
        """By type of event."""
        return {
            "charge.refunded": self.refunded,
            **dict.fromkeys(
                ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"),
                self.refund,
            ),
            "charge.dispute.created": self.dispute,
            "charge.dispute.updated": self.dispute,
            "charge.dispute.closed": self.dispute,
            "charge.dispute.funds_withdrawn": self.dispute,
            "charge.dispute.funds_reinstated": self.dispute,
            "radar.early_fraud_warning.created": self.warning,
            "radar.early_fraud_warning.updated": self.warning,
        }

    def refund(self, event: Event) -> Effect:
        """One refund, as it stands."""
        purchase = self._purchase(event.subject)
        return Effect.NOT_OURS if purchase is None else self._refund(purchase, event.subject)

    def refunded(self, event: Event) -> Effect:
        """A charge, of which only the sum is told: Stripe is asked for the refunds themselves."""
        payment = reference(event.subject, "payment_intent")
        if payment is None:
            return Effect.NOT_OURS
        metadata = ours(event.subject.get("metadata"), self.books.stage)
        purchase = Purchase(payment, metadata) if metadata else self._purchase(event.subject)
        if purchase is None:
            return Effect.NOT_OURS
        for refund in self.purchases.refunds_of(payment):
            self._refund(purchase, refund)
        return Effect.CLAIMED

    def dispute(self, event: Event) -> Effect:
        """A bank asks for the money back; until it is decided nothing of the lot can be used."""
        dispute = event.subject
        purchase = self._purchase(dispute)
        if purchase is None:
            return Effect.NOT_OURS
        status = text(dispute, "status")
        if status not in _DISPUTE_RANKS:
            raise UnusableEventError("dispute.status is not known")
        rank = _DISPUTE_RANKS[status]
        claim = self._claim(
            purchase,
            text(dispute, "id"),
            version=(event.created_s, rank),
            taken_minor=_amount(dispute, purchase) if status == "lost" else 0,
            hold=Hold.RELEASED if rank == _CLOSED else Hold.OPEN,
        )
        self.books.claim(claim)
        if event.type in _TOLD:
            self.books.tell(
                dispute_told(
                    _TOLD[event.type],
                    text(dispute, "id"),
                    user_id=claim.user_id,
                    purchase_id=claim.purchase_id,
                    amount_minor=number(dispute, "amount"),
                    currency=text(dispute, "currency"),
                    status=status,
                    reason=text(dispute, "reason"),
                    at_s=event.created_s,
                )
            )
        return Effect.CLAIMED

    def warning(self, event: Event) -> Effect:
        """A bank expects a dispute. It never says otherwise: one version, of its own time."""
        warning = event.subject
        purchase = self._purchase(warning)
        if purchase is None:
            return Effect.NOT_OURS
        version = (number(warning, "created"), 0)
        self.books.claim(
            self._claim(
                purchase, text(warning, "id"), version=version, taken_minor=0, hold=Hold.WARNING
            )
        )
        return Effect.CLAIMED

    def _refund(self, purchase: Purchase, refund: Fields) -> Effect:
        status = text(refund, "status")
        if status not in _REFUND_RANKS:
            raise UnusableEventError("refund.status is not known")
        taken_minor = _amount(refund, purchase) if status in _GIVEN_BACK else 0
        self.books.claim(
            self._claim(
                purchase,
                text(refund, "id"),
                version=(0, _REFUND_RANKS[status]),
                taken_minor=taken_minor,
                hold=Hold.NONE,
            )
        )
        return Effect.CLAIMED

    def _purchase(self, subject: Fields) -> Purchase | None:
        """What the subject's payment or charge bought, where it is ours."""
        payment, charge = reference(subject, "payment_intent"), reference(subject, "charge")
        if payment is None and charge is not None:
            payment = self.purchases.payment_of(charge)
        purchase = None if payment is None else self.purchases.paid_by(payment)
        if purchase is None or ours(purchase.metadata, self.books.stage) is None:
            return None
        return purchase

    def _claim(
        self,
        purchase: Purchase,
        claim_id: str,
        *,
        version: tuple[int, int],
        taken_minor: int,
        hold: Hold,
    ) -> Claim:
        return Claim(
            user_id=text(purchase.metadata, "user_id"),
            purchase_id=purchase.purchase_id,
            claim_id=claim_id,
            version=version,
            taken_minor=taken_minor,
            hold=hold,
            now_ms=self.books.clock(),
        )


def _amount(claim: Fields, purchase: Purchase) -> int:
    """In the purchase's currency; all of it where a bank counts in another one."""
    if text(claim, "currency") != purchase.metadata.get("currency"):
        return _WHOLE_MINOR
    return number(claim, "amount")
