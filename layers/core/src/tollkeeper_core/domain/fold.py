"""From postings back to what they say: the inverse of domain/postings.py, for one user.

Sets add up in any order. Where order decides (the tier said last, the newest word on a
subscription), what decides is in the set itself, so that any order gives the same state.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from tollkeeper_core.domain.books import Entry, EntryKind, entry_of
from tollkeeper_core.domain.ledger import Lot
from tollkeeper_core.domain.movements import Cause, Claimed, FirstPayment, Granted, Hold, Settlement
from tollkeeper_core.domain.periods import is_old
from tollkeeper_core.domain.postings import EXPIRED_SET, Posting
from tollkeeper_core.domain.transactions import utc_month
from tollkeeper_core.domain.user_state import InEffect, Spent, Subscription, UserState, Word


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
                if not is_old(period, self.cutoffs):
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
