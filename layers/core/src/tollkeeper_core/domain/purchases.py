"""What is looked up at the payment provider: whose a payment was, and what was given back of it.

Refunds, disputes and fraud warnings name a payment and nothing else of the purchase.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Purchase:
    """``purchase_id``: the id by which it is granted; ``metadata`` holds its terms (offers.py)."""

    purchase_id: str
    metadata: Mapping[str, str]


class PurchaseLookupError(Exception):
    """The provider did not say. Nothing was done; it has to be asked again."""


class Purchases(Protocol):
    """Reads from the provider. Raises PurchaseLookupError."""

    def paid_by(self, payment_intent_id: str) -> Purchase | None:
        """What was bought with a payment; None where it is no purchase that carries terms."""
        ...

    def payment_of(self, charge_id: str) -> str | None:
        """The payment intent of a charge, where it has one."""
        ...

    def refunds_of(self, payment_intent_id: str) -> Sequence[Mapping[str, Any]]:
        """Every refund of a payment, each as the provider has it now."""
        ...


@dataclass(frozen=True, slots=True)
class Happened:
    """An object of the provider's as it is now, and the type and time (epoch seconds) of the event
    that should have told of it.
    """

    event_type: str
    at_s: int
    subject: Mapping[str, Any]


class Happenings(Protocol):
    """The provider's own lists."""

    def since(self, since_s: int, now_s: int) -> Mapping[str, Callable[[], Iterator[Happened]]]:
        """By name of the list, what may have happened since; a list is read when it is called.

        Reading raises PurchaseLookupError.
        """
        ...
