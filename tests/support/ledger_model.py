"""The ledger in plain Python, written from the design and not from the scripts.

It keeps whole histories (every call, every hold) and computes each figure from them anew, where
the scripts keep running sums: two ways to be wrong that do not agree by accident.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

from tollkeeper_core.domain.config import Config, Tier
from tollkeeper_core.domain.periods import Periods, Window, periods_at

DAY_MS = 86_400_000
SETTLED_MS = 16 * DAY_MS
INFINITE = float("inf")


@dataclass
class Hold:
    allowance: int
    credits: int
    periods: tuple[str, ...]
    month: frozenset[str]
    expires_ms: int
    said: str | None
    open: bool


@dataclass(frozen=True)
class Told:
    """What a check told of a window: in which period, which part of which limit."""

    period: str
    part: int
    limit: int


@dataclass
class Charge:
    cost: int
    allowance: int
    overrun: int
    lots: dict[str, int]
    periods: tuple[str, ...]
    expired: dict[str, int]
    begun: set[str]


@dataclass
class ModelLot:
    id: str
    granted: int
    paid: int
    currency: str
    expires_ms: int | None
    at_ms: int
    fresh_until_ms: int | None = None
    fresh: int = 0
    repaid: int = 0
    used: int = 0
    expired: int = 0
    moved: int = 0
    frozen: bool = False
    led: bool = False

    @property
    def remaining(self) -> int:
        return self.granted - self.repaid - self.used - self.expired + self.moved

    def alive(self, now_ms: int) -> bool:
        return self.expires_ms is None or self.expires_ms > now_ms

    def left(self, now_ms: int) -> int:
        """What may be used."""
        if self.frozen or not self.alive(now_ms):
            return 0
        if self.fresh_until_ms is None or now_ms >= self.fresh_until_ms:
            return self.remaining
        age = Fraction(max(now_ms - self.at_ms, 0), self.fresh_until_ms - self.at_ms)
        closed = self.granted - self.fresh - floor((self.granted - self.fresh) * age)
        return max(self.remaining - closed, 0)


@dataclass
class Effect:
    """What one word on a claim did: by lot, and what it added to the debt and to the refunds."""

    lots: dict[str, int]
    owed: int
    revoked: int
    refunded: int
    frozen: bool


Word = tuple[tuple[int, int], int, int]
#: For each window the ids of the periods whose calls are in it.
Windows = tuple[Iterable[str], ...]


def windows(ids: tuple[str, ...], month: frozenset[str]) -> Windows:
    return ({ids[0]}, {ids[1]}, month)


NOTHING = Effect({}, 0, 0, 0, frozen=False)


@dataclass
class UserModel:
    """One user. ``config`` may be replaced at any time."""

    config: Config
    said: str | None = None
    holds: dict[str, Hold] = field(default_factory=dict)
    answers: dict[str, tuple[bool, int, int]] = field(default_factory=dict)
    warned: dict[str, dict[str, int]] = field(default_factory=dict)
    told: dict[Window, list[Told]] = field(default_factory=dict)
    charges: dict[str, Charge] = field(default_factory=dict)
    lots: dict[str, ModelLot] = field(default_factory=dict)
    subs: dict[str, tuple[tuple[int, int, int, str, int, str], str]] = field(default_factory=dict)
    days_count: dict[int, int] = field(default_factory=dict)
    claims: dict[str, dict[str, Word]] = field(default_factory=dict)
    effects: dict[str, dict[str, Effect]] = field(default_factory=dict)
    owed: int = 0

    # -- what counts ------------------------------------------------------------------------------

    def tier(self, said: str | None, now_ms: int) -> Tier:
        tiers = self.config.tiers
        app = said or self.said
        best = tiers.get(app or "") or tiers[self.config.settings.default_tier]
        # Of subscriptions with the same rank the order does not show: the limits are the tier's.
        for (_, kind, until_ms, _, _, _), name in self.subs.values():
            if kind != 2 and until_ms > now_ms and name in tiers and tiers[name].rank > best.rank:
                best = tiers[name]
        return best

    def anchor_day(self, periods: Periods, now_ms: int) -> int:
        """Of all days that count the one whose month began first; 0 where no plan runs."""
        calendar, at_ms = self.config.settings.calendar, periods.daily.starts_ms
        running = {
            day for (_, kind, until_ms, _, day, _), _ in self.subs.values()
            if kind != 2 and until_ms > now_ms and day
        }  # fmt: skip
        if not calendar.anchored or not running:
            return 0
        days = running | {day for day, until_ms in self.days_count.items() if until_ms > now_ms}
        return min(days, key=lambda day: (periods_at(calendar, at_ms, day).monthly.starts_ms, day))

    def month(self, periods: Periods, now_ms: int) -> frozenset[str]:
        """The period ids whose calls are in the month: its own, or those of its days."""
        return self.days_of(periods, self.anchor_day(periods, now_ms))

    def days_of(self, periods: Periods, day: int) -> frozenset[str]:
        calendar = self.config.settings.calendar
        if not day:
            return frozenset((periods.monthly.id,))
        month = periods_at(calendar, periods.daily.starts_ms, day).monthly
        names, at_ms = set(), month.starts_ms
        while at_ms < month.resets_ms:
            daily = periods_at(calendar, at_ms).daily
            names.add(daily.id)
            at_ms = daily.resets_ms
        return frozenset(names)

    def settled(self, ids: Iterable[str], *, total: bool) -> int:
        charges = [c for c in self.charges.values() if not set(ids).isdisjoint(c.periods)]
        return sum(c.cost if total else c.allowance for c in charges)

    def calls(self, ids: Iterable[str]) -> int:
        charges = [c for c in self.charges.values() if not set(ids).isdisjoint(c.periods)]
        return sum(c.cost > 0 for c in charges)

    def held(self, ids: Iterable[str], now_ms: int, *, total: bool) -> int:
        holds = [h for h in self.open_holds(now_ms) if not set(ids).isdisjoint(h.periods)]
        return sum(h.allowance + (h.credits if total else 0) for h in holds)

    def open_holds(self, now_ms: int) -> list[Hold]:
        return [h for h in self.holds.values() if h.open and h.expires_ms > now_ms]

    def credits_free(self, now_ms: int) -> int:
        left = sum(lot.left(now_ms) for lot in self.lots.values())
        return max(left - sum(h.credits for h in self.open_holds(now_ms)), 0)

    def allowance_left(self, tier: Tier, ids: Windows, now_ms: int) -> float:
        rooms = [
            tier.limits[w].limit_usd
            - self.settled(p, total=False)
            - self.held(p, now_ms, total=False)
            for w, p in zip(Window, ids, strict=True)
            if w in tier.limits and not tier.limits[w].hard
        ]
        return max(min(rooms, default=INFINITE), 0)

    def hard_left(self, tier: Tier, ids: Windows, now_ms: int) -> float:
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
        ids = windows(periods.ids, self.month(periods, now_ms))
        fits = min(
            self.hard_left(tier, ids, now_ms),
            self.allowance_left(tier, ids, now_ms) + self.credits_free(now_ms),
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
        month = self.month(periods, now_ms)
        ids = windows(periods.ids, month)
        a = self.allowance_left(tier, ids, now_ms)
        fits = min(self.hard_left(tier, ids, now_ms), a + self.credits_free(now_ms))
        admitted = amount <= fits or (tier.enforcement == "soft" and fits > 0)
        held = int(min(amount, max(fits, 0))) if admitted else 0
        by_allowance = int(min(held, a))
        self.answers[rid] = (admitted, held, int(min(max(fits, 0), 10**15)))
        self.warned[rid] = self.warn(tier, periods, month) if admitted else {}
        self.holds[rid] = Hold(
            by_allowance,
            held - by_allowance,
            periods.ids,
            month,
            now_ms + ttl_ms,
            said,
            open=admitted,
        )
        if admitted:
            self.said = said or self.said
        return self.answers[rid]

    def warn(self, tier: Tier, periods: Periods, month: frozenset[str]) -> dict[str, int]:
        """Each part of each limit once in its period, the highest that is reached; of a larger
        limit anew. What was told in another period counts no more."""
        news: dict[str, int] = {}
        for window, ids in zip(Window, windows(periods.ids, month), strict=True):
            period = min(ids)
            told = [each for each in self.told.get(window, []) if each.period == period]
            limit = tier.limits.get(window)
            if limit is not None and limit.limit_usd:
                used = Fraction(self.settled(ids, total=limit.hard), limit.limit_usd)
                part = max((p for p in (50, 80, 100) if used >= Fraction(p, 100)), default=0)
                larger = all(each.limit < limit.limit_usd for each in told)
                if part and (larger or part > told[-1].part):
                    told.append(Told(period, part, limit.limit_usd))
                    news[str(window)] = part
            self.told[window] = told
        return news

    def settle(
        self, event: str, cost: int, rid: str | None, periods: Periods, now_ms: int
    ) -> Charge:
        if event in self.charges:
            return self.charges[event]
        hold = self.holds.get(rid) if rid else None
        ids, said = (hold.periods, hold.said) if hold else (periods.ids, None)
        month = hold.month if hold else self.month(periods, now_ms)
        if hold:
            hold.open = False
        expired = {lot.id: lot.remaining for lot in self.lots.values() if not lot.alive(now_ms)}
        for name, amount in expired.items():
            self.lots[name].expired += amount
        known_said = said if said in self.config.tiers else None
        tier = self.tier(known_said, now_ms)
        left = self.allowance_left(tier, windows(ids, month), now_ms)
        by_allowance = int(min(cost, left))
        rest = min(cost - by_allowance, self.credits_free(now_ms))
        overrun = cost - by_allowance - rest
        burnt: dict[str, int] = {}
        for lot in self.in_burn_order():
            part = min(rest, lot.left(now_ms))
            if part:
                lot.used += part
                rest -= part
                burnt[lot.id] = part
        gone = {name: amount for name, amount in expired.items() if amount}
        begun = {name for name in burnt if self.lots[name].led and not self.was_used(name)}
        charge = Charge(cost, by_allowance + overrun, overrun, burnt, ids, gone, begun)
        self.charges[event] = charge
        return charge

    def was_used(self, lot: str) -> bool:
        return any(lot in charge.lots for charge in self.charges.values())

    def in_burn_order(self) -> list[ModelLot]:
        return sorted(self.lots.values(), key=lambda x: (x.expires_ms or INFINITE, x.at_ms, x.id))

    def grant(self, lot: ModelLot) -> ModelLot:
        if lot.id not in self.lots:
            lot.frozen = lot.id in self.claims
            lot.repaid = 0 if lot.frozen else min(self.owed, lot.granted)
            self.owed -= lot.repaid
            self.lots[lot.id] = lot
        return self.lots[lot.id]

    def claim(self, name: str, claim: str, word: Word, now_ms: int) -> Effect | None:
        """What the word did, the first time that it came; None where a newer one came before."""
        words = self.claims.setdefault(name, {})
        told = self.effects.setdefault(name, {})
        key = f"{claim} {word}"
        if key in told:
            return told[key]
        if claim in words and word < words[claim]:
            return None
        words[claim] = word
        told[key] = self._claims_take_effect(name, now_ms) if name in self.lots else NOTHING
        return told[key]

    def claim_again(self, name: str, now_ms: int) -> Effect | None:
        """The claims that came before their purchase; None where there is nothing to do."""
        told = self.effects.setdefault(name, {})
        if "granted" not in told:
            was_frozen = self.lots[name].frozen
            effect = self._claims_take_effect(name, now_ms)
            if effect == Effect({}, 0, 0, 0, effect.frozen) and effect.frozen == was_frozen:
                return None
            told["granted"] = effect
        return told["granted"]

    def _claims_take_effect(self, name: str, now_ms: int) -> Effect:
        """Of history: what was revoked before is what all effects together revoked."""
        lot, words = self.lots[name], self.claims[name].values()
        before, owed_before = self.effects[name].values(), self.owed
        remaining = {each.id: each.remaining for each in self.lots.values()}
        taken = min(sum(word[1] for word in words), lot.paid)
        target = floor(lot.granted * Fraction(taken, lot.paid)) if lot.paid else 0
        more = target - sum(effect.revoked for effect in before)
        refunded = taken - sum(effect.refunded for effect in before)
        if more >= 0:
            part = min(lot.remaining, more)
            lot.moved -= part
            self.owed += more - part
        else:
            pays = min(self.owed, -more)
            self.owed -= pays
            lot.moved += -more - pays
        holds = {word[2] for word in words}
        whole = lot.paid > 0 and taken == lot.paid
        lot.frozen = 3 in holds or (2 in holds and 1 not in holds and not whole)
        for each in self.in_burn_order():
            if not each.frozen and each.alive(now_ms):
                part = min(self.owed, each.remaining)
                each.moved -= part
                self.owed -= part
        moved = {n: self.lots[n].remaining - was for n, was in remaining.items()}
        return Effect(
            {n: amount for n, amount in moved.items() if amount},
            self.owed - owed_before,
            more,
            refunded,
            lot.frozen,
        )

    def subscribe(
        self,
        sub: str,
        tier: str,
        until_ms: int,
        version: tuple[int, int],
        day: int = 0,
        month_until_ms: int = 0,
        following: str = "",
    ) -> None:
        if month_until_ms:
            self.days_count[day] = max(self.days_count.get(day, 0), month_until_ms)
        known = self.subs.get(sub)
        new = (*version, until_ms, tier, day, following)
        if known and (known[0][1] == 2 or (version[1] != 2 and new <= known[0])):
            return
        self.subs[sub] = (new, tier)
