"""Brings the ledger to what Stripe says, whatever of its events was lost.

Every object of Stripe's lists goes through the very code that its event would have gone through,
so what was told already changes nothing. What says nothing new is not written again: a dispute or
a subscription has no time of its last change, and would be news each day.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tollkeeper_core.domain.announcements import Announcement
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.funnel import Step as FunnelStep
from tollkeeper_core.domain.funnel import TellSteps
from tollkeeper_core.domain.movements import (
    Claim,
    Claimed,
    FirstPayment,
    Grant,
    Granted,
    SubscriptionState,
)
from tollkeeper_core.domain.offers import TermsError
from tollkeeper_core.domain.ports import Announcements, Archive, Clock
from tollkeeper_core.domain.purchases import Happenings, Purchases
from tollkeeper_core.domain.record import Progress
from tollkeeper_core.domain.top_ups import Step, Stepped
from tollkeeper_core.domain.user_state import UserState, Word
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.stripe_events.apply import stripe_actions
from tollkeeper_core.services.stripe_events.books import Books, PurchaseLedger
from tollkeeper_core.services.stripe_events.event import Action, Effect, Event, UnusableEventError

#: Objects that cannot be applied and are told in words; the others are counted.
_PROBLEMS_TOLD = 20
#: Steps in one request to Redis, and in one object of the record.
_STEPS = 100


class States(Protocol):
    """What is known of users."""

    def states(self, user_ids: Sequence[str]) -> list[UserState]:
        """One each, in order."""
        ...


@dataclass
class WatchedLedger:
    """A ledger that counts what is news to it, and is not told what it knows already."""

    ledger: PurchaseLedger
    known: States
    news: Counter[str] = field(default_factory=Counter)

    def grant(self, request: Grant) -> Granted:
        """See ports.Ledger."""
        granted = self.ledger.grant(request)
        self.news["purchases"] += not granted.replayed
        return granted

    def claim(self, claim: Claim) -> Claimed | None:
        """See ports.Ledger; None as well where the last word on it says the same."""
        word = self._state(claim.user_id).claims.get(claim.purchase_id, {}).get(claim.claim_id)
        said = Word(claim.version, claim.taken_minor, claim.hold)
        if word and (word.taken_minor, word.hold) == (said.taken_minor, said.hold):
            return None
        claimed = self.ledger.claim(claim)
        self.news["claims"] += claimed is not None and not claimed.replayed
        return claimed

    def claim_again(self, user_id: str, purchase_id: str, now_ms: int) -> Claimed | None:
        """See ports.Ledger."""
        return self.ledger.claim_again(user_id, purchase_id, now_ms)

    def first_payment(self, payment: FirstPayment) -> FirstPayment:
        """See ports.Ledger; no news by itself, for it comes with what is bought."""
        return self.ledger.first_payment(payment)

    def apply_subscription(self, state: SubscriptionState) -> bool | None:
        """See books.PurchaseLedger."""
        word = self._state(state.user_id).subscriptions.get(state.subscription_id)
        if word is not None:
            if word.ended:
                return None
            said = (state.until_ms, state.tier, state.plan, state.anchor_day, state.next_plan)
            known = (word.until_ms, word.tier, word.plan, word.anchor_day, word.next_plan)
            same = known == said
            if same and state.version[1] != 2:
                return None
        applied = self.ledger.apply_subscription(state)
        self.news["subscriptions"] += bool(applied)
        return applied

    def keep_customer(self, user_id: str, customer_id: str, replaces: str | None) -> str:
        """See ports.Accounts; no news by itself, for it comes with what they bought."""
        return self.ledger.keep_customer(user_id, customer_id, replaces)

    def top_up(self, step: Step, now_ms: int) -> Stepped:
        """See books.PurchaseLedger; it comes with what is bought."""
        return self.ledger.top_up(step, now_ms)

    def _state(self, user_id: str) -> UserState:
        (state,) = self.known.states([user_id])
        return state


@dataclass
class NewsOnly:
    """Announcements of what is news; the others were made when it was."""

    announcements: Announcements
    ledger: WatchedLedger
    _told: int = 0

    def publish(self, stage: str, announcements: Sequence[Announcement]) -> None:
        """See ports.Announcements."""
        if self.ledger.news.total() > self._told:
            self._told = self.ledger.news.total()
            self.announcements.publish(stage, announcements)


@dataclass
class Gathered:
    """Steps of the funnel, told many at a time: each time is a request and an object of the record.

    Every purchase of these days is told again, for whether its step was counted before is known to
    the counter alone.
    """

    tell: TellSteps
    waiting: list[FunnelStep] = field(default_factory=list)

    def __call__(self, steps: Sequence[FunnelStep]) -> None:
        """See funnel.TellSteps."""
        self.waiting += steps
        if len(self.waiting) >= _STEPS:
            self.flush()

    def flush(self) -> None:
        """Tell what waits. Raises what ``tell`` raises: then it waits on."""
        if self.waiting:
            self.tell(self.waiting)
            self.waiting.clear()


@dataclass(slots=True)
class Reconciled:
    """What came of it. ``looked_at``: objects by list, ``ours`` of them; ``news``: what Stripe's
    events had not told, by kind; ``problems``: what could not be applied, the first of them.
    """

    looked_at: Counter[str] = field(default_factory=Counter)
    ours: int = 0
    news: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    problems_count: int = 0


@dataclass(frozen=True)
class Reconcile:
    """``actions``: what is done about each type of event, over ``ledger``."""

    happenings: Happenings
    ledger: WatchedLedger
    actions: Mapping[str, Action]
    clock: Clock
    steps: Gathered

    def __call__(self, since_s: int, tell: Progress) -> Reconciled:
        """Everything since. Raises PurchaseLookupError and what Books raises: run it again."""
        done = Reconciled(news=self.ledger.news)
        lists = self.happenings.since(since_s, self.clock() // 1000)
        for name, happened in lists.items():
            for one in happened():
                done.looked_at[name] += 1
                tell(name, done.looked_at[name])
                action = self.actions[one.event_type]
                event_id = f"reconcile:{one.subject['id']}"
                event = Event(event_id, one.event_type, one.at_s, one.subject)
                try:
                    done.ours += action(event) is not Effect.NOT_OURS
                except (UnusableEventError, TermsError) as error:
                    done.problems_count += 1
                    if done.problems_count <= _PROBLEMS_TOLD:
                        done.problems.append(f"{one.subject['id']}: {error}")
            self.steps.flush()
            tell(name, done.looked_at[name], done.looked_at[name])
        return done


class AdminLedger(PurchaseLedger, States, Protocol):
    """The ledger, and a look at users."""


def build_reconcile(
    ledger: AdminLedger,
    archive: Archive,
    announcements: Announcements,
    stripe: tuple[Happenings, Purchases],
    configs: ConfigCache[Config],
    stage: str,
    clock: Clock,
    tell_steps: TellSteps,
) -> Reconcile:
    """The same parts as the webhook's, with a ledger that is watched."""
    watched = WatchedLedger(ledger, ledger)
    happenings, purchases = stripe
    steps = Gathered(tell_steps)
    books = Books(watched, archive, NewsOnly(announcements, watched), stage, clock, steps)
    return Reconcile(happenings, watched, stripe_actions(books, purchases, configs), clock, steps)
