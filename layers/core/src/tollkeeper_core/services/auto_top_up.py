"""Charges a user who agreed to it, once their credits run low.

A message says whose credits fell below their threshold, and nothing else: the ledger decides
whether a payment is due, and gives whoever asks while one is open that very attempt. What an
attempt sends is kept with it, and its id is the idempotency key, so that a process that died at
any line is made whole by the same message, and two at once are one charge. Only the webhook (or
reconciliation) grants, and with that closes the attempt.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tollkeeper_core.domain.accounts import Account, Accounts
from tollkeeper_core.domain.announcements import payment_failed
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.offers import AUTO_TOP_UP, fresh
from tollkeeper_core.domain.periods import periods_at
from tollkeeper_core.domain.ports import Announcements, Archive, Clock
from tollkeeper_core.domain.postings import top_up_postings
from tollkeeper_core.domain.top_ups import (
    Begin,
    Charge,
    ChargeFailedError,
    Close,
    Mandate,
    Outcome,
    SavedCard,
    Step,
    Stepped,
    TopUp,
    TopUpBilling,
    TopUpLedger,
)
from tollkeeper_core.services.config_cache import ConfigCache

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_MINUTE_MS = 60_000
#: How old the settings may be.
_SETTINGS_AGE_MS = 60_000
#: Stripe forgets an idempotency key after a day at the earliest: after this, and well before that,
#: an attempt is only looked up and never sent again.
_SEND_MS = 20 * _HOUR_MS
#: No process works on an attempt for this long (template.yaml: 30 s).
_IN_FLIGHT_MS = 5 * _MINUTE_MS
_NO_CARD = "no_card"


@dataclass(frozen=True)
class AutoTopUp:
    """Every call raises LedgerUnavailableError, BillingError, AnnouncementError and what the
    archive raises: then the message has to come again.
    """

    ledger: TopUpLedger
    accounts: Accounts
    billing: TopUpBilling
    archive: Archive
    announcements: Announcements
    configs: ConfigCache[Config]
    stage: str
    clock: Clock

    def __call__(self, user_id: str) -> str:
        """What was done, in a word: ``charged``, or why not."""
        now_ms = self.clock()
        account = self.accounts.account(user_id, now_ms - _DAY_MS, now_ms)
        top_up = account.top_up
        if top_up is None:
            return "none"
        # Written again in any case: whoever changed it last may have died before the record.
        self._record(user_id, top_up)
        if top_up.outcome is not Outcome.OPEN and (
            top_up.mandate is not Mandate.ON or top_up.wait_ms > now_ms
        ):
            return "not_due"
        stepped = self._step(self._next(user_id, account, top_up, now_ms))
        if stepped.top_up is None:
            return "none"  # forgotten in between
        if stepped.effect == "begun":
            return self._charge(user_id, stepped.top_up)
        if stepped.effect == "open":
            return self._resume(user_id, stepped.top_up)
        return stepped.effect

    def _next(self, user_id: str, account: Account, top_up: TopUp, now_ms: int) -> Begin:
        config = self.configs.current(_SETTINGS_AGE_MS).config
        rules, month = config.settings.auto_topup, periods_at(config.settings.calendar, now_ms)
        most = config.settings.fraud.purchases_per_day
        full = most is not None and account.purchases >= most
        begins = rules is not None and not full and top_up.outcome is not Outcome.OPEN
        return Begin(
            user_id=user_id,
            month=month.monthly.id,
            month_ends_ms=month.monthly.resets_ms,
            cooldown_ms=(rules.cooldown_minutes if rules else 60) * _MINUTE_MS,
            failures_max=rules.failures_max if rules else 1,
            sent=self._to_send(user_id, config, account, top_up, now_ms) if begins else "",
            put_off_ms=now_ms + _HOUR_MS if rules is None or full else None,
        )

    def _to_send(
        self, user_id: str, config: Config, account: Account, top_up: TopUp, now_ms: int
    ) -> str:
        card = self.billing.saved_card(top_up.purchase_id)
        trusted = config.settings.fraud.trusts(account.first_paid_ms, now_ms)
        credit_nano = int(top_up.fields["credit_nano"])
        opens = fresh(config, top_up.fields["pack"], credit_nano, trusted=trusted)
        terms = top_up.terms(user_id, opens)
        return json.dumps(
            {
                "customer": card.customer_id if card else "",
                "payment_method": card.payment_method_id if card else "",
                "metadata": terms.metadata(self.stage),
            }
        )

    def _charge(self, user_id: str, top_up: TopUp) -> str:
        sent: Mapping[str, Any] = json.loads(top_up.sent)
        metadata: dict[str, str] = {**sent["metadata"], AUTO_TOP_UP: top_up.attempt_id}
        try:
            if not sent["payment_method"]:
                raise ChargeFailedError(_NO_CARD)
            self.billing.charge(
                Charge(
                    card=SavedCard(sent["customer"], sent["payment_method"]),
                    amount_minor=int(metadata["price_minor"]),
                    currency=metadata["currency"],
                    metadata=metadata,
                    attempt_id=top_up.attempt_id,
                )
            )
        except ChargeFailedError as error:
            return self._failed(user_id, top_up, error.code)
        return "charged"

    def _resume(self, user_id: str, top_up: TopUp) -> str:
        """An attempt that somebody began: it may have come to Stripe, or not."""
        age_ms = self.clock() - top_up.attempt_ms
        sent = json.loads(top_up.sent) if top_up.sent else None
        customer = sent["customer"] if sent else self._customer(user_id)
        try:
            if customer and self.billing.find(
                customer, top_up.attempt_id, top_up.attempt_ms // 1000 - 60
            ):
                return "waiting"
        except ChargeFailedError as error:
            return self._failed(user_id, top_up, error.code)
        if sent and top_up.is_current and age_ms < _SEND_MS:
            return self._charge(user_id, top_up)
        if age_ms < _IN_FLIGHT_MS:
            return "waiting"
        self._step(Close(user_id, top_up.attempt_id, Outcome.LAPSED))
        return "lapsed"

    def _failed(self, user_id: str, top_up: TopUp, code: str) -> str:
        if code == _NO_CARD:
            # Stripe has not heard of it, so no event will tell; before it is closed, for then no
            # message looks at it again.
            terms = top_up.terms(user_id, (0, 0))
            failed = payment_failed(
                top_up.attempt_id,
                user_id=user_id,
                offer=terms.pack,
                amount_minor=terms.price_minor,
                currency=terms.currency,
                at_s=top_up.attempt_ms // 1000,
            )
            self.announcements.publish(self.stage, [failed])
        self._step(Close(user_id, top_up.attempt_id, Outcome.FAILED, code))
        return "failed"

    def _customer(self, user_id: str) -> str | None:
        now_ms = self.clock()
        return self.accounts.account(user_id, now_ms, now_ms).customer_id

    def _step(self, step: Step) -> Stepped:
        stepped = self.ledger.top_up(step, self.clock())
        if stepped.top_up is not None:
            self._record(step.user_id, stepped.top_up)
        return stepped

    def _record(self, user_id: str, top_up: TopUp) -> None:
        self.archive.write(top_up_postings(user_id, top_up))
