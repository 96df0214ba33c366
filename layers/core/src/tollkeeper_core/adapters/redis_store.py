"""The ledger and the configuration in Redis: scripts called, their answers read."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, cast

from upstash_redis.errors import UpstashError

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_answers import (
    checked,
    claimed_of,
    first_paid,
    granted_of,
    next_plans,
    purchases_since,
    reservation_of,
    running_plans,
    settlement_of,
    standing_of,
    stepped_of,
    top_up_of,
)
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.scripts import Script, script
from tollkeeper_core.domain.config import Config, Tier
from tollkeeper_core.domain.ledger import (
    Claim,
    Claimed,
    Grant,
    Granted,
    LedgerError,
    LedgerUnavailableError,
    NothingPublishedError,
    PromptState,
    Reservation,
    Reserve,
    Settle,
    Settlement,
    Standing,
    SubscriptionState,
)
from tollkeeper_core.domain.periods import Periods, Window, cutoffs
from tollkeeper_core.domain.ports import Account
from tollkeeper_core.domain.top_ups import Step, Stepped

_Call = tuple[Script, list[str], list[str]]


class RedisStore:
    """Implements the ports Ledger and ConfigStore. Raises LedgerUnavailableError from everywhere.

    Every mutation is one script, so one HTTP request; a second one follows only where the server
    does not know the script yet (NOSCRIPT), which happens once per script and server.
    """

    def __init__(self, client: LeanRedis) -> None:
        self._client = client

    # -- Ledger ----------------------------------------------------------------------------------

    def reserve(self, request: Reserve, config_version: str) -> Reservation:
        """See ports.Ledger."""
        user, ids = request.user_id, request.periods.ids
        answer = self._run(
            script("reserve"),
            [
                keys.CONFIG,
                keys.user(user),
                keys.holds(user),
                keys.reservation(user, request.reservation_id),
            ],
            [
                config_version,
                str(request.now_ms),
                str(request.amount_nano),
                request.reservation_id,
                str(request.expires_ms),
                request.tier or "",
                *ids,
                *cutoffs(request.now_ms),
                str(keys.ADMITTED_S),
                str(keys.REFUSED_S),
                str(keys.IDLE_USER_S),
                request.periods.around,
            ],
        )
        return reservation_of(checked(answer, request.tier))

    def settle(
        self, requests: Sequence[Settle], config_version: str
    ) -> list[Settlement | LedgerError]:
        """See ports.Ledger."""
        answers = self.run_many([_settle_call(r, config_version) for r in requests])
        return [settlement_of(r, a) for r, a in zip(requests, answers, strict=True)]

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

    def read(
        self, user_id: str, tier: str | None, periods: Periods, now_ms: int, config_version: str
    ) -> Standing:
        """See ports.Ledger."""
        answer = self._run(
            script("read"),
            [keys.CONFIG, keys.user(user_id), keys.holds(user_id)],
            [config_version, str(now_ms), tier or "", *periods.ids, periods.around],
        )
        return standing_of(checked(answer, tier))

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
        found = self._ask(lambda: self._client.hmget(keys.CONFIG, "version", "snapshot"))
        version, snapshot = found
        if version is None or snapshot is None:
            return None
        return version, Config.model_validate_json(snapshot)

    def publish(self, config: Config, read_ms: int, *, replacing: bool = False) -> bool:
        """See ports.ConfigStore. The version is a digest of the whole."""
        snapshot = config.model_dump_json(by_alias=True)
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

    # -- prices that were found before (adapters/prices.py) ---------------------------------------

    def price_line(self, version: str, model: str) -> str | None:
        """What price list ``version`` says of a model, where somebody asked before."""
        return cast("str | None", self._ask(lambda: self._client.hget(keys.prices(version), model)))

    def keep_price_line(self, version: str, model: str, line: str) -> None:
        """Keep what was found, for the next process that meets the model."""
        pipeline = self._client.pipeline()
        pipeline.hset(keys.prices(version), model, line)
        pipeline.expire(keys.prices(version), keys.PRICES_S)
        self._ask(pipeline.exec)

    # -- calling ---------------------------------------------------------------------------------

    def _run(self, code: Script, names: list[str], arguments: list[str]) -> Any:
        try:
            return self._client.evalsha(code.sha1, names, arguments)
        except UpstashError as error:
            if "NOSCRIPT" not in str(error):
                raise LedgerUnavailableError(f"{code.name}: {error}") from error
        return self._ask(lambda: self._client.eval(code.text, names, arguments))

    def run_many(self, calls: Sequence[_Call]) -> list[Any]:
        """Scripts in one request: an answer for each, in order, or the text of its error."""
        if not calls:
            return []
        pipeline = self._client.pipeline()
        for code, names, arguments in calls:
            pipeline.evalsha(code.sha1, names, arguments)
        answers: list[Any] = self._ask(pipeline.exec)
        unknown = [n for n, answer in enumerate(answers) if "NOSCRIPT" in str(answer)[:20]]
        if unknown:
            # The first EVAL teaches the server the script, the others are then EVALSHAs in place:
            # one text of some kilobytes instead of ten.
            pipeline = self._client.pipeline()
            taught: set[str] = set()
            for n in unknown:
                code, names, arguments = calls[n]
                if code.sha1 in taught:
                    pipeline.evalsha(code.sha1, names, arguments)
                else:
                    pipeline.eval(code.text, names, arguments)
                    taught.add(code.sha1)
            for n, answer in zip(unknown, self._ask(pipeline.exec), strict=True):
                answers[n] = answer
        return answers

    def hashes(self, names: Sequence[str]) -> list[dict[str, str]]:
        """Whole hashes, in one request."""
        pipeline = self._client.pipeline()
        for name in names:
            pipeline.hgetall(name)
        return [found or {} for found in self._ask(pipeline.exec)] if names else []

    def fields(self, those: Sequence[tuple[str, Sequence[str]]]) -> list[list[str | None]]:
        """Some fields of some hashes, in one request."""
        pipeline = self._client.pipeline()
        for name, wanted in those:
            pipeline.hmget(name, *wanted)
        return list(self._ask(pipeline.exec)) if those else []

    def write_hashes(self, those: Sequence[tuple[str, dict[str, str], int]]) -> None:
        """Fields of hashes and the seconds that these live, in one request."""
        pipeline = self._client.pipeline()
        for name, fields, life_s in those:
            pipeline.hset(name, values=fields)
            pipeline.expire(name, life_s)
        if those:
            self._ask(pipeline.exec)

    def rename_fields(self, those: Sequence[tuple[str, str, str, str]]) -> None:
        """(hash, field, its value, new field): what the new one says already stays. One request."""
        pipeline = self._client.pipeline()
        for name, field, value, renamed in those:
            pipeline.hsetnx(name, renamed, value)
            pipeline.hdel(name, field)
        if those:
            self._ask(pipeline.exec)

    def scan_hash(
        self, name: str, count: int, match: str | None = None
    ) -> Iterator[dict[str, str]]:
        """A large hash, about ``count`` fields a request. A field may come twice while it grows."""
        cursor = 0
        while True:
            ask = partial(self._client.hscan, name, cursor, match, count)
            cursor, found = self._ask(ask)
            yield found
            if cursor == 0:
                return

    @staticmethod
    def _ask(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except UpstashError as error:
            raise LedgerUnavailableError(str(error)) from error


def _settle_call(request: Settle, config_version: str) -> _Call:
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


def _tier_line(name: str, tier: Tier) -> str:
    limits = [
        f"{'h' if limit.hard else 'e'}{limit.limit_usd}" if limit else "-"
        for limit in (tier.limits.get(window) for window in Window)
    ]
    return " ".join([name, str(tier.rank), tier.enforcement, *limits])
