"""What is asked of the payment provider: one checkout, and whether an event is really its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tollkeeper_core.domain.config import Checkout


@dataclass(frozen=True, slots=True)
class CheckoutRequest:
    """One purchase to start: ``quantity`` of ``title`` at ``price_minor`` of ``currency`` each.

    ``customer_id``: the payer, as the provider knows them. ``interval``: ``month`` or ``year`` for
    a subscription, None for a single payment. ``metadata`` comes back with every event about it.
    ``expires_s``: epoch seconds. ``options``: what the payment page offers. ``embedded``: it is
    shown inside the app's page, and leads to ``success_url`` only where the bank has to be visited.
    ``keeps_card``: the card is kept for payments that the payer is not there for.
    Equal requests are one purchase: the provider answers both with the same checkout.
    """

    user_id: str
    customer_id: str
    title: str
    price_minor: int
    currency: str
    interval: str | None
    metadata: Mapping[str, str]
    success_url: str
    cancel_url: str
    expires_s: int
    quantity: int = 1
    trial_days: int | None = None
    options: Checkout = field(default_factory=Checkout)
    embedded: bool = False
    keeps_card: bool = False


@dataclass(frozen=True, slots=True)
class CheckoutStart:
    """Where the payer goes, and the provider's id of it.

    ``client_secret``: of one that is embedded, in place of the ``url``, which is empty then.
    """

    url: str
    session_id: str
    client_secret: str | None = None


@dataclass(frozen=True, slots=True)
class PlanChange:
    """Another plan for a subscription that runs; ``product``: an id of ours for the plan.

    ``at_once``: what is left of the old plan counts against the new one, and the rest is charged.
    Otherwise the price changes with the next period, and nothing is charged or given back.
    """

    subscription_id: str
    product: str
    title: str
    price_minor: int
    currency: str
    interval: str
    metadata: Mapping[str, str]
    at_once: bool = True


@dataclass(frozen=True, slots=True)
class RunningPlan:
    """A subscription as the provider has it; paid, or to be paid, until ``ends_s``."""

    metadata: Mapping[str, str]
    interval: str
    ends_s: int


class BillingError(Exception):
    """The provider did not do it. Nothing was charged; it may be tried again."""


class NoSuchCustomerError(BillingError):
    """The provider does not know this customer (any more)."""


class PaymentRefusedError(BillingError):
    """The payer's card was refused. Nothing was changed."""


class ForgedEventError(Exception):
    """Bytes that the provider did not sign, or signed too long ago."""


class Billing(Protocol):
    """Starts checkouts. Raises BillingError."""

    @property
    def checkout_origins(self) -> tuple[str, ...]:
        """Where checkouts are paid: the origins that a form may be redirected to."""
        ...

    @property
    def script_url(self) -> str:
        """The provider's script, which shows an embedded checkout."""
        ...

    def create_checkout(self, request: CheckoutRequest) -> CheckoutStart:
        """Start it. Raises NoSuchCustomerError as well."""
        ...

    def create_customer(self, user_id: str, stage: str, replaces: str | None) -> str:
        """A customer for a user; the same one, however often it is asked for at once.

        ``replaces``: the customer that is gone.
        """
        ...

    def close_checkouts(self, customer_id: str, stage: str, session_id: str, most: int) -> None:
        """Leave ``most`` open checkouts of packs to a customer: ``session_id``, then the newest."""
        ...

    def running_plan(self, subscription_id: str) -> RunningPlan:
        """What runs now."""
        ...

    def change_plan(self, change: PlanChange) -> None:
        """Change it and charge the difference. Raises PaymentRefusedError as well."""
        ...

    def portal_url(self, customer_id: str, return_url: str) -> str:
        """Where a customer sees invoices, changes the card and cancels. For minutes."""
        ...


class SignedEvents(Protocol):
    """Knows the provider's signature."""

    def open(self, body: bytes, signature: str | None) -> dict[str, Any]:
        """The event in these exact bytes, parsed after they proved to be signed.

        Raises ForgedEventError; ValueError where what was signed is no JSON object.
        """
        ...
