"""The ledger and the configuration in Redis: scripts called, their answers read."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from upstash_redis.errors import UpstashError

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_answers import amounts_of, checked, ids_of
from tollkeeper_core.adapters.redis_calls import Call
from tollkeeper_core.adapters.redis_checks import RedisChecks
from tollkeeper_core.adapters.redis_purchases import (
    claimed_of,
    first_paid,
    granted_of,
    next_plans,
    purchases_since,
    running_plans,
    stepped_of,
    top_up_of,
)
from tollkeeper_core.adapters.scripts import script
from tollkeeper_core.domain.accounts import Account
from tollkeeper_core.domain.config import Config, Tier
from tollkeeper_core.domain.ledger import (
    LedgerError,
    LedgerUnavailableError,
    NothingPublishedError,
)
from tollkeeper_core.domain.movements import (
    Claim,
    Claimed,
    FirstPayment,
    Grant,
    Granted,
    PromptState,
    Settle,
    Settlement,
    SubscriptionState,
)
from tollkeeper_core.domain.periods import Window, cutoffs
from tollkeeper_core.domain.top_ups import Step, Stepped


class RedisStore(RedisChecks):
    """Implements the ports Ledger and ConfigStore. Every mutation is one script."""

    # -- Ledger ----------------------------------------------------------------------------------

    def settle(
        self, requests: Sequence[Settle], config_version: str
    ) -> list[Settlement | LedgerError]:
        """See ports.Ledger."""
        answers = self.run_many([_settle_call(r, config_version) for r in requests])
        return [_settlement_of(r, a) for r, a in zip(requests, answers, strict=True)]

    def grant(self, request: Grant) -> Granted:
        """See ports.Ledger."""
        user, cause = request.user_id, request.cause
        led = ("", "", "", "")
        if cause is not None:
            led = (cause.prompt_id, cause.trigger, cause.tier, cause.variant)
        answer = self._run(
            script("grant"),
            [
                keys.user(user),
                keys.purchases(user),
                keys.prompt(user, request.prompt_id or "-"),
                keys.CONFIG,
            ],
            [
                str(request.now_ms),
                request.purchase_id,
                request.pack,
                str(request.granted_nano),
                str(request.paid_minor),
                str(request.paid_minor if request.worth_minor is None else request.worth_minor),
                request.currency,
                str(request.expires_ms or 0),
                str(request.fresh_until_ms or 0),
                str(request.fresh_nano),
                "1" if request.prompt_id else "0",
                str(keys.PROMPT_S),
                str(request.now_ms if request.paid_ms is None else request.paid_ms),
                *led,
            ],
        )
        return granted_of(user, checked(answer, None))

    def claim(self, claim: Claim) -> Claimed | None:
        """See ports.Ledger."""
        word = [claim.claim_id, *map(str, claim.version), str(claim.taken_minor), str(claim.hold)]
        return self._claim(claim.user_id, claim.purchase_id, claim.now_ms, word)

    def claim_again(self, user_id: str, purchase_id: str, now_ms: int) -> Claimed | None:
        """See ports.Ledger."""
        return self._claim(user_id, purchase_id, now_ms, ["", "0", "0", "0", "0"])

    def _claim(
        self, user_id: str, purchase_id: str, now_ms: int, word: Sequence[str]
    ) -> Claimed | None:
        names = [keys.user(user_id), keys.purchases(user_id), keys.CONFIG]
        answer = self._run(script("claim"), names, [str(now_ms), purchase_id, *word])
        fields = checked(answer, None)
        return claimed_of(user_id, fields) if fields["status"] == "ok" else None

    def first_payment(self, payment: FirstPayment) -> FirstPayment:
        """See ports.Ledger."""
        user = payment.user_id
        answer = self._run(
            script("first_payment"),
            [keys.purchases(user), keys.CONFIG, keys.user(user)],
            [payment.prompt_id, payment.invoice_id, str(payment.paid_ms)],
        )
        fields = checked(answer, None)
        return replace(payment, invoice_id=fields["invoice"], paid_ms=int(fields["at"]))

    def apply_subscription(self, state: SubscriptionState) -> bool:
        """See ports.Ledger."""
        user = state.user_id
        answer = self._run(
            script("subscribe"),
            [
                keys.user(user),
                keys.subscriptions(user),
                keys.prompt(user, state.prompt_id or "-"),
                keys.CONFIG,
            ],
            [
                str(state.now_ms),
                state.subscription_id,
                state.tier,
                str(state.until_ms),
                str(state.version[0]),
                str(state.version[1]),
                state.plan,
                "1" if state.prompt_id else "0",
                str(keys.PROMPT_S),
                str(state.anchor_day),
                str(state.month_until_ms),
                state.next_plan or "-",
            ],
        )
        if answer == -1:
            raise NothingPublishedError
        return bool(answer == 1)

    def prompt_state(self, user_id: str, prompt_id: str) -> PromptState:
        """See ports.Ledger."""
        found = self._ask(lambda: self._client.get(keys.prompt(user_id, prompt_id)))
        return PromptState(found) if found else PromptState.OPEN

    # -- Accounts --------------------------------------------------------------------------------

    def account(
        self, user_id: str, since_ms: int, now_ms: int, prompt_id: str | None = None
    ) -> Account:
        """See ports.Accounts. One request."""
        pipeline = self._client.pipeline()
        pipeline.get(keys.customer(user_id))
        pipeline.hgetall(keys.subscriptions(user_id))
        pipeline.hgetall(keys.purchases(user_id))
        pipeline.get(keys.top_up(user_id))
        if prompt_id is not None:
            pipeline.get(keys.prompt(user_id, prompt_id))
        customer, subscriptions, found, top_up, *prompt = self._ask(pipeline.exec)
        purchases = found or {}
        return Account(
            customer_id=customer,
            subscriptions=running_plans(subscriptions or {}, now_ms),
            next_plans=next_plans(subscriptions or {}, now_ms),
            purchases=purchases_since(purchases, since_ms),
            first_paid_ms=first_paid(purchases),
            prompt=PromptState(prompt[0]) if prompt and prompt[0] else PromptState.OPEN,
            top_up=top_up_of(top_up),
        )

    def keep_customer(self, user_id: str, customer_id: str, replaces: str | None) -> str:
        """See ports.Accounts."""
        answer = self._run(
            script("customer"), [keys.customer(user_id)], [customer_id, replaces or ""]
        )
        return str(answer)

    def top_up(self, step: Step, now_ms: int) -> Stepped:
        """See top_ups.TopUpLedger."""
        user = step.user_id
        names = [keys.user(user), keys.top_up(user), keys.purchases(user), keys.CONFIG]
        answer = self._run(script("top_up"), names, [str(now_ms), *step.words()])
        return stepped_of(checked(answer, None))

    # -- ConfigStore -----------------------------------------------------------------------------

    def load(self) -> tuple[str, Config] | None:
        """See ports.ConfigStore."""
        found = self._published()
        return found and (found[0], Config.model_validate_json(found[1]))

    def publish(self, config: Config, read_ms: int, *, replacing: bool = False) -> bool:
        """See ports.ConfigStore. The version is a digest of the whole."""
        snapshot = config.snapshot
        version = hashlib.sha256(snapshot.encode()).hexdigest()[:16]
        lines = {name: _tier_line(name, tier) for name, tier in config.tiers.items()}
        default = lines[config.settings.default_tier]
        tiers = [text for name, line in lines.items() for text in (name, line)]
        answer = self._run(
            script("publish"),
            [keys.CONFIG],
            [str(read_ms), version, snapshot, default, "1" if replacing else "0", *tiers],
        )
        if answer == -1:
            raise NothingPublishedError
        return bool(answer)

    def record_error(self, message: str | None, now_ms: int) -> None:
        """See ports.ConfigStore."""
        if message is None:
            self._ask(lambda: self._client.delete(keys.CONFIG_ERROR))
        else:
            self._ask(lambda: self._client.set(keys.CONFIG_ERROR, f"{now_ms} {message[:4000]}"))


def _settle_call(request: Settle, config_version: str) -> Call:
    user, reservation = request.user_id, request.reservation_id
    return (
        script("settle"),
        [
            keys.CONFIG,
            keys.user(user),
            keys.holds(user),
            keys.event(user, request.event_id),
            keys.reservation(user, reservation or "-"),
        ],
        [
            config_version,
            str(request.now_ms),
            request.event_id,
            str(request.cost_nano),
            "1" if reservation else "0",
            *request.periods.ids,
            *cutoffs(request.now_ms),
            str(keys.SETTLED_S),
            str(keys.IDLE_USER_S),
            request.periods.around,
            keys.BOOKS,
            str(keys.BOOKS_S),
            user,
        ],
    )


def _settlement_of(request: Settle, answer: Any) -> Settlement | LedgerError:
    """A settlement's answer, or why there is none."""
    if isinstance(answer, UpstashError):
        return LedgerUnavailableError(f"settle: {answer}")
    try:
        fields = checked(answer, None)
    except LedgerError as error:
        return error
    return Settlement(
        user_id=request.user_id,
        event_id=fields["event"],
        cost_nano=int(fields["cost"]),
        allowance_nano=int(fields["allowance"]),
        overrun_nano=int(fields["overrun"]),
        lots_nano=amounts_of(fields["burnt"]),
        period_ids=ids_of(fields["periods"]),
        tier=fields["tier"],
        said_tier=fields["said"],
        expired_nano=amounts_of(fields["expired"]),
        settled_ms=int(fields["settled"]),
        replayed=fields["replayed"] == "1",
        tops_up="topup" in fields,
        crossed=amounts_of(fields.get("crossed", "")),
        begun=tuple(filter(None, fields.get("begun", "").split(","))),
    )


def _tier_line(name: str, tier: Tier) -> str:
    limits = [
        f"{'h' if limit.hard else 'e'}{limit.limit_usd}" if limit else "-"
        for limit in (tier.limits.get(window) for window in Window)
    ]
    return " ".join([name, str(tier.rank), tier.enforcement, *limits])
