"""One event of Stripe's, applied to the ledger and recorded, once.

What counts is the purchase, not the event: credits are keyed by the payment or invoice, refunds
and disputes by their own id and state, a tier by the subscription and the event's time. So any
order and any number of deliveries give the same ledger, and an error is safe to answer with
"again".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from tollkeeper_core.domain.billing import SignedEvents
from tollkeeper_core.domain.config import Config, Settings
from tollkeeper_core.domain.offers import TermsError
from tollkeeper_core.domain.purchases import Purchases
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.stripe_events.books import Books
from tollkeeper_core.services.stripe_events.checkout import Checkout
from tollkeeper_core.services.stripe_events.claims import Claims
from tollkeeper_core.services.stripe_events.event import (
    Action,
    Effect,
    Event,
    UnusableEventError,
    mapping,
    number,
    text,
)
from tollkeeper_core.services.stripe_events.invoices import Invoices
from tollkeeper_core.services.stripe_events.payment_intents import PaymentIntents
from tollkeeper_core.services.stripe_events.subscriptions import Subscriptions

#: How old the settings may be by which an unpaid plan keeps its tier, and a month begins.
_SETTINGS_AGE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Applied:
    """The event's id and type, and what it did."""

    event_id: str
    event_type: str
    effect: Effect


@dataclass(frozen=True)
class ApplyStripeEvent:
    """Verifies, applies, records, tells."""

    books: Books
    events: SignedEvents
    configs: ConfigCache[Config]
    purchases: Purchases

    def __call__(self, body: bytes, signature: str | None) -> Applied:
        """Apply the event in these exact bytes; when this returns, its effect is on record.

        Raises ForgedEventError (nothing was read), UnusableEventError, PurchaseLookupError, and
        what Books raises.
        """
        try:
            event = self.events.open(body, signature)
        except ValueError:
            raise UnusableEventError("a signed body is no JSON object") from None
        event_id, event_type = text(event, "id"), text(event, "type")
        action = self._actions.get(event_type)
        if action is None:
            return Applied(event_id, event_type, Effect.UNKNOWN)
        try:
            subject = mapping(mapping(event, "data"), "object")
            effect = action(Event(event_id, event_type, number(event, "created"), subject))
        except (TermsError, UnusableEventError) as error:
            raise UnusableEventError(f"{event_type} {event_id}: {error}") from None
        return Applied(event_id, event_type, effect)

    @cached_property
    def _actions(self) -> Mapping[str, Action]:
        return stripe_actions(self.books, self.purchases, self.configs)


def stripe_actions(
    books: Books, purchases: Purchases, configs: ConfigCache[Config]
) -> Mapping[str, Action]:
    """What is done about each type of event; the others are none of ours."""

    def settings() -> Settings:
        return configs.current(_SETTINGS_AGE_MS).config.settings

    return {
        **Checkout(books).actions(),
        **Claims(books, purchases).actions(),
        **PaymentIntents(books).actions(),
        **Invoices(books).actions(),
        **Subscriptions(books, settings).actions(),
    }
