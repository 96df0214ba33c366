"""Checkout Sessions: a pack that was paid is credits, once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tollkeeper_core.domain.announcements import payment_failed
from tollkeeper_core.domain.funnel import StepKind
from tollkeeper_core.domain.movements import Grant
from tollkeeper_core.domain.offers import PackTerms, PlanTerms
from tollkeeper_core.domain.top_ups import Agree, Consent
from tollkeeper_core.services.stripe_events.books import Books
from tollkeeper_core.services.stripe_events.event import (
    Action,
    Effect,
    Event,
    Fields,
    mapping,
    number,
    ours,
    reference,
    text,
)

DAY_MS = 86_400_000
_HOUR_MS = 3_600_000

_PAID = frozenset(("paid", "no_payment_required"))


@dataclass(frozen=True, slots=True)
class Checkout:
    """A plan's session is not looked at: its subscription and invoice have events of their own."""

    books: Books

    def actions(self) -> Mapping[str, Action]:
        """By type of event."""
        return {
            "checkout.session.completed": self.completed,
            "checkout.session.async_payment_succeeded": self.completed,
            "checkout.session.async_payment_failed": self.failed,
            "checkout.session.expired": self.expired,
        }

    def completed(self, event: Event) -> Effect:
        """Credits for a paid session; a bank debit's is complete days before it is paid."""
        session = event.subject
        metadata = ours(session.get("metadata"), self.books.stage)
        if metadata is None:
            return Effect.NOT_OURS
        if text(session, "mode") != "payment":
            return Effect.NOTHING
        if text(session, "payment_status") not in _PAID:
            return Effect.NOT_PAID
        terms = PackTerms.read(metadata)
        # What refunds, disputes and warnings will name; a free one has no payment.
        purchase_id = reference(session, "payment_intent") or text(session, "id")
        paid_minor = number(session, "amount_total")
        grant = pack_grant(terms, purchase_id, paid_minor, event.created_s, self.books.clock())
        effect = self.books.grant(replace(grant, cause=terms.cause))
        self.books.keep_customer(terms.user_id, session)
        currency = text(session, "currency")
        self.books.step(StepKind.PAID, terms, terms.pack, event.created_s, currency, paid_minor)
        self._agree(terms, purchase_id, session)
        return effect

    def _agree(self, terms: PackTerms, purchase_id: str, session: Fields) -> None:
        """The payer agreed to automatic top-ups: from here on they hold."""
        consent = Consent.read(mapping(session, "metadata"))
        if consent is None or reference(session, "payment_intent") is None:
            return  # what was free left no card
        # To the end of its second, so that it counts over what was ended in that very second.
        agreed_ms = number(session, "created") * 1000 + 999
        self.books.top_up(Agree(terms, consent, purchase_id, agreed_ms))

    def failed(self, event: Event) -> Effect:
        """The bank said no, days after the payer was done."""
        session = event.subject
        metadata = ours(session.get("metadata"), self.books.stage)
        if metadata is None:
            return Effect.NOT_OURS
        if text(session, "mode") == "payment":
            terms = PackTerms.read(metadata)
            failed = payment_failed(
                text(session, "id"),
                user_id=terms.user_id,
                offer=terms.pack,
                amount_minor=number(session, "amount_total"),
                currency=text(session, "currency"),
                at_s=event.created_s,
            )
            self.books.tell(failed)
        return Effect.NOT_PAID

    def expired(self, event: Event) -> Effect:
        """Nobody paid, and nobody can any more."""
        session = event.subject
        metadata = ours(session.get("metadata"), self.books.stage)
        if metadata is None:
            return Effect.NOT_OURS
        at_s = event.created_s
        if text(session, "mode") == "payment":
            pack = PackTerms.read(metadata)
            self.books.step(StepKind.EXPIRED, pack, pack.pack, at_s, "", 0)
        else:
            plan = PlanTerms.read(metadata)
            self.books.step(StepKind.EXPIRED, plan, plan.plan, at_s, "", 0)
        return Effect.NOT_PAID


def pack_grant(
    terms: PackTerms, purchase_id: str, paid_minor: int, paid_s: int, now_ms: int
) -> Grant:
    """A pack by its own terms. Its days count from the payment: a late delivery gives no more."""
    expires_ms = paid_s * 1000 + terms.expires_days * DAY_MS if terms.expires_days else None
    return Grant(
        user_id=terms.user_id,
        purchase_id=purchase_id,
        pack=terms.pack,
        granted_nano=terms.credit_nano,
        paid_minor=paid_minor,
        currency=terms.currency,
        expires_ms=expires_ms,
        prompt_id=terms.prompt_id,
        now_ms=now_ms,
        # What nothing was paid for is shown at its price.
        worth_minor=paid_minor or terms.price_minor,
        fresh_until_ms=now_ms + terms.fresh_hours * _HOUR_MS if terms.fresh_hours else None,
        fresh_nano=terms.fresh_nano,
        paid_ms=min(paid_s * 1000, now_ms),
    )
