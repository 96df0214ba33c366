"""May this user make this call now? Holds what it may cost, or says what stops it."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tollkeeper_core.domain.check_request import CheckRequest
from tollkeeper_core.domain.funnel import Step, StepKind, TellSteps, trigger_of
from tollkeeper_core.domain.ledger import (
    LedgerUnavailableError,
    Reservation,
    Reserve,
    UnknownTierError,
)
from tollkeeper_core.domain.links import LinkReason
from tollkeeper_core.domain.money import AMOUNT_NANO_MAX, format_usd
from tollkeeper_core.domain.periods import Periods, periods_at, rfc3339
from tollkeeper_core.domain.ports import Clock, KeptRates, Limits
from tollkeeper_core.domain.pricing import (
    ASSUMED_INPUT_TOKENS,
    ASSUMED_OUTPUT_TOKENS,
    TokenRates,
    UnpricedModelError,
)
from tollkeeper_core.domain.problems import invalid, unauthorized
from tollkeeper_core.domain.rules import Rules
from tollkeeper_core.services.authenticate import authenticate, is_valid
from tollkeeper_core.services.config_cache import ConfigCache, InHand
from tollkeeper_core.services.links import UpgradeLinks
from tollkeeper_core.services.outage import OutagePolicy
from tollkeeper_core.services.usage_view import binding_window, usage_view, warnings_of

#: Counts something that happened: name of the metric.
Count = Callable[[str], None]


@dataclass(frozen=True)
class Check:
    """One request to Redis where everything is warm: the script decides."""

    ledger: Limits
    configs: ConfigCache[Rules]
    rates: KeptRates
    links: UpgradeLinks
    outage: OutagePolicy
    clock: Clock
    count: Count
    tell: TellSteps

    def __call__(self, request: CheckRequest, authorization: str | None) -> dict[str, Any]:
        """The answer's body. Raises Problem."""
        known = authenticate(self.configs, authorization, age_ms_max=None)

        def decide(hand: InHand[Rules]) -> dict[str, Any]:
            # Revoked since, as a stale version showed.
            if hand is not known and not is_valid(hand.config, authorization):
                raise unauthorized()
            return self._decide(hand, request)

        try:
            return self.configs.fresh(decide)
        except UnknownTierError as error:
            raise invalid(str(error)) from error
        except LedgerUnavailableError:
            self.count("LedgerUnavailable")
            return self._in_an_outage(request)

    def _decide(self, hand: InHand[Rules], request: CheckRequest) -> dict[str, Any]:
        now_ms = self.clock()
        periods = periods_at(hand.config.calendar, now_ms)
        try:
            amount_nano = self._amount_nano(hand.config, request, now_ms)
        except UnpricedModelError:
            self.count("UnpricedModel")
            return self._blocked_unpriced(hand, request, periods, now_ms)
        reservation = self.ledger.reserve(
            Reserve(
                user_id=request.user_id,
                reservation_id=reservation_id(request),
                amount_nano=amount_nano,
                tier=request.tier,
                periods=periods,
                now_ms=now_ms,
                expires_ms=now_ms + hand.config.reservation_ms,
            ),
            hand.version,
        )
        # A repeated request gets the first answer, and that one belongs to the first one's moment.
        anchor_day = reservation.standing.anchor_day
        periods = periods_at(hand.config.calendar, reservation.now_ms, anchor_day)
        if reservation.admitted:
            return _allowed(reservation, periods)
        return self._blocked(hand.config, request, reservation, periods)

    def _amount_nano(self, rules: Rules, request: CheckRequest, now_ms: int) -> int:
        if request.amount_usd is not None:
            return request.amount_usd
        if request.model is None:
            return 1  # the smallest amount there is: admitted while anything is left
        rates = self.rates.rates(request.provider, request.model, now_ms)
        if rates is None:
            rates = _ceiling(rules, request)
            self.count("UnpricedModel")
        amount = _worst_case_nano(rates, request)
        if amount > AMOUNT_NANO_MAX:
            raise invalid("This call may cost more than 1000000 US dollars: check its tokens.")
        return amount

    def _blocked(
        self, rules: Rules, request: CheckRequest, r: Reservation, periods: Periods
    ) -> dict[str, Any]:
        window = binding_window(r.standing, periods, r.amount_nano, r.now_ms)
        limit = r.standing.limits.get(window) if window else None
        reason = LinkReason(
            code="hard_limit_reached" if limit and limit.hard else "limit_reached",
            window=str(window) if window else None,
            resets_ms=periods.of(window).resets_ms if window else None,
        )
        view = usage_view(r.standing, periods, r.now_ms, with_holds=True)
        body = self._block_body(rules, request, reason, r.affordable_nano, view, r.reservation_id)
        self.tell(
            [
                Step(
                    kind=StepKind.LIMIT_REACHED,
                    prompt_id=prompt_of(r.reservation_id),
                    user_id=request.user_id,
                    at_ms=r.now_ms,
                    trigger=trigger_of(reason),
                    tier=r.standing.tier,
                    resets_ms=reason.resets_ms or 0,
                    variant=rules.experiment.label_of(request.user_id) if rules.experiment else "",
                )
            ]
        )
        return body

    def _blocked_unpriced(
        self, hand: InHand[Rules], request: CheckRequest, periods: Periods, now_ms: int
    ) -> dict[str, Any]:
        """Nothing that is bought makes an unknown model callable: no link, and no hold."""
        standing = self.ledger.read(request.user_id, request.tier, periods, now_ms, hand.version)
        periods = periods_at(hand.config.calendar, now_ms, standing.anchor_day)
        reason = LinkReason("unknown_model")
        view = usage_view(standing, periods, now_ms)
        return self._block_body(hand.config, request, reason, 0, view, None)

    def _block_body(
        self,
        rules: Rules,
        request: CheckRequest,
        reason: LinkReason,
        affordable_nano: int,
        view: Mapping[str, Any],
        blocked_id: str | None,
    ) -> dict[str, Any]:
        prompt_id = prompt_of(blocked_id) if blocked_id else None
        return {
            "decision": "block",
            "reason": {
                "code": reason.code,
                "window": reason.window,
                "resets_at": rfc3339(reason.resets_ms) if reason.resets_ms else None,
            },
            "affordable_usd": format_usd(affordable_nano),
            "upgrade_message": rules.upgrade_message,
            "upgrade_url": self.links.url(request.user_id, request.tier, reason, prompt_id)
            if prompt_id
            else None,
            "usage": view,
        }

    def _in_an_outage(self, request: CheckRequest) -> dict[str, Any]:
        """Redis is away: the tier's policy decides, and the usage is charged when it is back."""
        rules = self.configs.in_an_outage().config
        amount_nano = request.amount_usd
        if amount_nano is None and request.model is not None:
            rates = self.rates.known(request.provider, request.model, self.clock())
            amount_nano = None if rates is None else _worst_case_nano(rates, request)
        return self.outage.decide(
            rules, request.user_id, request.tier, amount_nano, reservation_id(request)
        )


def reservation_id(request: CheckRequest) -> str:
    """The same for the same user and request_id; random where there is none."""
    if request.request_id is None:
        return f"rsv_{secrets.token_hex(16)}"
    seed = f"{len(request.user_id)}:{request.user_id}{request.request_id}"
    return f"rsv_{hashlib.sha256(seed.encode()).hexdigest()[:32]}"


def prompt_of(blocked_id: str) -> str:
    """The prompt that a block leads to: the same block asked again is the same prompt."""
    return f"prm_{hashlib.sha256(blocked_id.encode()).hexdigest()[:24]}"


def _allowed(reservation: Reservation, periods: Periods) -> dict[str, Any]:
    view = usage_view(reservation.standing, periods, reservation.now_ms)
    return {
        "decision": "allow",
        "reservation_id": reservation.reservation_id,
        "reserved_usd": format_usd(reservation.held_nano),
        "expires_at": rfc3339(reservation.expires_ms),
        "warnings": warnings_of(view, reservation.warned),
        "usage": view,
    }


def _worst_case_nano(rates: TokenRates, request: CheckRequest) -> int:
    return rates.worst_case_nano(
        ASSUMED_INPUT_TOKENS if request.input_tokens is None else request.input_tokens,
        ASSUMED_OUTPUT_TOKENS if request.max_output_tokens is None else request.max_output_tokens,
    )


def _ceiling(rules: Rules, request: CheckRequest) -> TokenRates:
    if rules.unknown_model is None:
        raise UnpricedModelError(request.provider, request.model or "")
    return rules.unknown_model
