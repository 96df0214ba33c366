"""All that is kept of one user, as Redis has it and as the record adds it up to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tollkeeper_core.domain.ledger import Lot
from tollkeeper_core.domain.movements import Claimed, FirstPayment, Granted, Hold


@dataclass(frozen=True, slots=True)
class Spent:
    """What is settled in one period: by the allowance, in all, and of how many calls."""

    allowance_nano: int = 0
    total_nano: int = 0
    calls: int = 0

    @property
    def counts_calls(self) -> bool:
        """Redis does not count the calls of a period that it began before it counted any."""
        return self.calls > 0 or self.total_nano == 0


@dataclass(frozen=True, slots=True)
class Subscription:
    """The newest word on one subscription. ``version``: event's epoch seconds, kind (2: ended)."""

    version: tuple[int, int]
    until_ms: int
    tier: str
    plan: str
    anchor_day: int = 0
    next_plan: str = ""

    @property
    def ended(self) -> bool:
        """Over for good: Stripe never revives one."""
        return self.version[1] == 2

    def counts_over(self, other: "Subscription") -> bool:
        """The order of lua/subscribe.lua."""
        if self.ended or other.ended:
            return self.ended and (not other.ended or self._order > other._order)
        return self._order > other._order

    @property
    def _order(self) -> tuple[int, int, int, str, str, int, str]:
        what = (self.tier, self.plan, self.anchor_day, self.next_plan)
        return (*self.version, self.until_ms, *what)


@dataclass(frozen=True, slots=True, order=True)
class Word:
    """The newest on one claim; of two the larger counts, in the order of lua/claim.lua."""

    version: tuple[int, int]
    taken_minor: int
    hold: Hold


@dataclass(frozen=True, slots=True)
class InEffect:
    """What all claims on a purchase have taken: of what was paid, and of the credits."""

    taken_minor: int = 0
    revoked_nano: int = 0


@dataclass(slots=True)
class UserState:
    """Everything that lives on about a user, without what is under way.

    ``spent``: by period id. ``lots``: in burn order, those with something left. ``purchases`` by
    id; ``claims`` by purchase, which may come later, and claim; ``in_effect`` by purchase;
    ``claimed``: what each word did, by purchase and word. ``settled_ms``: the last settlement or 0.
    ``customer_id``: who they are at the payment provider. ``months``: until when a billing day
    counts (SubscriptionState), by day. ``top_up``: see top_ups.TopUp. ``unused``: purchases with a
    cause of which no call has used anything, and that have not lapsed. ``first_payments``: by
    prompt.
    """

    user_id: str
    spent: dict[str, Spent] = field(default_factory=dict)
    lots: tuple[Lot, ...] = ()
    owed_nano: int = 0
    said_tier: str = ""
    settled_ms: int = 0
    purchases: dict[str, Granted] = field(default_factory=dict)
    claims: dict[str, dict[str, Word]] = field(default_factory=dict)
    in_effect: dict[str, InEffect] = field(default_factory=dict)
    claimed: dict[tuple[str, str], Claimed] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    customer_id: str | None = None
    months: dict[int, int] = field(default_factory=dict)
    top_up: Mapping[str, str] | None = None
    unused: set[str] = field(default_factory=set)
    first_payments: dict[str, FirstPayment] = field(default_factory=dict)

    @property
    def bought(self) -> bool:
        """A buyer is never forgotten for being away."""
        return bool(self.purchases or self.subscriptions or self.first_payments)

    @property
    def empty(self) -> bool:
        """Nothing that a rebuild would have to write."""
        spent = any(each != Spent() for each in self.spent.values())
        return not (spent or self.bought or self.claims or self.owed_nano)

    def is_frozen(self, purchase: Granted) -> bool:
        """Whether nothing of it may be used: see Hold, and Granted.claimed."""
        words = self.claims.get(purchase.purchase_id, {}).values()
        holds = {word.hold for word in words}
        taken = sum(word.taken_minor for word in words)
        whole = 0 < purchase.paid_minor <= taken
        warned = Hold.WARNING in holds and Hold.RELEASED not in holds and not whole
        waiting = bool(words) and purchase.purchase_id not in self.in_effect
        return waiting or warned or Hold.OPEN in holds
