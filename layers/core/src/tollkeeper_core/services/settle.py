"""Settles queued usage: price, charge in one request, archive, and only then acknowledge."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from tollkeeper_core.domain.api import QueuedUsage, UsageEvent
from tollkeeper_core.domain.config import CeilingPrice, Config
from tollkeeper_core.domain.ledger import LedgerError, StaleConfigError
from tollkeeper_core.domain.money import AMOUNT_NANO_MAX
from tollkeeper_core.domain.movements import Settle, Settlement
from tollkeeper_core.domain.periods import periods_at
from tollkeeper_core.domain.ports import Archive, Clock, Ledger, Prices, UsageQueue
from tollkeeper_core.domain.postings import settlement_postings
from tollkeeper_core.domain.pricing import TokenRates, UnpricedModelError, UsageError, token_counts
from tollkeeper_core.services.check import Count
from tollkeeper_core.services.config_cache import ConfigCache, InHand


@dataclass(frozen=True, slots=True)
class Failed:
    """A message that was not settled: it comes again, and ends in the dead-letter queue."""

    reason: str


@dataclass(frozen=True)
class SettleUsage:
    """A crash anywhere leads to a redelivery, and that to the same postings."""

    ledger: Ledger
    configs: ConfigCache[Config]
    prices: Prices
    archive: Archive
    clock: Clock
    count: Count
    top_ups: UsageQueue

    def __call__(self, bodies: Sequence[str]) -> list[Settlement | Failed]:
        """An outcome for each message body, in order. Settlements are archived by then.

        Raises LedgerUnavailableError and what the archive raises: then no message counts as done.
        """
        outcomes: list[Settlement | Failed | None] = [None] * len(bodies)
        return self.configs.fresh(lambda hand: self._settle(hand, bodies, outcomes))

    def _settle(
        self,
        hand: InHand[Config],
        bodies: Sequence[str],
        outcomes: list[Settlement | Failed | None],
    ) -> list[Settlement | Failed]:
        waiting: dict[int, Settle] = {}
        unpriced = False
        for n, body in enumerate(bodies):
            try:
                waiting[n] = self._request(hand.config, QueuedUsage.model_validate_json(body))
            except (ValidationError, UnpricedModelError, UsageError, ValueError) as error:
                outcomes[n] = Failed(_plain(error))
                unpriced = unpriced or isinstance(error, UnpricedModelError)
        if unpriced and self.configs.reload().version != hand.version:
            # A ceiling price may be set by now, and without a neighbour to settle no script would
            # tell this process that its configuration is old.
            raise StaleConfigError
        if waiting:
            answers = self.ledger.settle(list(waiting.values()), hand.version)
            if any(isinstance(answer, StaleConfigError) for answer in answers):
                # Those that were settled answer the same again: the whole batch goes once more.
                raise StaleConfigError
            for n, answer in zip(waiting, answers, strict=True):
                outcomes[n] = Failed(str(answer)) if isinstance(answer, LedgerError) else answer
        done = [outcome for outcome in outcomes if isinstance(outcome, Settlement)]
        self.archive.write([posting for s in done for posting in settlement_postings(s)])
        self._top_up(outcomes)
        return [outcome for outcome in outcomes if outcome is not None]

    def _top_up(self, outcomes: list[Settlement | Failed | None]) -> None:
        """Have those charged who agreed to it and whose credits run low, once a user.

        What is not queued makes their calls come again; these answer the same, and tell it again.
        """
        low = {o.user_id for o in outcomes if isinstance(o, Settlement) and o.tops_up}
        if not low:
            return
        users = sorted(low)
        queued = self.top_ups.send([json.dumps({"user_id": user}) for user in users])
        lost = {user for user, taken in zip(users, queued, strict=True) if not taken}
        for n, outcome in enumerate(outcomes):
            if isinstance(outcome, Settlement) and outcome.tops_up and outcome.user_id in lost:
                outcomes[n] = Failed("settled, but the top-up queue did not take its message")

    def _request(self, config: Config, queued: QueuedUsage) -> Settle:
        event, at_ms = queued.event, queued.event.at_ms(queued.received_ms)
        cost_nano = self._cost_nano(config, event, at_ms)
        if cost_nano > AMOUNT_NANO_MAX:
            raise UsageError("one call cannot cost more than 1000000 US dollars")
        return Settle(
            user_id=event.user_id,
            event_id=event.event_id,
            cost_nano=cost_nano,
            reservation_id=event.reservation_id,
            periods=periods_at(config.settings.calendar, at_ms),
            now_ms=self.clock(),
        )

    def _cost_nano(self, config: Config, event: UsageEvent, at_ms: int) -> int:
        if event.cost_usd is not None:
            return event.cost_usd
        if event.usage is None or event.model is None:
            return 0  # a call that failed and was not billed (domain/api.py refuses any other)
        try:
            return self.prices.cost_nano(event.provider, event.model, event.usage, at_ms)
        except UnpricedModelError:
            self.count("UnpricedModel")
            ceiling = config.settings.unknown_model
            if not isinstance(ceiling, CeilingPrice):
                raise  # waits in the queue, then in its dead-letter queue, until a price is set
            rates = TokenRates.flat(ceiling.input_usd_per_mtok, ceiling.output_usd_per_mtok)
            return rates.worst_case_nano(*token_counts(event.usage))


def _plain(error: Exception) -> str:
    """What was wrong, without the input: it may hold anything."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in error.errors())
    return str(error)
