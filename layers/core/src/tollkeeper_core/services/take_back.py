"""Takes credits back by hand: a refund that Stripe knows nothing of, or none of its events told."""

from dataclasses import dataclass
from typing import Protocol

from tollkeeper_core.domain.ledger import Revoke, Revoked
from tollkeeper_core.domain.money import format_minor
from tollkeeper_core.domain.ports import Archive, Clock, Ledger
from tollkeeper_core.domain.postings import refund_postings, revocation_postings
from tollkeeper_core.domain.record import LedgerAdmin, RecordError


class AdminLedger(Ledger, LedgerAdmin, Protocol):
    """The ledger, and a look at what a user has."""


@dataclass(frozen=True)
class TakeBack:
    """The same step as for a refund at Stripe, and the same record of it."""

    ledger: AdminLedger
    archive: Archive
    clock: Clock

    def __call__(self, user_id: str, purchase_id: str, refunded_minor: int) -> Revoked:
        """``refunded_minor``: all that was refunded of the purchase so far, in its currency.

        Raises RecordError where there is nothing to take. Repeated, it answers the same.
        """
        (state,) = self.ledger.states([user_id])
        purchase = state.purchases.get(purchase_id)
        if purchase is None:
            known = ", ".join(state.purchases) or "none"
            raise RecordError(f"{user_id!r} has no purchase {purchase_id!r}. Theirs: {known}.")
        if not 0 < refunded_minor <= purchase.paid_minor:
            paid = format_minor(purchase.paid_minor, purchase.currency)
            raise RecordError(
                f"The refund must be more than 0 and at most what was paid, {paid} "
                f"(--refunded {purchase.paid_minor})."
            )
        request = Revoke(user_id, purchase_id, refunded_minor, self.clock())
        revoked = self.ledger.revoke(request)
        if revoked is None:
            raise RecordError(
                f"Of {purchase_id} as much or more was taken back before: --refunded is the total "
                "of all refunds, not another one."
            )
        self.archive.write([*refund_postings(request), *revocation_postings(revoked)])
        return revoked
