"""The owner's own claims: a refund that Stripe knows nothing of, a purchase that is not trusted."""

from dataclasses import dataclass
from typing import Protocol

from tollkeeper_core.domain.money import format_minor
from tollkeeper_core.domain.movements import Claim, Claimed, Granted, Hold
from tollkeeper_core.domain.ports import Archive, Clock, Ledger
from tollkeeper_core.domain.postings import claim_postings
from tollkeeper_core.domain.record import LedgerAdmin, RecordError

_REFUND, _HOLD = "manual-refund", "manual-hold"


class AdminLedger(Ledger, LedgerAdmin, Protocol):
    """The ledger, and a look at what a user has."""


@dataclass(frozen=True)
class TakeBack:
    """The same step as for a claim that comes from Stripe, and the same record of it.

    Every method raises RecordError where there is nothing to do. Repeated, it answers the same.
    """

    ledger: AdminLedger
    archive: Archive
    clock: Clock

    def refund(self, user_id: str, purchase_id: str, refunded_minor: int) -> Claimed:
        """``refunded_minor``: all that was refunded by hand so far, in the purchase's currency."""
        purchase = self._purchase(user_id, purchase_id)
        if not 0 < refunded_minor <= purchase.paid_minor:
            paid = format_minor(purchase.paid_minor, purchase.currency)
            raise RecordError(
                f"The refund must be more than 0 and at most what was paid, {paid} "
                f"(--refunded {purchase.paid_minor})."
            )
        # A running total: of two the higher is the newer.
        claimed = self._claim(purchase, _REFUND, refunded_minor, refunded_minor, Hold.NONE)
        if claimed is None:
            raise RecordError(
                f"Of {purchase_id} more was taken back before: --refunded is the total of all "
                "refunds by hand, not another one."
            )
        return claimed

    def hold(self, user_id: str, purchase_id: str, hold: Hold) -> Claimed:
        """OPEN freezes what is left of a purchase, RELEASED thaws it and dismisses warnings."""
        purchase = self._purchase(user_id, purchase_id)
        claimed = self._claim(purchase, _HOLD, self.clock(), 0, hold)
        if claimed is None:
            raise RecordError("Somebody else has just said otherwise: try again.")
        if claimed.frozen and hold is Hold.RELEASED:
            raise RecordError(f"A dispute about {purchase_id} is open: it stays frozen until then.")
        return claimed

    def _purchase(self, user_id: str, purchase_id: str) -> Granted:
        (state,) = self.ledger.states([user_id])
        purchase = state.purchases.get(purchase_id)
        if purchase is None:
            known = ", ".join(state.purchases) or "none"
            raise RecordError(f"{user_id!r} has no purchase {purchase_id!r}. Theirs: {known}.")
        return purchase

    def _claim(
        self, purchase: Granted, claim_id: str, version: int, taken_minor: int, hold: Hold
    ) -> Claimed | None:
        claimed = self.ledger.claim(
            Claim(
                user_id=purchase.user_id,
                purchase_id=purchase.purchase_id,
                claim_id=claim_id,
                version=(version, 0),
                taken_minor=taken_minor,
                hold=hold,
                now_ms=self.clock(),
            )
        )
        if claimed is not None:
            self.archive.write(claim_postings(claimed))
        return claimed
