"""What an event does to the books: the ledger, then the record, then whoever wants to hear of it.

In this order, and each step on every delivery: the one before may have died between any two. The
ledger answers a repetition with its first answer, so the record and what is told stay the same.
"""

from dataclasses import dataclass
from typing import Protocol

from tollkeeper_core.domain.announcements import Announcement, granted, subscription_changed
from tollkeeper_core.domain.funnel import Step, StepKind, TellSteps
from tollkeeper_core.domain.movements import (
    Claim,
    Claimed,
    FirstPayment,
    Grant,
    Granted,
    SubscriptionState,
)
from tollkeeper_core.domain.offers import PackTerms, PlanTerms
from tollkeeper_core.domain.ports import Announcements, Archive, Clock
from tollkeeper_core.domain.postings import (
    claim_postings,
    customer_postings,
    first_payment_postings,
    grant_postings,
    subscription_postings,
    top_up_postings,
)
from tollkeeper_core.domain.top_ups import Step as TopUpStep
from tollkeeper_core.domain.top_ups import Stepped
from tollkeeper_core.services.stripe_events.event import Effect, Fields, number, reference


class PurchaseLedger(Protocol):
    """What of the ledger a purchase needs (ports.Ledger)."""

    def grant(self, request: Grant) -> Granted:
        """Add a lot of credits, once per purchase."""
        ...

    def claim(self, claim: Claim) -> Claimed | None:
        """Take the word on a claim."""
        ...

    def claim_again(self, user_id: str, purchase_id: str, now_ms: int) -> Claimed | None:
        """Let claims take effect that came before their purchase."""
        ...

    def first_payment(self, payment: FirstPayment) -> FirstPayment:
        """Keep by which invoice what a prompt began was first paid."""
        ...

    def apply_subscription(self, state: SubscriptionState) -> bool | None:
        """Give or take a tier; None where that is known already, and on record."""
        ...

    def keep_customer(self, user_id: str, customer_id: str, replaces: str | None) -> str:
        """Keep the provider's id of a user (ports.Accounts)."""
        ...

    def top_up(self, step: TopUpStep, now_ms: int) -> Stepped:
        """A step of an automatic top-up (top_ups.TopUpLedger)."""
        ...


#: What a purchase says of the prompt that led to it.
Terms = PackTerms | PlanTerms


@dataclass(frozen=True, slots=True)
class Books:
    """``stage`` names what is ours, here and in what is announced.

    Every method raises LedgerUnavailableError, AnnouncementError and what the archive raises: then
    the event has to come again.
    """

    ledger: PurchaseLedger
    archive: Archive
    announcements: Announcements
    stage: str
    clock: Clock
    tell_steps: TellSteps

    def grant(self, purchase: Grant) -> Effect:
        """Credits that were paid, once."""
        answer = self.ledger.grant(purchase)
        self.archive.write(grant_postings(answer))
        if answer.claimed:
            self._claim_again(answer)
        self.tell(granted(answer))
        return Effect.ALREADY_GRANTED if answer.replayed else Effect.GRANTED

    def claim(self, claim: Claim) -> None:
        """What is claimed back of a purchase, known or not."""
        claimed = self.ledger.claim(claim)
        if claimed is not None:
            self.archive.write(claim_postings(claimed))

    def subscribe(self, state: SubscriptionState, status: str) -> Effect:
        """The tier that a subscription gives until when."""
        if self.ledger.apply_subscription(state) is None:
            return Effect.SUBSCRIPTION
        self.archive.write(subscription_postings(state))
        self.tell(subscription_changed(state, status))
        return Effect.SUBSCRIPTION

    def keep_customer(self, user_id: str, bought: Fields) -> None:
        """Whose a session or subscription is, where the provider would know them again.

        The upgrade page made the customer and keeps it in Redis alone: here it comes on record.
        """
        customer_id = reference(bought, "customer")
        if customer_id is not None:
            postings = customer_postings(user_id, customer_id, number(bought, "created"))
            self.ledger.keep_customer(user_id, customer_id, None)
            self.archive.write(postings)

    def is_first_payment(self, payment: FirstPayment) -> bool:
        """Whether a prompt's plan is first paid by this invoice; on record if it is."""
        first = self.ledger.first_payment(payment)
        if first.invoice_id != payment.invoice_id:
            return False
        self.archive.write(first_payment_postings(first))
        return True

    def step(
        self, kind: StepKind, terms: Terms, offer: str, at_s: int, currency: str, minor: int
    ) -> None:
        """A step of the funnel; counted before the event is answered, so none is lost."""
        step = Step(
            kind=kind,
            prompt_id=terms.prompt_id,
            user_id=terms.user_id,
            at_ms=at_s * 1000,
            trigger=terms.trigger,
            tier=terms.from_tier,
            offer=offer,
            currency=currency,
            minor=minor,
            variant=terms.variant,
        )
        self.tell_steps([step])

    def top_up(self, step: TopUpStep) -> None:
        """What an event says of an automatic top-up."""
        stepped = self.ledger.top_up(step, self.clock())
        if stepped.top_up is not None:
            self.archive.write(top_up_postings(step.user_id, stepped.top_up))

    def tell(self, announcement: Announcement) -> None:
        """Whatever else the owner may want to know."""
        self.announcements.publish(self.stage, [announcement])

    def _claim_again(self, answer: Granted) -> None:
        """A claim came before the purchase that it is on: it takes effect now."""
        user, purchase = answer.user_id, answer.purchase_id
        claimed = self.ledger.claim_again(user, purchase, self.clock())
        if claimed is not None:
            self.archive.write(claim_postings(claimed))
