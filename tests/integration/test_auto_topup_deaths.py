"""The automatic top-up dies at any line: the same message mends it, and there is one charge."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.billing import BillingError
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.movements import Grant
from tollkeeper_core.domain.offers import AUTO_TOP_UP, PackTerms
from tollkeeper_core.domain.top_ups import (
    SENT,
    Agree,
    Charge,
    ChargeFailedError,
    Close,
    Consent,
    Outcome,
    SavedCard,
    TopUp,
)
from tollkeeper_core.services.auto_top_up import AutoTopUp
from tollkeeper_core.services.config_cache import ConfigCache

from tests.integration.test_webhook_deaths import Killed, killed_at
from tests.support.memory_ledger import MemoryAnnouncements, MemoryArchive
from tests.support.redis_stack import RedisStack
from tests.support.top_up_shop import AUTO_TOPUP, USD
from tests.support.upgrade import STAGE, example_config

NOW_MS = 1_795_608_000_000
TERMS = PackTerms("ada", "prm_1", "starter", 4 * USD, 500, "usd", 365)


@dataclass
class Bank:
    """Stripe, as far as a payment off session goes. ``declines``: the card is refused."""

    declines: bool = False
    charged: dict[str, Charge] = field(default_factory=dict)
    asked: int = 0

    def saved_card(self, payment_intent_id: str) -> SavedCard | None:
        assert payment_intent_id == "pi_1"
        return SavedCard("cus_1", "pm_1")

    def charge(self, charge: Charge) -> None:
        self.asked += 1
        known = self.charged.setdefault(charge.attempt_id, charge)
        assert known == charge, "Stripe refuses a key that comes with other parameters"
        if self.declines:
            raise ChargeFailedError("card_declined")

    def find(self, customer_id: str, attempt_id: str, since_s: int) -> bool:
        if attempt_id in self.charged and self.declines:
            raise ChargeFailedError("card_declined")
        return attempt_id in self.charged


@dataclass
class Life:
    """One user whose credit is low, and who agreed."""

    redis: RedisStack
    ledger: RedisStore
    config: Config
    bank: Bank
    archive: MemoryArchive = field(default_factory=MemoryArchive)

    def begin(self) -> None:
        self.redis.flush()
        self.ledger.publish(self.config, 1)
        lot = Grant("ada", "pi_1", "starter", 4 * USD, 500, "usd", None, "prm_1", NOW_MS)
        self.ledger.grant(lot)
        consent = Consent(below_nano=5 * USD, monthly_max=3)
        agreed = Agree(TERMS, consent, "pi_1", NOW_MS)
        assert self.ledger.top_up(agreed, NOW_MS).effect == "agreed"

    def message(self, later_ms: int = 0) -> str:
        return AutoTopUp(
            self.ledger,
            self.ledger,
            self.bank,
            self.archive,
            MemoryAnnouncements(),
            ConfigCache(self.ledger.load, lambda: self.config, lambda: NOW_MS),
            STAGE,
            lambda: NOW_MS + later_ms,
        )("ada")

    @property
    def stands(self) -> TopUp:
        found = self.ledger.account("ada", 0, NOW_MS).top_up
        assert found is not None
        return found


@pytest.fixture
def store(redis: RedisStack) -> Iterator[RedisStore]:
    with LeanRedis(redis.url, redis.token, 10.0) as http:
        yield RedisStore(http)


def every_line(redis: RedisStack, ledger: RedisStore, declines: bool) -> list[Life]:
    """A life for each line at which the first delivery died, each mended by a second one."""
    config, lives = example_config(auto_topup=AUTO_TOPUP), []
    while True:
        life = Life(redis, ledger, config, Bank(declines))
        life.begin()
        try:
            with killed_at(len(lives) + 1, spared="redis_http.py"):
                life.message()
        except Killed:
            life.message(later_ms=1_000)
            check(life)
            lives.append(life)
        else:
            return lives


def check(life: Life) -> None:
    stands = life.stands
    (attempt,) = life.bank.charged
    assert stands.attempt_id == attempt == "pi_1.1"
    assert life.bank.charged[attempt].metadata[AUTO_TOP_UP] == attempt
    recorded = [dict(p.terms or {}) for p in life.archive.postings.values() if p.kind == "topup"]
    newest = max(recorded, key=lambda terms: int(terms["seq"]))
    assert newest == {name: text for name, text in stands.fields.items() if name != SENT}
    expected = Outcome.FAILED if life.bank.declines else Outcome.OPEN
    assert stands.outcome is expected
    assert stands.fields["paid"] == ("0" if life.bank.declines else "1")


@pytest.mark.parametrize("declines", [False, True], ids=["paid", "declined"])
def test_killed_at_any_line(
    redis: RedisStack,
    store: RedisStore,
    declines: bool,
) -> None:
    lives = every_line(redis, store, declines)
    assert len(lives) > 100
    asked_again = [life for life in lives if life.bank.asked > 1]
    # Looked up rather than sent twice, wherever the first delivery had come to the bank.
    assert not asked_again
    last = lives[-1]
    if not declines:
        last.ledger.top_up(Close("ada", "pi_1.1", Outcome.PAID), NOW_MS + 2_000)
        assert last.stands.outcome is Outcome.PAID


def test_a_lost_answer_is_asked_for_again(
    redis: RedisStack,
    store: RedisStore,
) -> None:
    bank = Bank()
    life = Life(redis, store, example_config(auto_topup=AUTO_TOPUP), bank)
    life.begin()
    sound: Callable[[Charge], None] = bank.charge

    def lost(charge: Charge) -> None:
        sound(charge)
        raise BillingError("no answer")

    bank.charge = lost  # type: ignore[method-assign]
    with pytest.raises(BillingError):
        life.message()
    assert life.message(later_ms=1_000) == "waiting"
    assert len(bank.charged) == 1
    check(life)
