"""Books what Stripe charged, gave back and kept of our users' money, each transaction once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.periods import periods_at
from tollkeeper_core.domain.ports import Archive, Clock
from tollkeeper_core.domain.postings import money_postings
from tollkeeper_core.domain.purchases import Purchases
from tollkeeper_core.domain.record import Progress
from tollkeeper_core.domain.transactions import (
    MoneyBooks,
    Movement,
    Transaction,
    TransactionSource,
)
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.stripe_events.event import Fields, ours

#: How old the time zone may be in which money is given its month.
_CALENDAR_AGE_MS = 60_000
#: One page of Stripe's, and one request to Redis.
_BATCH = 100
_USER_ID_MAX = 128
#: What is nobody's after this is not looked up again: by then Stripe has tied a payment to its
#: invoice and subscription.
_FOREIGN_AFTER_MS = 86_400_000
#: Money older than this is left: its month's books are gone, or soon will be (redis_keys.BOOKS_S).
_AGE_S_MAX = 730 * 86_400


@dataclass(slots=True)
class Booked:
    """``looked_at``: transactions; ``booked``: those that were not on record before; ``unclear``:
    ids of those that are this stage's and name no user.
    """

    looked_at: int = 0
    booked: int = 0
    unclear: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class BookMoney:
    """Books, then the record, then a note that it is on record.

    Whoever dies in between begins again at the next run: the books answer with their first word
    until the note is there.
    """

    transactions: TransactionSource
    purchases: Purchases
    books: MoneyBooks
    archive: Archive
    configs: ConfigCache[Config]
    stage: str
    clock: Clock

    def __call__(self, since_s: int, tell: Progress) -> Booked:
        """Everything since. Raises PurchaseLookupError, LedgerUnavailableError, and what the
        archive raises: run it again.
        """
        done = Booked()
        oldest_s = self.clock() // 1000 - _AGE_S_MAX
        found = self.transactions.transactions(max(since_s, oldest_s))
        while page := list(islice(found, _BATCH)):
            done.looked_at += len(page)
            self._book(page, done)
            tell("money", done.looked_at)
        tell("money", done.looked_at, done.looked_at)
        return done

    def _book(self, page: Sequence[Transaction], done: Booked) -> None:
        known = self.books.on_record(page)
        movements: list[Movement] = []
        finished: list[tuple[str, str]] = []
        for transaction in page:
            if transaction.id in known:
                continue
            metadata = self._metadata(transaction)
            if metadata is None:
                if transaction.created_s * 1000 < self.clock() - _FOREIGN_AFTER_MS:
                    finished.append((transaction.month, transaction.id))
            elif (movement := self._movement(transaction, metadata)) is None:
                done.unclear.append(transaction.id)
            else:
                movements.append(movement)
                finished.append((transaction.month, transaction.id))
        told = [movement for movement in self.books.book(movements) if movement is not None]
        self.archive.write([line for movement in told for line in money_postings(movement)])
        self.books.recorded(finished)
        done.booked += len(told)

    def _movement(self, transaction: Transaction, metadata: Fields) -> Movement | None:
        user_id = metadata.get("user_id")
        if not isinstance(user_id, str) or not 0 < len(user_id) <= _USER_ID_MAX:
            return None
        calendar = self.configs.current(_CALENDAR_AGE_MS).config.settings.calendar
        return Movement(
            txn_id=transaction.id,
            user_id=user_id,
            category=transaction.category,
            source_id=transaction.source_id,
            amount_minor=transaction.amount_minor,
            fee_minor=transaction.fee_minor,
            currency=transaction.currency,
            at_ms=transaction.created_s * 1000,
            period_ids=periods_at(calendar, transaction.created_s * 1000).ids,
        )

    def _metadata(self, transaction: Transaction) -> Fields | None:
        """The terms of the purchase that it belongs to, where that was begun in this stage."""
        if (own := ours(transaction.metadata, self.stage)) is not None:
            return own
        payment = transaction.payment_intent_id
        if payment is None and transaction.charge_id is not None:
            payment = self.purchases.payment_of(transaction.charge_id)
        purchase = None if payment is None else self.purchases.paid_by(payment)
        return None if purchase is None else ours(purchase.metadata, self.stage)
