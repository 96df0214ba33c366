"""From postings back to what they say: the inverse of domain/postings.py, for one user.

Sets add up in any order. Where order decides (the tier said last, the newest word on a
subscription), what decides is in the set itself, so that any order gives the same state.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import groupby
from typing import Any

from tollkeeper_core.domain.books import Entry, EntryKind, entry_of
from tollkeeper_core.domain.ledger import Lot
from tollkeeper_core.domain.movements import Cause, Claimed, FirstPayment, Granted, Hold, Settlement
from tollkeeper_core.domain.postings import EXPIRED_SET, Posting
from tollkeeper_core.domain.transactions import utc_month


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


def sets_of(postings: Iterable[Posting]) -> Iterator[list[Posting]]:
    """The sets among postings that come sorted by id, each in the order of its lines.

    A call's own set and that of the lots found expired with it are one answer, and come together.
    """
    for _, lines in groupby(postings, lambda p: p.set_id.removesuffix(EXPIRED_SET)):
        yield sorted(lines, key=lambda p: int(p.id.rpartition(":")[2]))


def unbalanced(lines: Sequence[Posting]) -> bool:
    """Whether a set breaks the rule of double entry: zero for each asset."""
    sums: dict[str, int] = {}
    for line in lines:
        sums[line.asset] = sums.get(line.asset, 0) + line.amount
    return any(sums.values())


def settlement_of(lines: Sequence[Posting]) -> Settlement | None:
    """The answer that these lines (see ``sets_of``) came from; None where it is another's.

    None as well for a call that cost nothing: it has no set but that of what it found expired.
    """
    usage = next((p for p in lines if p.kind == "settle" and p.terms), None)
    if usage is None:
        return None
    allowance_nano = 0
    burnt: dict[str, int] = {}
    expired: dict[str, int] = {}
    for line in lines:
        kind, _, lot = _account(line)
        if kind == "allowance":
            allowance_nano -= line.amount
        elif kind == "lot":
            (burnt if line.kind == "settle" else expired)[lot] = -line.amount
    day, week, month = usage.period_ids
    return Settlement(
        user_id=usage.user_id,
        event_id=usage.terms["event_id"],
        cost_nano=usage.amount,
        allowance_nano=allowance_nano,
        overrun_nano=usage.terms["overrun_nano"],
        lots_nano=burnt,
        period_ids=(day, week, month),
        tier=usage.terms["tier"],
        said_tier=usage.terms["said_tier"],
        expired_nano=expired,
        settled_ms=usage.at_ms,
        replayed=True,
        begun=tuple(usage.terms.get("begun_ids", ())),
    )


@dataclass
class UserFold:
    """Adds up one user's sets. Keeps sums, not sets: memory does not grow with a user's calls.

    ``cutoffs``: period ids (day, week, month) before which spending is no longer kept.
    """

    user_id: str
    cutoffs: tuple[str, str, str]
    problems: list[str] = field(default_factory=list)
    _books: Counter[tuple[str, EntryKind, str]] = field(default_factory=Counter)
    _transactions: list[tuple[str, str]] = field(default_factory=list)
    _state: UserState = field(init=False)
    _lots_nano: dict[str, int] = field(default_factory=dict, init=False)
    _used: set[str] = field(default_factory=set, init=False)
    _said: tuple[int, str, str] = field(default=(0, "", ""), init=False)
    _customer: tuple[int, str] = field(default=(0, ""), init=False)

    def __post_init__(self) -> None:
        self._state = UserState(self.user_id)

    def add(self, lines: Sequence[Posting]) -> None:
        """One set (see ``sets_of``)."""
        if unbalanced(lines):
            self.problems.append(f"the set {lines[0].set_id} does not sum to zero")
        for line in lines:
            self._add_amount(line)
            if (entry := entry_of(line)) is not None:
                self._books[entry.month, entry.kind, entry.of] += entry.amount
        with_terms = next((p for p in lines if p.terms), None)
        if with_terms is not None:
            self._add_terms(with_terms, lines)

    def books(self) -> list[Entry]:
        """What the user's sets come to in the owner's books."""
        return [
            Entry(month, kind, of, self.user_id, amount)
            for (month, kind, of), amount in self._books.items()
        ]

    def transactions(self) -> list[tuple[str, str]]:
        """Stripe's that are in the books: UTC month and id."""
        return self._transactions

    def result(self) -> UserState:
        """The state after all that was added."""
        state = self._state
        known = state.purchases
        lots = [
            _lot(known[i], nano, frozen=state.is_frozen(known[i]))
            for i, nano in self._lots_nano.items()
            if nano and i in known
        ]
        state.lots = tuple(sorted((lot for lot in lots if lot.remaining_nano > 0), key=burn_order))
        state.unused = {name for name, g in known.items() if g.cause} - self._used
        state.settled_ms, _, state.said_tier = self._said
        state.customer_id = self._customer[1] or None
        for lot_id, nano in self._lots_nano.items():
            if nano < 0 or (nano and lot_id not in known):
                self.problems.append(f"lot {lot_id} stands at {nano}, its purchase not on record")
        return state

    def _add_amount(self, line: Posting) -> None:
        kind, _, lot = _account(line)
        if kind == "lot":
            self._lots_nano[lot] = self._lots_nano.get(lot, 0) + line.amount
            if line.kind in ("settle", "expire"):
                self._used.add(lot)
        elif kind == "owed":
            self._state.owed_nano -= line.amount
        elif kind in ("usage", "allowance"):
            for period in line.period_ids:
                if not _old(period, self.cutoffs):
                    self._spend(period, kind, line.amount)

    def _spend(self, period: str, kind: str, amount: int) -> None:
        spent = self._state.spent.get(period, Spent())
        if kind == "usage":
            more = {"total_nano": spent.total_nano + amount, "calls": spent.calls + 1}
        else:
            more = {"allowance_nano": spent.allowance_nano - amount}
        self._state.spent[period] = replace(spent, **more)

    def _add_terms(self, line: Posting, lines: Sequence[Posting]) -> None:
        state, terms = self._state, line.terms
        if line.kind == "settle":
            self._said = max(self._said, (line.at_ms, line.id, terms["said_tier"]))
        elif line.kind == "grant":
            state.purchases[terms["purchase_id"]] = _granted(line)
        elif line.kind == "claim":
            self._add_claim(_claimed(line, lines))
        elif line.kind == "customer":
            self._customer = max(self._customer, (line.at_ms, terms["customer_id"]))
        elif line.kind == "first":
            prompt, invoice = terms["prompt_id"], terms["invoice_id"]
            paid = FirstPayment(self.user_id, prompt, invoice, line.at_ms)
            state.first_payments[prompt] = paid
        elif line.kind == "money":
            self._transactions.append((utc_month(line.at_ms // 1000), terms["txn_id"]))
        elif line.kind == "topup":
            if state.top_up is None or _newer(terms, state.top_up):
                state.top_up = terms
        elif line.kind == "subscription":
            self._add_subscription(terms)

    def _add_subscription(self, terms: Mapping[str, Any]) -> None:
        state, name, (created, kind) = self._state, terms["subscription_id"], terms["version"]
        day, until_ms = terms.get("anchor_day", 0), terms.get("month_until_ms", 0)
        plans = (terms["tier"], terms["plan"], day, terms.get("next_plan", ""))
        new = Subscription((created, kind), terms["until_ms"], *plans)
        old = state.subscriptions.get(name)
        if old is None or new.counts_over(old):
            state.subscriptions[name] = new
        if until_ms:
            state.months[day] = max(state.months.get(day, 0), until_ms)

    def _add_claim(self, c: Claimed) -> None:
        state = self._state
        state.claimed[c.purchase_id, c.word] = c
        if c.claim_id:
            words = state.claims.setdefault(c.purchase_id, {})
            word = Word(c.version, c.taken_minor, c.hold)
            words[c.claim_id] = max(words.get(c.claim_id, word), word)
        if c.pack:  # or it came before its purchase, and did nothing
            so_far = state.in_effect.get(c.purchase_id, InEffect())
            state.in_effect[c.purchase_id] = InEffect(
                so_far.taken_minor + c.refunded_minor, so_far.revoked_nano + c.revoked_nano
            )


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on which the live state and the archive do not agree, as text."""

    user_id: str
    what: str
    live: str
    archive: str


def differences(
    live: UserState, archive: UserState, cutoffs: tuple[str, str, str]
) -> Iterator[Difference]:
    """Every one, for one user. Periods before ``cutoffs`` count on neither side."""

    def compare(
        kind: str, mine: Mapping[Any, Any], theirs: Mapping[Any, Any], none: object
    ) -> Iterator[Difference]:
        for name in sorted(mine.keys() | theirs.keys(), key=str):
            ours, its = mine.get(name, none), theirs.get(name, none)
            if ours != its:
                yield Difference(live.user_id, f"{kind} {_named(name)}", _said(ours), _said(its))

    spent = {name: each for name, each in live.spent.items() if not _old(name, cutoffs)}
    recorded_spent = {
        name: each if spent.get(name, each).counts_calls else replace(each, calls=0)
        for name, each in archive.spent.items()
    }
    yield from compare("spent in", spent, recorded_spent, Spent())
    yield from compare("lot", _by_id(live.lots), _by_id(archive.lots), None)
    order, recorded = [lot.id for lot in live.lots], [lot.id for lot in archive.lots]
    if order != recorded and sorted(order) == sorted(recorded):
        yield Difference(live.user_id, "burn order", " ".join(order), " ".join(recorded))
    yield from compare("owed", {"usd": live.owed_nano}, {"usd": archive.owed_nano}, 0)
    yield from compare("purchase", live.purchases, archive.purchases, None)
    yield from compare("claims on", live.claims, archive.claims, None)
    yield from compare("claims in effect on", live.in_effect, archive.in_effect, InEffect())
    yield from compare("claim", live.claimed, archive.claimed, None)
    unused = [dict.fromkeys(each.unused, "not used yet") for each in (live, archive)]
    yield from compare("purchase", unused[0], unused[1], "used")
    yield from compare("first paid", live.first_payments, archive.first_payments, None)
    subscriptions = (_in_force(live.subscriptions), _in_force(archive.subscriptions))
    yield from compare("subscription", *subscriptions, None)
    yield from compare("month of billing day", live.months, archive.months, 0)
    top_ups = ({"topup": live.top_up or {}}, {"topup": archive.top_up or {}})
    yield from compare("automatic", *top_ups, {})
    if archive.customer_id and not live.customer_id:
        # Another one is no mistake: it came in place of one that is gone, and has bought nothing.
        yield Difference(live.user_id, "customer", "none", archive.customer_id)


def burn_order(lot: Lot) -> tuple[bool, int, int, str]:
    """What expires first, then what is oldest; what never expires comes last."""
    return lot.expires_ms is None, lot.expires_ms or 0, lot.granted_ms, lot.id


def _newer(terms: Mapping[str, str], other: Mapping[str, str]) -> bool:
    def order(each: Mapping[str, str]) -> tuple[int, int]:
        return int(each["seq"]), int(each["at_ms"])

    return order(terms) > order(other)


def _account(line: Posting) -> tuple[str, str, str]:
    """``user:u:lot:l`` -> (lot, u, l); ``sales:pack`` -> ("", "", "")."""
    parts = line.account.split(":", 3)
    if parts[0] != "user":
        return "", "", ""
    return parts[2], parts[1], parts[3] if len(parts) > 3 else ""


def _granted(line: Posting) -> Granted:
    terms = line.terms
    return Granted(
        user_id=line.user_id,
        purchase_id=terms["purchase_id"],
        pack=terms["pack"],
        granted_nano=terms["granted_nano"],
        paid_minor=terms["paid_minor"],
        worth_minor=terms["worth_minor"],
        currency=terms["currency"],
        expires_ms=terms["expires_ms"],
        fresh_until_ms=terms["fresh_until_ms"],
        fresh_nano=terms["fresh_nano"],
        granted_ms=line.at_ms,
        repaid_nano=terms["repaid_nano"],
        claimed=False,
        replayed=True,
        paid_ms=terms.get("paid_ms", line.at_ms),
        cause=_cause(terms),
    )


def _cause(terms: Mapping[str, str]) -> Cause | None:
    if "prompt_id" not in terms:
        return None
    return Cause(terms["prompt_id"], terms["trigger"], terms["from_tier"], terms["variant"])


def _claimed(line: Posting, lines: Sequence[Posting]) -> Claimed:
    terms, (created, rank) = line.terms, line.terms["version"]
    amounts = {_account(p)[0] or p.account.partition(":")[0]: p.amount for p in lines}
    return Claimed(
        user_id=line.user_id,
        purchase_id=terms["purchase_id"],
        claim_id=terms["claim_id"],
        version=(created, rank),
        taken_minor=terms["taken_minor"],
        hold=Hold(terms["hold"]),
        pack=terms["pack"],
        currency=terms["currency"],
        refunded_minor=amounts.get("cash", 0),
        revoked_nano=amounts.get("sales", 0),
        lots_nano={_account(p)[2]: p.amount for p in lines if _account(p)[0] == "lot"},
        owed_nano=-amounts.get("owed", 0),
        frozen=terms["frozen"],
        claimed_ms=line.at_ms,
        replayed=True,
    )


def _lot(g: Granted, remaining_nano: int, *, frozen: bool) -> Lot:
    return Lot(
        id=g.purchase_id,
        granted_nano=g.granted_nano,
        remaining_nano=remaining_nano,
        worth_minor=g.worth_minor,
        currency=g.currency,
        expires_ms=g.expires_ms,
        granted_ms=g.granted_ms,
        frozen=frozen,
        fresh_until_ms=g.fresh_until_ms,
        fresh_nano=g.fresh_nano,
    )


def _old(period: str, cutoffs: tuple[str, str, str]) -> bool:
    return any(period[0] == cutoff[0] and period < cutoff for cutoff in cutoffs)


def _by_id(lots: Iterable[Lot]) -> dict[str, Lot]:
    return {lot.id: lot for lot in lots}


def _in_force(subscriptions: Mapping[str, Subscription]) -> dict[str, Subscription | str]:
    """Ended is ended, whichever of several words of it came first."""
    return {name: "ended" if s.ended else s for name, s in subscriptions.items()}


def _named(name: object) -> str:
    return ", ".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _said(value: Any) -> str:
    """``allowance_nano 20, total_nano 50``: its fields, but whose it is."""
    if value is None or isinstance(value, str | int):
        return "none" if value is None else str(value)
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_said(each)}" for name, each in sorted(value.items()))
    names = getattr(value, "_fields", None) or [field.name for field in fields(value)]
    names = [name for name in names if name not in ("user_id", "id", "replayed")]
    return ", ".join(f"{name} {getattr(value, name)}" for name in names)
