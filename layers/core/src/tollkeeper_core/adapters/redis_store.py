"""The ledger and the configuration in Redis: scripts called, their answers read."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, cast

from upstash_redis.errors import UpstashError

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.scripts import Script, script
from tollkeeper_core.domain.config import Config, Tier
from tollkeeper_core.domain.ledger import (
    Counters,
    Grant,
    Granted,
    LedgerError,
    LedgerUnavailableError,
    Lot,
    NothingPublishedError,
    PromptState,
    Reservation,
    Reserve,
    Revoke,
    Revoked,
    Settle,
    Settlement,
    StaleConfigError,
    Standing,
    SubscriptionState,
    UnknownTierError,
    WindowLimit,
)
from tollkeeper_core.domain.periods import Periods, Window, cutoffs

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
            ],
        )
        fields = _checked(answer, request.tier)
        return Reservation(
            admitted=fields["admitted"] == "1",
            reservation_id=fields["id"],
            amount_nano=int(fields["amount"]),
            held_nano=int(fields["hold"]),
            affordable_nano=int(fields["affordable"]),
            expires_ms=int(fields["expires"]),
            now_ms=int(fields["now"]),
            period_ids=_ids(fields["periods"]),
            standing=_standing(fields),
        )

    def settle(
        self, requests: Sequence[Settle], config_version: str
    ) -> list[Settlement | LedgerError]:
        """See ports.Ledger."""
        answers = self._run_many([_settle_call(r, config_version) for r in requests])
        return [_settlement(r, a) for r, a in zip(requests, answers, strict=True)]

    def grant(self, request: Grant) -> Granted:
        """See ports.Ledger."""
        user = request.user_id
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
                request.currency,
                str(request.expires_ms or 0),
                "1" if request.prompt_id else "0",
                str(keys.PROMPT_S),
            ],
        )
        return granted_of(user, _checked(answer, None))

    def revoke(self, request: Revoke) -> Revoked | None:
        """See ports.Ledger. Two requests: the purchase's terms never change between them."""
        fields = self._revoke(request, "")
        if fields["status"] == "terms":
            refunded = min(request.refunded_minor, int(fields["paid"]))
            target = int(fields["granted"]) * refunded // int(fields["paid"])
            fields = self._revoke(request, str(target))
        if fields["status"] != "ok":
            return None
        return revoked_of(request.user_id, fields)

    def _revoke(self, request: Revoke, target: str) -> dict[str, str]:
        user = request.user_id
        names = [keys.user(user), keys.purchases(user), keys.CONFIG]
        arguments = [str(request.now_ms), request.purchase_id, str(request.refunded_minor), target]
        return _checked(self._run(script("revoke"), names, arguments), None)

    def apply_subscription(self, state: SubscriptionState) -> None:
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
            ],
        )
        if answer == -1:
            raise NothingPublishedError

    def read(
        self, user_id: str, tier: str | None, periods: Periods, now_ms: int, config_version: str
    ) -> Standing:
        """See ports.Ledger."""
        answer = self._run(
            script("read"),
            [keys.CONFIG, keys.user(user_id), keys.holds(user_id)],
            [config_version, str(now_ms), tier or "", *periods.ids],
        )
        return _standing(_checked(answer, tier))

    def prompt_state(self, user_id: str, prompt_id: str) -> PromptState:
        """See ports.Ledger."""
        found = self._ask(lambda: self._client.get(keys.prompt(user_id, prompt_id)))
        return PromptState(found) if found else PromptState.OPEN

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

    def _run_many(self, calls: Sequence[_Call]) -> list[Any]:
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
        ],
    )


def _settlement(request: Settle, answer: Any) -> Settlement | LedgerError:
    if isinstance(answer, UpstashError):
        return LedgerUnavailableError(f"settle: {answer}")
    try:
        fields = _checked(answer, None)
    except LedgerError as error:
        return error
    return Settlement(
        user_id=request.user_id,
        event_id=fields["event"],
        cost_nano=int(fields["cost"]),
        allowance_nano=int(fields["allowance"]),
        overrun_nano=int(fields["overrun"]),
        lots_nano=_amounts(fields["burnt"]),
        period_ids=_ids(fields["periods"]),
        tier=fields["tier"],
        said_tier=fields["said"],
        expired_nano=_amounts(fields["expired"]),
        settled_ms=int(fields["settled"]),
        replayed=fields["replayed"] == "1",
    )


def granted_of(user_id: str, fields: dict[str, str]) -> Granted:
    """A grant's answer, as its script gives and keeps it."""
    return Granted(
        user_id=user_id,
        purchase_id=fields["purchase"],
        pack=fields["pack"],
        granted_nano=int(fields["granted"]),
        paid_minor=int(fields["paid"]),
        currency=fields["currency"],
        expires_ms=int(fields["expires"]) or None,
        granted_ms=int(fields["at"]),
        repaid_nano=int(fields["repaid"]),
        refunded_minor=int(fields["refunded"]),
        replayed=fields["replayed"] == "1",
    )


def revoked_of(user_id: str, fields: dict[str, str]) -> Revoked:
    """A revocation's answer, as its script gives and keeps it."""
    return Revoked(
        user_id=user_id,
        purchase_id=fields["purchase"],
        pack=fields["pack"],
        refunded_minor=int(fields["refunded"]),
        revoked_nano=int(fields["revoked"]),
        from_lot_nano=int(fields["from_lot"]),
        owed_nano=int(fields["owed"]),
        revoked_ms=int(fields["at"]),
        replayed=fields["replayed"] == "1",
    )


def _amounts(text: str) -> dict[str, int]:
    return {lot: int(nano) for lot, nano in (part.split("=") for part in text.split(";") if part)}


def _fields(answer: Any) -> dict[str, str]:
    # Redis of Lua answers an empty table as an empty list: "" in a script stays "".
    return dict(zip(answer[::2], answer[1::2], strict=True))


def _checked(answer: Any, tier: str | None) -> dict[str, str]:
    fields = _fields(answer)
    if fields["status"] == "stale":
        raise StaleConfigError("the configuration changed")
    if fields["status"] == "empty":
        raise NothingPublishedError
    if fields["status"] == "unknown_tier":
        raise UnknownTierError(tier or "")
    return fields


def _ids(text: str) -> tuple[str, str, str]:
    day, week, month = text.split(" ")
    return day, week, month


def _standing(fields: dict[str, str]) -> Standing:
    limits = zip(Window, fields["limits"].split(" "), strict=True)
    counters = zip(Window, fields["used"].split(","), strict=True)
    return Standing(
        tier=fields["tier"],
        limits={w: WindowLimit(int(t[1:]), t[0] == "h") for w, t in limits if t != "-"},
        counters={w: Counters(*(int(n) for n in text.split(" "))) for w, text in counters},
        lots=tuple(lot_of(text) for text in fields["lots"].split(";") if text),
        held_credits_nano=int(fields["held"]),
    )


def lot_of(text: str) -> Lot:
    """One lot of the state hash (lua/state.lua)."""
    lot_id, granted, remaining, paid, currency, expires, at = text.split(",")
    return Lot(
        id=lot_id,
        granted_nano=int(granted),
        remaining_nano=int(remaining),
        paid_minor=int(paid),
        currency=currency,
        expires_ms=int(expires) or None,
        granted_ms=int(at),
    )


def _tier_line(name: str, tier: Tier) -> str:
    limits = [
        f"{'h' if limit.hard else 'e'}{limit.limit_usd}" if limit else "-"
        for limit in (tier.limits.get(window) for window in Window)
    ]
    return " ".join([name, str(tier.rank), tier.enforcement, *limits])
