"""What the app's API asks of Redis: may this call be made, where does a user stand."""

from typing import cast

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_answers import checked, reservation_of, standing_of
from tollkeeper_core.adapters.redis_calls import RedisCalls
from tollkeeper_core.adapters.scripts import script
from tollkeeper_core.domain.ledger import Reservation, Reserve, Standing
from tollkeeper_core.domain.periods import Periods, cutoffs
from tollkeeper_core.domain.rules import Rules


class RedisChecks(RedisCalls):
    """Implements the ports Limits and prices.RateStore."""

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

    def load_rules(self) -> tuple[str, Rules] | None:
        """(version, rules), or None where no configuration was published yet."""
        found = self._published()
        return found and (found[0], Rules.of_snapshot(found[1]))

    def _published(self) -> tuple[str, str] | None:
        found = self._ask(lambda: self._client.hmget(keys.CONFIG, "version", "snapshot"))
        version, snapshot = found
        return None if version is None or snapshot is None else (version, snapshot)

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
