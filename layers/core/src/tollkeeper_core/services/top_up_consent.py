"""Automatic top-ups as the upgrade page has them: agreed to beside a pack, and ended."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus

from tollkeeper_core.domain.billing import CheckoutRequest
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.links import verify_link
from tollkeeper_core.domain.ports import Archive, Clock
from tollkeeper_core.domain.postings import top_up_postings
from tollkeeper_core.domain.problems import Problem, invalid
from tollkeeper_core.domain.top_ups import Consent, End, TopUpLedger


@dataclass(frozen=True, slots=True)
class TopUpWish:
    """What a payer chose: the share of the pack below which to pay, and how often a month."""

    threshold_percent: int
    monthly_max: int


def agreeing(request: CheckoutRequest, wish: TopUpWish, config: Config) -> CheckoutRequest:
    """The purchase of a pack that carries the payer's consent, and keeps their card.

    Raises Problem 404 (the owner does not offer it), 422 (not to be chosen so).
    """
    rules = config.settings.auto_topup
    if rules is None:
        raise Problem(HTTPStatus.NOT_FOUND, "unknown_offer", "There are no automatic top-ups.")
    if wish.threshold_percent not in rules.thresholds_percent:
        raise invalid("Choose one of the thresholds that are offered.")
    if not 1 <= wish.monthly_max <= rules.monthly_max:
        raise invalid(f"Choose 1 to {rules.monthly_max} payments a month.")
    if request.quantity != 1:
        raise invalid("An automatic top-up buys one pack at a time.")
    credit_nano = int(request.metadata["credit_nano"])
    below_nano = max(credit_nano * wish.threshold_percent // 100, 1)
    consent = Consent(below_nano, wish.monthly_max)
    return replace(request, metadata={**request.metadata, **consent.metadata()}, keeps_card=True)


@dataclass(frozen=True, slots=True)
class EndTopUp:
    """Ends a user's automatic top-up. ``archive`` is made when somebody does."""

    ledger: TopUpLedger
    archive: Callable[[], Archive]
    link_keys: tuple[bytes, ...]
    clock: Clock

    def __call__(self, token: str) -> None:
        """Raises LinkError, LedgerUnavailableError and what the archive raises: try again."""
        now_ms = self.clock()
        user_id = verify_link(token, self.link_keys, now_ms).user_id
        ended = self.ledger.top_up(End(user_id), now_ms).top_up
        if ended is not None:
            self.archive().write(top_up_postings(user_id, ended))
