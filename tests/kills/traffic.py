"""Usage by seed: what is sent, and what it must have cost in the end."""

import json
from collections import Counter
from random import Random

from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import Reserve
from tollkeeper_core.domain.movements import Grant, Granted
from tollkeeper_core.domain.periods import Calendar, periods_at

NOON_MS = 1_795_608_000_000  # 2026-11-25T12:00:00Z
DAY_MS = 86_400_000
NANO = 10**9
USERS = ("ada", "bob", "c}:e:{d", "ä b", "eve")
#: No hold expires while a run lasts.
_HOLD_MS = 30 * DAY_MS
_TWICE = 0.15

#: Low enough that allowance, credits and overrun all take part.
CONFIG = Config.model_validate({
    "tiers": {
        "free": {"limits": {"daily": {"limit_usd": "1.50"}, "monthly": {"limit_usd": "4.00"}}}
    }
})  # fmt: skip


class Traffic:
    """``costs``: nano by event; ``days``: nano by user and day. What was sent twice counts once."""

    def __init__(self, store: RedisStore, random: Random) -> None:
        self._store = store
        self._random = random
        store.publish(CONFIG, NOON_MS)
        loaded = store.load()
        assert loaded is not None
        self._version = loaded[0]
        self._again: list[str] = []
        self.costs: dict[tuple[str, str], int] = {}
        self.days: Counter[tuple[str, str]] = Counter()
        self.twice = 0

    def buy(self) -> list[Granted]:
        """Some credits for most users; two lots expire while the run lasts."""
        lots = [(user, n) for user in USERS[1:] for n in range(3)]
        return [
            self._store.grant(
                Grant(
                    user_id=user,
                    purchase_id=f"cs_{USERS.index(user)}_{n}",
                    pack="starter",
                    granted_nano=self._random.randrange(1, 3 * NANO),
                    paid_minor=500,
                    currency="usd",
                    expires_ms=NOON_MS + DAY_MS if n == 2 else None,
                    prompt_id=None,
                    now_ms=NOON_MS,
                )
            )
            for user, n in lots
        ]

    def next(self, count: int) -> list[str]:
        """Bodies, shuffled: new events, and a second copy of some, at once or later."""
        bodies = [self._event() for _ in range(count)]
        copies = [body for body in bodies if self._random.random() < _TWICE]
        self.twice += len(copies)
        self._random.shuffle(copies)
        half = len(copies) // 2
        out = bodies + copies[:half] + self._again
        self._again = copies[half:]
        self._random.shuffle(out)
        return out

    def _event(self) -> str:
        random, number = self._random, len(self.costs)
        user, event_id = random.choice(USERS), f"e{number}"
        at_ms = NOON_MS + random.randrange(3 * DAY_MS)
        cost = random.choice((0, 1, random.randrange(1, NANO // 20), random.randrange(NANO // 20)))
        self.costs[user, event_id] = cost
        self.days[user, periods_at(Calendar(), at_ms).daily.id] += cost
        event: dict[str, object] = {"event_id": event_id, "user_id": user}
        if cost:
            event["cost_usd"] = f"{cost // NANO}.{cost % NANO:09d}"
        else:
            event["status"] = "error"
        if random.random() < 0.5:
            event["reservation_id"] = self._reserve(user, f"r{number}", cost, at_ms)
        return json.dumps({"received_ms": at_ms, "event": event})

    def _reserve(self, user: str, rid: str, cost: int, at_ms: int) -> str:
        """Held or refused; a refused call may still have been made, and names its reservation."""
        periods = periods_at(Calendar(), at_ms)
        amount = cost + self._random.randrange(NANO // 50)
        self._store.reserve(
            Reserve(user, rid, amount, None, periods, at_ms, at_ms + _HOLD_MS), self._version
        )
        return rid

    def held_nano(self) -> int:
        """What is held of all users, on every day that had traffic."""
        held = 0
        for user in USERS:
            for day in range(4):
                now_ms = NOON_MS + day * DAY_MS
                standing = self._store.read(
                    user, None, periods_at(Calendar(), now_ms), now_ms, self._version
                )
                held += standing.held_credits_nano
                held += sum(c.held_total_nano for c in standing.counters.values())
        return held
