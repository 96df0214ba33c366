"""Payments without a Checkout: an automatic top-up that the user agreed to.

A pack's own payment carries the same terms and is left alone here: its session tells of it, with
what was really paid. ``AUTO_TOP_UP`` in the metadata says which is which.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tollkeeper_core.domain.announcements import payment_failed
from tollkeeper_core.domain.offers import AUTO_TOP_UP, PackTerms
from tollkeeper_core.domain.top_ups import Close, Outcome
from tollkeeper_core.services.stripe_events.books import Books
from tollkeeper_core.services.stripe_events.checkout import pack_grant
from tollkeeper_core.services.stripe_events.event import (
    Action,
    Effect,
    Event,
    mapping,
    number,
    ours,
    text,
)


@dataclass(frozen=True, slots=True)
class PaymentIntents:
    """Grants and failures of automatic top-ups."""

    books: Books

    def actions(self) -> Mapping[str, Action]:
        """By type of event."""
        return {
            "payment_intent.succeeded": self.succeeded,
            "payment_intent.payment_failed": self.failed,
        }

    def succeeded(self, event: Event) -> Effect:
        """Credits, once."""
        terms = self._terms(event)
        if not isinstance(terms, PackTerms):
            return terms
        intent = event.subject
        paid_minor = number(intent, "amount_received")
        effect = self.books.grant(
            pack_grant(terms, text(intent, "id"), paid_minor, event.created_s, self.books.clock())
        )
        self._close(event, terms, Outcome.PAID)
        return effect

    def failed(self, event: Event) -> Effect:
        """The owner hears of it; what failed at a Checkout page is the payer's own business."""
        terms = self._terms(event)
        if not isinstance(terms, PackTerms):
            return terms
        failed = payment_failed(
            event.id,
            user_id=terms.user_id,
            offer=terms.pack,
            amount_minor=number(event.subject, "amount"),
            currency=text(event.subject, "currency"),
            at_s=event.created_s,
        )
        error = event.subject.get("last_payment_error")
        code = error.get("code") if isinstance(error, Mapping) else None
        self._close(event, terms, Outcome.FAILED, code if isinstance(code, str) else "declined")
        self.books.tell(failed)
        return Effect.NOT_PAID

    def _close(self, event: Event, terms: PackTerms, outcome: Outcome, why: str = "") -> None:
        attempt_id = text(mapping(event.subject, "metadata"), AUTO_TOP_UP)
        self.books.top_up(Close(terms.user_id, attempt_id, outcome, why))

    def _terms(self, event: Event) -> PackTerms | Effect:
        metadata = ours(event.subject.get("metadata"), self.books.stage)
        if metadata is None:
            return Effect.NOT_OURS
        return PackTerms.read(metadata) if AUTO_TOP_UP in metadata else Effect.NOTHING
