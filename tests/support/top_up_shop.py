"""A shop with automatic top-ups: real Redis, local Stripe, and all that a user does there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import stripe
from tollkeeper_core.adapters.redis_admin import RedisAdmin
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.stripe_billing import StripeBilling
from tollkeeper_core.adapters.stripe_reads import StripeReads
from tollkeeper_core.adapters.stripe_top_ups import StripeTopUps
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.links import LINK_SECONDS, LinkClaims, sign_link
from tollkeeper_core.domain.movements import Settle, Settlement
from tollkeeper_core.domain.offers import AUTO_TOP_UP
from tollkeeper_core.domain.periods import periods_at
from tollkeeper_core.domain.postings import settlement_postings
from tollkeeper_core.domain.top_ups import TopUp
from tollkeeper_core.services.auto_top_up import AutoTopUp
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.stripe_events.apply import ApplyStripeEvent
from tollkeeper_core.services.stripe_events.books import Books
from tollkeeper_core.services.top_up_consent import EndTopUp, TopUpWish
from tollkeeper_core.services.upgrade import UpgradeService
from tollkeeper_core.services.upgrade_view import UpgradePage

from infra.local.stripe_local import LocalStripe
from tests.integration.test_stripe_webhook import KEY, PAGE, clock
from tests.support.memory_ledger import MemoryAnnouncements, MemoryArchive
from tests.support.redis_stack import RedisStack
from tests.support.stripe_local import client_of, press, until
from tests.support.upgrade import STAGE, example_config
from tests.support.webhook import Signed

USD = 10**9
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
AUTO_TOPUP = {"monthly_max": 3, "cooldown_minutes": 10, "failures_max": 2}
WISH = TopUpWish(25, 2)


@dataclass
class TopUpShop:
    """The user ada has agreed to nothing yet. ``later_ms``: how far the clock has moved."""

    server: LocalStripe
    client: stripe.StripeClient
    admin: RedisAdmin
    config: Config
    archive: MemoryArchive = field(default_factory=MemoryArchive)
    bus: MemoryAnnouncements = field(default_factory=MemoryAnnouncements)
    later_ms: int = 0
    calls: int = 0

    def clock(self) -> int:
        return clock() + self.later_ms

    def configure(self, **settings: Any) -> None:
        self.config = example_config(**settings)
        assert self.admin.publish(self.config, self.clock())

    @property
    def configs(self) -> ConfigCache[Config]:
        return ConfigCache(self.admin.load, lambda: self.config, self.clock)

    @property
    def page(self) -> UpgradeService:
        billing = StripeBilling(self.server.secret_key, self.server.url)
        return UpgradeService(
            self.admin, self.configs, billing, self.admin, (KEY,), STAGE, self.clock, [].extend
        )

    def token(self, prompt: str) -> str:
        return sign_link(LinkClaims("ada", prompt, self.clock() + LINK_SECONDS * 1000), KEY)

    @property
    def shown(self) -> UpgradePage:
        return self.page.page(self.token("prm_look"))

    def agree(self, card: str = "", prompt: str = "prm_1", wish: TopUpWish | None = WISH) -> str:
        """Buy the starter pack, and agree; answers its payment."""
        known = self.admin.account("ada", 0, self.clock()).top_up
        if known is not None:  # Stripe tells seconds apart
            until(lambda: clock() > int(known.fields["bar_ms"]), "the next second")
        started = self.page.start_checkout(self.token(prompt), "pack", "starter", PAGE, wish=wish)
        session = self.client.v1.checkout.sessions.retrieve(started.session_id)
        answer = press(session, "pay", **({"card": card} if card else {}))
        if "/c/challenge/" in str(answer.headers.get("location")):
            httpx.post(answer.headers["location"], data={"action": "complete"})
        self.hear()
        paid = self.client.v1.checkout.sessions.retrieve(started.session_id)
        assert paid.payment_status == "paid", answer.text
        return str(paid.payment_intent)

    def end(self, prompt: str = "prm_end") -> None:
        EndTopUp(self.admin, lambda: self.archive, (KEY,), self.clock)(self.token(prompt))

    def burn(self, nano: int, event: str = "") -> Settlement:
        """A call that cost so much."""
        self.calls += 1
        now_ms = self.clock()
        loaded = self.admin.load()
        assert loaded is not None
        periods = periods_at(self.config.settings.calendar, now_ms)
        request = Settle("ada", event or f"e{self.calls}", nano, None, periods, now_ms)
        (settled,) = self.admin.settle([request], loaded[0])
        assert isinstance(settled, Settlement), settled
        self.archive.write(settlement_postings(settled))
        return settled

    @property
    def service(self) -> AutoTopUp:
        return AutoTopUp(
            self.admin,
            self.admin,
            StripeTopUps(self.server.secret_key, self.server.url),
            self.archive,
            self.bus,
            self.configs,
            STAGE,
            self.clock,
        )

    def top_up(self) -> str:
        """What the function does with a message."""
        return self.service("ada")

    def hear(self) -> None:
        """All events so far, from the last to the first, as if they came again."""
        books = Books(self.admin, self.archive, self.bus, STAGE, self.clock, [].extend)
        reads = StripeReads(self.server.secret_key, self.server.url)
        apply = ApplyStripeEvent(books, Signed(), self.configs, reads)
        for event in httpx.get(f"{self.server.url}/_local/events").json()["data"]:
            apply(json.dumps(event).encode(), "good")

    def later(self, ms: int) -> None:
        self.later_ms += ms

    @property
    def stands(self) -> TopUp:
        found = self.admin.account("ada", 0, self.clock()).top_up
        assert found is not None
        return found

    @property
    def word(self) -> tuple[str, str, str]:
        """Whether it is on, why not, and what became of the last attempt."""
        stands = self.stands
        return stands.mandate.value, stands.why, stands.outcome.value

    def charges(self, status: str = "succeeded") -> list[Any]:
        """Payments that were made off session."""
        found = self.client.v1.payment_intents.list({"limit": 100}).data
        return [one for one in found if AUTO_TOP_UP in one.metadata and one.status == status]

    @property
    def balance(self) -> int:
        (state,) = self.admin.states(["ada"])
        return sum(lot.remaining_nano for lot in state.lots if not lot.frozen)


@contextmanager
def open_top_up_shop(redis: RedisStack) -> Iterator[TopUpShop]:
    """An empty one, published."""
    with LocalStripe() as server, LeanRedis(redis.url, redis.token, 10.0) as http:
        config = example_config(auto_topup=AUTO_TOPUP)
        shop = TopUpShop(server, client_of(server), RedisAdmin(http), config)
        assert shop.admin.publish(config, 1)
        yield shop
