"""Invoices of a plan: the credits that it includes, once for each period that was paid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tollkeeper_core.domain.announcements import payment_failed
from tollkeeper_core.domain.funnel import StepKind
from tollkeeper_core.domain.movements import FirstPayment, Grant
from tollkeeper_core.domain.offers import PlanTerms
from tollkeeper_core.services.stripe_events.books import Books
from tollkeeper_core.services.stripe_events.event import (
    Action,
    Effect,
    Event,
    Fields,
    UnusableEventError,
    listed,
    mapping,
    number,
    ours,
    text,
)

#: Invoices that begin a period of a plan. Those of a change in the middle of one
#: (``subscription_update``) give none: going to and fro between two plans would give them twice.
_BEGINS = frozenset(("subscription_create", "subscription_cycle"))
#: What pays for a plan; what else is invoiced to a subscriber is the owner's own.
_OF_PLANS = _BEGINS | {"subscription_update"}


@dataclass(frozen=True, slots=True)
class Invoices:
    """The invoice is the purchase: what is paid back of it takes back its credits."""

    books: Books

    def actions(self) -> Mapping[str, Action]:
        """By type of event."""
        return {"invoice.paid": self.paid, "invoice.payment_failed": self.failed}

    def paid(self, event: Event) -> Effect:
        """The included credits, by the terms that the subscription had when it was invoiced."""
        invoice = event.subject
        terms = self._terms(invoice)
        if terms is None:
            return Effect.NOT_OURS
        first = self._first_paid(event, terms)
        if not terms.credit_nano or invoice.get("billing_reason") not in _BEGINS:
            return Effect.NOTHING
        lines = _periods(invoice)
        if not lines:
            return Effect.NOTHING  # a trial: nothing was to be paid
        ends_s = max(number(mapping(line, "period"), "end") for line in lines)
        return self.books.grant(
            Grant(
                user_id=terms.user_id,
                purchase_id=text(invoice, "id"),
                pack=terms.plan,
                granted_nano=terms.credit_nano,
                paid_minor=number(invoice, "amount_paid"),
                currency=text(invoice, "currency"),
                expires_ms=None if terms.rollover else ends_s * 1000,
                prompt_id=None,
                now_ms=self.books.clock(),
                cause=terms.cause if first else None,
            )
        )

    def _first_paid(self, event: Event, terms: PlanTerms) -> bool:
        """Whether this pays for what a prompt began, for the first time: a plan, its trial or a
        change to it. Then that is the purchase; a renewal is no other.
        """
        invoice, at_s = event.subject, event.created_s
        minor, currency = number(invoice, "amount_paid"), text(invoice, "currency")
        if not minor or terms.cause is None or invoice.get("billing_reason") not in _OF_PLANS:
            return False
        first = FirstPayment(terms.user_id, terms.prompt_id, text(invoice, "id"), at_s * 1000)
        if not self.books.is_first_payment(first):
            return False
        self.books.step(StepKind.PAID, terms, terms.plan, at_s, currency, minor)
        return True

    def failed(self, event: Event) -> Effect:
        """The tier follows the subscription, which has its own event; the owner hears of this."""
        invoice = event.subject
        terms = self._terms(invoice)
        if terms is None:
            return Effect.NOT_OURS
        failed = payment_failed(
            f"{text(invoice, 'id')}:{number(invoice, 'attempt_count')}",
            user_id=terms.user_id,
            offer=terms.plan,
            amount_minor=number(invoice, "amount_due"),
            currency=text(invoice, "currency"),
            at_s=event.created_s,
        )
        self.books.tell(failed)
        return Effect.NOT_PAID

    def _terms(self, invoice: Fields) -> PlanTerms | None:
        """Of the invoice's parent since API version 2025-03-31.basil, of itself before."""
        details = _part(_part(invoice, "parent") or invoice, "subscription_details")
        metadata = ours(details.get("metadata"), self.books.stage)
        return None if metadata is None else PlanTerms.read(metadata)


def _periods(invoice: Fields) -> Sequence[Fields]:
    """The lines by which the plan itself is paid for a period: no proration, and not for free.

    Amounts of lines are what is due before any discount: a promotion code makes no trial.
    """
    return [
        line for line in listed(invoice, "lines") if not _is_proration(line) and _amount(line) > 0
    ]


def _is_proration(line: Fields) -> bool:
    parent = _part(line, "parent")
    if not parent:
        return bool(line.get("proration")) or line.get("type") == "invoiceitem"
    return bool(
        parent.get("type") != "subscription_item_details"
        or _part(parent, "subscription_item_details").get("proration")
    )


def _amount(line: Fields) -> int:
    amount = line.get("amount")
    if type(amount) is not int:  # credit lines are below zero
        raise UnusableEventError("amount of a line is missing or no number")
    return amount


def _part(source: Fields, key: str) -> Fields:
    found = source.get(key)
    return found if isinstance(found, Mapping) else {}
