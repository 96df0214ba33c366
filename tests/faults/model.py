"""The model of the ledger, for requests that arrive late, twice and in another order.

The plain model is asked with clocks that only go forward. Here a request may bring an older
"now" than one before it, so what the later one had already let go has to stay gone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from tollkeeper_core.domain.config import Config, Tier
from tollkeeper_core.domain.ledger import Reserve
from tollkeeper_core.domain.movements import Claim, Grant, Settle, SubscriptionState

from tests.support.ledger_model import ModelLot, UserModel

Lines = dict[str, int]


def set_name(word: str) -> str:
    """``re_1 ((0, 2), 100, 0)``, as the model calls a word, is ``re_1:0:2:100:0`` on record."""
    return re.sub(r"[(),]", "", word).replace(" ", ":")


@dataclass
class FaultModel(UserModel):
    """One user and the configuration. Each ``got_...`` is one request's effect at the server."""

    configs: Sequence[Config] = ()
    published: int = 0
    read_ms: int = 0
    packs: dict[str, str] = field(default_factory=dict)
    checked_at: dict[str, int] = field(default_factory=dict)
    settled_at: dict[str, int] = field(default_factory=dict)
    subs_listed_ms: int = 0
    paid_prompts: set[str | None] = field(default_factory=set)

    def tier(self, said: str | None, now_ms: int) -> Tier:
        # A subscription that had ended when the list was last made is not in it.
        return super().tier(said, max(now_ms, self.subs_listed_ms))

    def got_publish(self, config: int, read_ms: int) -> None:
        if read_ms >= self.read_ms:
            self.published, self.read_ms, self.config = config, read_ms, self.configs[config]

    def got_reserve(self, request: Reserve, config: int) -> None:
        unknown = request.tier is not None and request.tier not in self.config.tiers
        if config != self.published or unknown or request.reservation_id in self.answers:
            return
        now_ms, ttl_ms = request.now_ms, request.expires_ms - request.now_ms
        rid, amount = request.reservation_id, request.amount_nano
        self.reserve(rid, amount, request.tier, request.periods, now_ms, ttl_ms)
        self.checked_at[rid] = now_ms
        self._let_go(now_ms)

    def got_settle(self, request: Settle, config: int) -> None:
        rid, event, now_ms = request.reservation_id, request.event_id, request.now_ms
        if event in self.charges or (rid not in self.holds and config != self.published):
            return
        self.settle(event, request.cost_nano, rid, request.periods, now_ms)
        self.settled_at[event] = now_ms
        self._let_go(now_ms)

    def got_grant(self, request: Grant) -> None:
        name, currency, expires_ms = request.purchase_id, request.currency, request.expires_ms
        if name not in self.lots:
            self.packs[name] = request.pack
            self.paid_prompts.add(request.prompt_id)
        paid, at_ms = request.paid_minor, request.now_ms
        self.grant(ModelLot(name, request.granted_nano, paid, currency, expires_ms, at_ms))

    def got_claim(self, request: Claim) -> None:
        word = (request.version, request.taken_minor, int(request.hold))
        self.claim(request.purchase_id, request.claim_id, word, request.now_ms)

    def got_claim_again(self, purchase: str, now_ms: int) -> None:
        if purchase in self.claims and purchase in self.lots:
            self.claim_again(purchase, now_ms)

    def got_subscription(self, state: SubscriptionState) -> None:
        before = self.subs.get(state.subscription_id)
        self.subscribe(state.subscription_id, state.tier, state.until_ms, state.version)
        if self.subs[state.subscription_id] is not before:
            self.subs_listed_ms = state.now_ms
            if state.until_ms > state.now_ms:
                self.paid_prompts.add(state.prompt_id)

    def _let_go(self, now_ms: int) -> None:
        for hold in self.holds.values():
            hold.open = hold.open and hold.expires_ms > now_ms

    def sets(self, user_id: str) -> dict[str, Lines]:
        """All sets of postings that there may be: set id -> account -> amount, zeros left out."""
        name = quote(user_id, safe="@")
        user, sets = f"user:{name}", dict[str, Lines]()
        for event, charge in self.charges.items():
            lots = {f"{user}:lot:{lot}": -nano for lot, nano in charge.lots.items()}
            own = {f"{user}:usage": charge.cost, f"{user}:allowance": -charge.allowance}
            sets[f"settle:{name}:{event}"] = own | lots
            gone = {f"{user}:lot:{lot}": -nano for lot, nano in charge.expired.items()}
            sets[f"settle:{name}:{event}:expired"] = gone | {"expired": -sum(gone.values())}
        for lot in self.lots.values():
            sets[f"grant:{lot.id}"] = {
                f"{user}:lot:{lot.id}": lot.granted - lot.repaid,
                f"{user}:owed": lot.repaid,
                f"sales:{self.packs[lot.id]}": -lot.granted,
                f"{user}:paid": lot.paid,
                "cash": -lot.paid,
            }
        for lot_id, effects in self.effects.items():
            for word, effect in effects.items():
                lots = {f"{user}:lot:{lot}": nano for lot, nano in effect.lots.items()}
                sets[f"claim:{lot_id}:{set_name(word)}"] = lots | {
                    f"{user}:owed": -effect.owed,
                    f"sales:{self.packs.get(lot_id)}": effect.revoked,
                    f"{user}:paid": -effect.refunded,
                    "cash": effect.refunded,
                }
        kept = {set_id: {a: n for a, n in lines.items() if n} for set_id, lines in sets.items()}
        return {set_id: lines for set_id, lines in kept.items() if lines}
