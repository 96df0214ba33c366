"""What a seed draws: the clock's moves and the operations, over three configurations."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.movements import Hold
from tollkeeper_core.domain.periods import periods_at

from tests.faults.model import FaultModel
from tests.faults.operations import (
    TTL_MS,
    Charge,
    Check,
    Claims,
    Look,
    Operation,
    Prompt,
    Publish,
    Purchase,
    Settles,
    Subscribe,
)
from tests.support.ledger_model import DAY_MS

START_MS = 1_793_000_000_000  # 2026-10-26, days before a month's end
# Counters of a day are kept for 35; the model's for ever.
END_MS = START_MS + 33 * DAY_MS
CENT = 10_000_000
PROMPTS = ("p1", "p2")


def _limit(cents: int, *, hard: bool = False) -> dict[str, Any]:
    return {"limit_usd": f"{cents // 100}.{cents % 100:02d}", "hard": hard}


def _config(zone: str, daily: int, *, opened: bool) -> Config:
    tiers: dict[str, Any] = {
        "free": {"limits": {"daily": _limit(daily), "weekly": _limit(90), "monthly": _limit(200)}},
        "capped": {"rank": 1, "limits": {"daily": _limit(70, hard=True), "monthly": _limit(100)}},
        "pro": {"rank": 5, "enforcement": "soft", "limits": {"monthly": _limit(300)}},
    }
    if opened:
        tiers["open"] = {"rank": 9, "limits": {}}
    return Config.model_validate({"settings": {"time_zone": zone}, "tiers": tiers})


CONFIGS = (
    _config("UTC", 50, opened=True),
    _config("America/New_York", 50, opened=True),
    _config("Europe/Berlin", 20, opened=False),
)


class Draw:
    """Draws for one run: ``operation`` for a product that has read ``config``. The model tells what
    would fit, so that amounts meet the edge.
    """

    def __init__(self, random: Random, model: FaultModel) -> None:
        self.random = random
        self.model = model
        self.operations: list[Operation] = []
        self.now_ms = START_MS
        self.seen_ms = {START_MS}

    def pass_time(self) -> None:
        random = self.random
        if random.random() < 0.55:
            return
        day = datetime.fromtimestamp(self.now_ms // 1000, UTC).replace(hour=0, minute=0, second=0)
        edge = random.choice([-1, 0, 1])
        kind = random.random()
        if kind < 0.45:
            then_ms = self.now_ms + random.choice([1, 1_000, 60_000])
        elif kind < 0.75:
            then_ms = self.now_ms + TTL_MS + edge
        elif kind < 0.95:
            then_ms = _ms(day + timedelta(days=1)) + edge
        else:
            then_ms = _ms((day.replace(day=1) + timedelta(days=32)).replace(day=1)) + edge
        if self.now_ms < then_ms < END_MS:
            self.now_ms = then_ms
            self.seen_ms.add(then_ms)

    def operation(self, config: int) -> Operation:
        random = self.random
        makers: list[tuple[int, Callable[[], Operation]]] = [
            (30, lambda: self.check(config)),
            (22, lambda: Settles((self.charge(),))),
            (10, self.batch),
            (10, self.purchase),
            (9, self.claim),
            (6, self.subscription),
            (5, self.publish),
            (5, lambda: Look(self.now_ms)),
            (3, lambda: Prompt(random.choice(PROMPTS))),
        ]
        (maker,) = random.choices([m for _, m in makers], [w for w, _ in makers])
        return maker()

    def amount(self) -> int:
        random = self.random
        return random.choice([0, 1, CENT, 50 * CENT, *(random.randint(0, 60 * CENT),) * 6])

    def check(self, config: int) -> Operation:
        said = self.random.choice([None, None, None, "free", "capped", "pro", "open"])
        amount = self.amount()
        if self.random.random() < 0.3:  # what fits, and one nano beside it
            periods = periods_at(CONFIGS[config].settings.calendar, self.now_ms)
            known = said if said in self.model.config.tiers else None
            fits = self.model.affordable(known, periods, self.now_ms)
            amount = max(fits + self.random.choice([-1, 0, 1]), 0) if fits < 1_000 * CENT else 1
        return Check(f"r{len(self.operations)}", amount, said)

    def charge(self, place: int = 0) -> Charge:
        rids = [o.rid for o in self.operations if isinstance(o, Check)]
        rid = self.random.choice(rids) if rids and self.random.random() < 0.8 else None
        return Charge(f"e{len(self.operations)}.{place}", self.amount(), rid, self.now_ms)

    def batch(self) -> Operation:
        """Some events, of which one may come twice, or had come before."""
        random = self.random
        charges = [self.charge(place) for place in range(random.randint(2, 5))]
        old = [c for o in self.operations if isinstance(o, Settles) for c in o.charges]
        charges.append(random.choice([*charges, *old]))
        random.shuffle(charges)
        return Settles(tuple(charges))

    def purchase(self) -> Operation:
        random = self.random
        early = [o.name for o in self.operations if isinstance(o, Claims)]
        bought = {o.name for o in self.operations if isinstance(o, Purchase)}
        names = [n for n in early if n not in bought] + [f"cs_{len(self.operations)}"]
        life = random.choice([None, None, 1, TTL_MS, DAY_MS, 40 * DAY_MS])
        granted = random.choice([random.randint(1, 20 * CENT), random.randint(1, 300 * CENT)])
        currency = random.choice(["usd", "eur"])
        expires_ms = self.now_ms + life if life else None
        return Purchase(
            names[0],
            granted,
            random.randint(1, 2_000),
            currency,
            expires_ms,
            random.choice([None, *PROMPTS]),
        )

    def claim(self) -> Operation:
        random = self.random
        bought = [o.name for o in self.operations if isinstance(o, Purchase)]
        name = random.choice([*bought, *bought, f"cs_early{len(self.operations)}"])
        version = (random.randint(0, 2), random.randint(0, 2))
        taken, hold = random.randint(0, 2_500), random.choice(list(Hold))
        return Claims(name, random.choice(["re_1", "re_2", "dp_1"]), version, taken, hold)

    def subscription(self) -> Operation:
        random = self.random
        tier, kind = random.choice(["capped", "pro", "open"]), random.choice([0, 1, 1, 1, 2])
        until = random.choice([0, TTL_MS, DAY_MS, 40 * DAY_MS]) if kind != 2 else 0
        name, version = random.choice(["sub_1", "sub_2"]), (random.randint(0, 5), kind)
        return Subscribe(
            name,
            tier,
            self.now_ms + until if until else 0,
            version,
            random.choice([None, *PROMPTS]),
        )

    def publish(self) -> Operation:
        return Publish(self.random.randrange(len(CONFIGS)), self.now_ms)


def _ms(at: datetime) -> int:
    return int(at.timestamp()) * 1000
