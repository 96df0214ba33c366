"""Stripe's balance transactions without a Stripe, and the service that books them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.offers import MARK
from tollkeeper_core.domain.ports import Archive
from tollkeeper_core.domain.purchases import Purchase, PurchaseLookupError
from tollkeeper_core.domain.transactions import MoneyBooks, Transaction
from tollkeeper_core.services.book_money import Booked, BookMoney
from tollkeeper_core.services.config_cache import ConfigCache

from tests.support.record import quiet
from tests.support.upgrade import STAGE


def transaction(name: str, user: str | None = "ada", **more: Any) -> Transaction:
    """A charge of 5.00 USD; of nobody's where there is no user."""
    told: dict[str, Any] = {
        "id": f"txn_{name}",
        "category": "charge",
        "source_id": f"ch_{name}",
        "amount_minor": 500,
        "fee_minor": 45,
        "currency": "usd",
        "created_s": 1_795_600_000,
        "metadata": {} if user is None else {MARK: STAGE, "user_id": user},
        "payment_intent_id": None,
        "charge_id": None,
    }
    return Transaction(**(told | more))


@dataclass
class Account:
    """A TransactionSource and what it knows of payments. ``away``: it does not answer."""

    listed: list[Transaction] = field(default_factory=list)
    bought: dict[str, Mapping[str, str]] = field(default_factory=dict)
    payments: dict[str, str] = field(default_factory=dict)
    lookups: int = 0
    away: bool = False

    def transactions(self, since_s: int) -> Iterator[Transaction]:
        return (one for one in self.listed if one.created_s >= since_s)

    def paid_by(self, payment_intent_id: str) -> Purchase | None:
        self.lookups += 1
        if self.away:
            raise PurchaseLookupError("away")
        found = self.bought.get(payment_intent_id)
        return None if found is None else Purchase(payment_intent_id, found)

    def payment_of(self, charge_id: str) -> str | None:
        return self.payments.get(charge_id)

    def refunds_of(self, payment_intent_id: str) -> Sequence[Mapping[str, Any]]:
        raise NotImplementedError


@dataclass
class Bookkeeper:
    """The service over these parts, with a clock and a configuration of its own."""

    account: Account
    books: MoneyBooks
    archive: Archive
    configs: ConfigCache[Config]
    now_ms: int

    def __call__(self, since_s: int = 0) -> Booked:
        service = BookMoney(
            self.account,
            self.account,
            self.books,
            self.archive,
            self.configs,
            STAGE,
            lambda: self.now_ms,
        )
        return service(since_s, quiet)


def calendar_config(time_zone: str) -> Config:
    """Two tiers without limits, in that time zone."""
    return Config.model_validate(
        {
            "settings": {"time_zone": time_zone},
            "tiers": {"free": {"limits": {}}, "pro": {"rank": 1, "limits": {}}},
        }
    )
