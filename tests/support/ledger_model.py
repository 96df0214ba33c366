"""The ledger in plain Python, written from the design and not from the scripts.

It keeps whole histories (every call, every hold) and computes each figure from them anew, where
the scripts keep running sums: two ways to be wrong that do not agree by accident.
"""

from dataclasses import dataclass, field

from tollkeeper_core.domain.config import Config, Tier
from tollkeeper_core.domain.periods import Periods, Window

DAY_MS = 86_400_000
SETTLED_MS = 16 * DAY_MS
INFINITE = float("inf")


@dataclass
class Hold:
    allowance: int
    credits: int
    periods: tuple[str, ...]
    expires_ms: int
    said: str | None
    open: bool


@dataclass
class Charge:
    cost: int
    allowance: int
    overrun: int
    lots: dict[str, int]
    periods: tuple[str, ...]
    expired: dict[str, int]


@dataclass
class ModelLot:
    id: str
    granted: int
    paid: int
    currency: str
    expires_ms: int | None
    at_ms: int
    repaid: int = 0
    used: int = 0
    expired: int = 0
    taken: int = 0
    revoked: int = 0
    refunded: int = 0

    @property
    def remaining(self) -> int:
        return self.granted - self.repaid - self.used - self.expired - self.taken

    def alive(self, now_ms: int) -> bool:
        return self.expires_ms is None or self.expires_ms > now_ms

    def left(self, now_ms: int) -> int:
        return self.remaining if self.alive(now_ms) else 0


@dataclass
class UserModel:
    """One user. ``config`` may be replaced at any time."""

    config: Config
    said: str | None = None
    holds: dict[str, Hold] = field(default_factory=dict)
    answers: dict[str, tuple[bool, int, int]] = field(default_factory=dict)
    charges: dict[str, Charge] = field(default_factory=dict)
    lots: dict[str, ModelLot] = field(default_factory=dict)
    subs: dict[str, tuple[tuple[int, int, int, str], str]] = field(default_factory=dict)
    early: dict[str, int] = field(default_factory=dict)
    owed: int = 0

    # -- what counts ------------------------------------------------------------------------------

    def tier(self, said: str | None, now_ms: int) -> Tier:
        tiers = self.config.tiers
        app = said or self.said
        best = tiers.get(app or "") or tiers[self.config.settings.default_tier]
        # Of subscriptions with the same rank the order does not show: the limits are the tier's.
        for (_, kind, until_ms, _), name in self.subs.values():
            if kind != 2 and until_ms > now_ms and name in tiers and tiers[name].rank > best.rank:
                best = tiers[name]
        return best

    def settled(self, period: str, *, total: bool) -> int:
        charges = [c for c in self.charges.values() if period in c.periods]
        return sum(c.cost if total else c.allowance for c in charges)

    def held(self, period: str, now_ms: int, *, total: bool) -> int:
        holds = [h for h in self.open_holds(now_ms) if period in h.periods]
        return sum(h.allowance + (h.credits if total else 0) for h in holds)

    def open_holds(self, now_ms: int) -> list[Hold]:
        return [h for h in self.holds.values() if h.open and h.expires_ms > now_ms]

    def credits_free(self, now_ms: int) -> int:
        left = sum(lot.left(now_ms) for lot in self.lots.values())
        return max(left - sum(h.credits for h in self.open_holds(now_ms)), 0)

    def allowance_left(self, tier: Tier, ids: tuple[str, ...], now_ms: int) -> float:
        rooms = [
            tier.limits[w].limit_usd
            - self.settled(p, total=False)
            - self.held(p, now_ms, total=False)
            for w, p in zip(Window, ids, strict=True)
            if w in tier.limits and not tier.limits[w].hard
        ]
        return max(min(rooms, default=INFINITE), 0)

    def hard_left(self, tier: Tier, ids: tuple[str, ...], now_ms: int) -> float:
        rooms = [
            tier.limits[w].limit_usd
            - self.settled(p, total=True)
            - self.held(p, now_ms, total=True)
            for w, p in zip(Window, ids, strict=True)
            if w in tier.limits and tier.limits[w].hard
        ]
        return min(rooms, default=INFINITE)

    def affordable(self, said: str | None, periods: Periods, now_ms: int) -> int:
        tier = self.tier(said, now_ms)
        fits = min(
            self.hard_left(tier, periods.ids, now_ms),
            self.allowance_left(tier, periods.ids, now_ms) + self.credits_free(now_ms),
        )
        return int(min(max(fits, 0), 10**15))

    # -- what happens -----------------------------------------------------------------------------

    def reserve(
        self, rid: str, amount: int, said: str | None, periods: Periods, now_ms: int, ttl_ms: int
    ) -> tuple[bool, int, int]:
        """(admitted, held, affordable)."""
        if rid in self.answers:
            return self.answers[rid]
        tier = self.tier(said, now_ms)
        a = self.allowance_left(tier, periods.ids, now_ms)
        fits = min(self.hard_left(tier, periods.ids, now_ms), a + self.credits_free(now_ms))
        admitted = amount <= fits or (tier.enforcement == "soft" and fits > 0)
        held = int(min(amount, max(fits, 0))) if admitted else 0
        by_allowance = int(min(held, a))
        self.answers[rid] = (admitted, held, int(min(max(fits, 0), 10**15)))
        self.holds[rid] = Hold(
            by_allowance, held - by_allowance, periods.ids, now_ms + ttl_ms, said, open=admitted
        )
        if admitted:
            self.said = said or self.said
        return self.answers[rid]

    def settle(
        self, event: str, cost: int, rid: str | None, periods: Periods, now_ms: int
    ) -> Charge:
        if event in self.charges:
            return self.charges[event]
        hold = self.holds.get(rid) if rid else None
        ids, said = (hold.periods, hold.said) if hold else (periods.ids, None)
        if hold:
            hold.open = False
        expired = {lot.id: lot.remaining for lot in self.lots.values() if not lot.alive(now_ms)}
        for name, amount in expired.items():
            self.lots[name].expired += amount
        known_said = said if said in self.config.tiers else None
        tier = self.tier(known_said, now_ms)
        by_allowance = int(min(cost, self.allowance_left(tier, ids, now_ms)))
        rest = min(cost - by_allowance, self.credits_free(now_ms))
        overrun = cost - by_allowance - rest
        burnt: dict[str, int] = {}
        for lot in sorted(
            self.lots.values(), key=lambda x: (x.expires_ms or INFINITE, x.at_ms, x.id)
        ):
            part = min(rest, lot.left(now_ms))
            if part:
                lot.used += part
                rest -= part
                burnt[lot.id] = part
        gone = {name: amount for name, amount in expired.items() if amount}
        charge = Charge(cost, by_allowance + overrun, overrun, burnt, ids, gone)
        self.charges[event] = charge
        return charge

    def grant(self, lot: ModelLot) -> ModelLot:
        if lot.id not in self.lots:
            lot.repaid = min(self.owed, lot.granted)
            self.owed -= lot.repaid
            self.lots[lot.id] = lot
        return self.lots[lot.id]

    def revoke(self, name: str, refunded: int) -> tuple[int, int] | None:
        """(from the lot, owed) that this total takes, or None where it takes nothing."""
        lot = self.lots.get(name)
        if lot is None:
            self.early[name] = max(refunded, self.early.get(name, 0))
            return None
        target = lot.granted * min(refunded, lot.paid) // lot.paid
        more = target - lot.revoked
        if more <= 0:
            return None
        from_lot = min(lot.remaining, more)
        lot.taken += from_lot
        lot.revoked = target
        self.owed += more - from_lot
        return from_lot, more - from_lot

    def subscribe(self, sub: str, tier: str, until_ms: int, version: tuple[int, int]) -> None:
        known = self.subs.get(sub)
        new = (*version, until_ms, tier)
        if known and (known[0][1] == 2 or (version[1] != 2 and new <= known[0])):
            return
        self.subs[sub] = (new, tier)
