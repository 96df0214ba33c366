"""The parts that the upgrade page and the webhook meet, in memory: idempotent as the real ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tollkeeper_core.domain.accounts import Account
from tollkeeper_core.domain.announcements import Announcement, AnnouncementError
from tollkeeper_core.domain.billing import (
    BillingError,
    CheckoutRequest,
    CheckoutStart,
    NoSuchCustomerError,
    PaymentRefusedError,
    PlanChange,
    RunningPlan,
)
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import (
    Counters,
    LedgerError,
    LedgerUnavailableError,
    Lot,
    Reservation,
    Reserve,
    StaleConfigError,
    Standing,
    WindowLimit,
)
from tollkeeper_core.domain.movements import (
    Claim,
    Claimed,
    FirstPayment,
    Grant,
    Granted,
    Hold,
    PromptState,
    Settle,
    Settlement,
    SubscriptionState,
)
from tollkeeper_core.domain.periods import Periods, Window
from tollkeeper_core.domain.postings import Posting
from tollkeeper_core.domain.top_ups import Step, Stepped, TopUp


@dataclass
class MemoryConfig:
    """A ConfigStore with one configuration. ``down``: it does not answer."""

    config: Config
    version: str = "v1"
    down: bool = False

    def load(self) -> tuple[str, Config] | None:
        if self.down:
            raise LedgerUnavailableError("down")
        return self.version, self.config

    def publish(self, config: Config, read_ms: int) -> bool:
        self.config, self.version = config, f"v{read_ms}"
        return True

    def record_error(self, message: str | None, now_ms: int) -> None:
        raise NotImplementedError


@dataclass
class MemoryLedger:
    """A Ledger for purchases; ``used`` says what a user's tier has funded, window by window, and
    ``calls`` with how many calls.
    """

    configs: MemoryConfig
    used: dict[str, Mapping[Window, int]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    granted: dict[str, Granted] = field(default_factory=dict)
    subscriptions: dict[str, SubscriptionState] = field(default_factory=dict)
    first_payments: dict[tuple[str, str], FirstPayment] = field(default_factory=dict)
    paid_prompts: set[tuple[str, str]] = field(default_factory=set)
    claims: dict[str, list[Claim]] = field(default_factory=dict)
    claimed_again: list[str] = field(default_factory=list)
    customers: dict[str, str] = field(default_factory=dict)
    top_ups: dict[str, TopUp] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    down: bool = False

    def grant(self, request: Grant) -> Granted:
        self._answer()
        if known := self.granted.get(request.purchase_id):
            return replace(known, claimed=known.purchase_id in self.claims, replayed=True)
        granted = Granted(
            user_id=request.user_id,
            purchase_id=request.purchase_id,
            pack=request.pack,
            granted_nano=request.granted_nano,
            paid_minor=request.paid_minor,
            worth_minor=request.paid_minor if request.worth_minor is None else request.worth_minor,
            currency=request.currency,
            expires_ms=request.expires_ms,
            fresh_until_ms=request.fresh_until_ms,
            fresh_nano=request.fresh_nano,
            granted_ms=request.now_ms,
            repaid_nano=0,
            claimed=request.purchase_id in self.claims,
            replayed=False,
            paid_ms=request.now_ms if request.paid_ms is None else request.paid_ms,
            cause=request.cause,
        )
        self.granted[request.purchase_id] = granted
        self._paid(request.user_id, request.prompt_id)
        return granted

    def claim(self, claim: Claim) -> Claimed | None:
        """Only that it was told: what claims do to lots is the real ledger's to show."""
        self._answer()
        self.claims.setdefault(claim.purchase_id, []).append(claim)
        return self._claimed(claim)

    def claim_again(self, user_id: str, purchase_id: str, now_ms: int) -> Claimed | None:
        self._answer()
        self.claimed_again.append(purchase_id)
        return None

    def _claimed(self, claim: Claim) -> Claimed:
        lot = self.granted.get(claim.purchase_id)
        return Claimed(
            user_id=claim.user_id,
            purchase_id=claim.purchase_id,
            claim_id=claim.claim_id,
            version=claim.version,
            taken_minor=claim.taken_minor,
            hold=claim.hold,
            pack=lot.pack if lot else "",
            currency=lot.currency if lot else "",
            refunded_minor=0,
            revoked_nano=0,
            lots_nano={},
            owed_nano=0,
            frozen=claim.hold is Hold.OPEN,
            claimed_ms=0,  # the same for the same word
            replayed=False,
        )

    def first_payment(self, payment: FirstPayment) -> FirstPayment:
        self._answer()
        return self.first_payments.setdefault((payment.user_id, payment.prompt_id), payment)

    def apply_subscription(self, state: SubscriptionState) -> bool:
        self._answer()
        known = self.subscriptions.get(state.subscription_id)
        if known and (known.version[1] == 2 or self._order(state) <= self._order(known)):
            return False
        self.subscriptions[state.subscription_id] = state
        if state.until_ms > state.now_ms:
            self._paid(state.user_id, state.prompt_id)
        return True

    def read(
        self, user_id: str, tier: str | None, periods: Periods, now_ms: int, config_version: str
    ) -> Standing:
        self._answer()
        if config_version != self.configs.version:
            raise StaleConfigError
        tiers = self.configs.config.tiers
        held = [
            s.tier
            for s in self.subscriptions.values()
            if s.user_id == user_id and s.until_ms > now_ms
        ]
        names = [tier or self.configs.config.settings.default_tier, *held]
        name = max(names, key=lambda n: tiers[n].rank)
        limits = {w: WindowLimit(lim.limit_usd, lim.hard) for w, lim in tiers[name].limits.items()}
        used = self.used.get(user_id, {})
        lots = tuple(
            Lot(
                id=g.purchase_id,
                granted_nano=g.granted_nano,
                remaining_nano=g.granted_nano,
                worth_minor=g.worth_minor,
                currency=g.currency,
                expires_ms=g.expires_ms,
                granted_ms=g.granted_ms,
                frozen=any(c.hold is Hold.OPEN for c in self.claims.get(g.purchase_id, [])),
                fresh_until_ms=g.fresh_until_ms,
                fresh_nano=g.fresh_nano,
            )
            for g in self.granted.values()
            if g.user_id == user_id
        )
        counters = {
            window: Counters(*[used.get(window, 0)] * 2, calls=self.calls.get(user_id, 0))
            for window in Window
        }
        days = [
            s.anchor_day
            for s in self.subscriptions.values()
            if s.user_id == user_id and s.until_ms > now_ms and periods.around
        ]
        return Standing(name, limits, counters, lots, 0, max(days, default=0))

    def account(
        self, user_id: str, since_ms: int, now_ms: int, prompt_id: str | None = None
    ) -> Account:
        self._answer()
        mine = [s for s in self.subscriptions.values() if s.user_id == user_id]
        bought = [g for g in self.granted.values() if g.user_id == user_id]
        packs = [g for g in bought if not g.purchase_id.startswith("in_")]
        paid = [g for g in bought if g.paid_minor > 0 and g.purchase_id not in self.claims]
        return Account(
            customer_id=self.customers.get(user_id),
            subscriptions={s.subscription_id: s.plan for s in mine if s.until_ms > now_ms},
            next_plans={
                s.subscription_id: s.next_plan for s in mine if s.until_ms > now_ms and s.next_plan
            },
            purchases=sum(g.granted_ms >= since_ms for g in packs),
            first_paid_ms=min((g.granted_ms for g in paid), default=None),
            prompt=self.prompt_state(user_id, prompt_id) if prompt_id else PromptState.OPEN,
            top_up=self.top_ups.get(user_id),
        )

    def top_up(self, step: Step, now_ms: int) -> Stepped:
        """Only that it was told: what steps do is the real ledger's to show."""
        self._answer()
        self.steps.append(step)
        return Stepped("known", self.top_ups.get(step.user_id))

    def keep_customer(self, user_id: str, customer_id: str, replaces: str | None) -> str:
        self._answer()
        if self.customers.get(user_id) in (None, replaces):
            self.customers[user_id] = customer_id
        return self.customers[user_id]

    def prompt_state(self, user_id: str, prompt_id: str) -> PromptState:
        self._answer()
        paid = (user_id, prompt_id) in self.paid_prompts
        return PromptState.PAID if paid else PromptState.OPEN

    def reserve(self, request: Reserve, config_version: str) -> Reservation:
        raise NotImplementedError

    def settle(
        self, requests: Sequence[Settle], config_version: str
    ) -> list[Settlement | LedgerError]:
        raise NotImplementedError

    def _answer(self) -> None:
        if self.down:
            raise LedgerUnavailableError("down")

    def _paid(self, user_id: str, prompt_id: str | None) -> None:
        if prompt_id is not None:
            self.paid_prompts.add((user_id, prompt_id))

    @staticmethod
    def _order(state: SubscriptionState) -> tuple[int, int, int, int]:
        return (state.version[1] == 2, *state.version, state.until_ms)


@dataclass
class MemoryArchive:
    """An Archive. ``down``: it takes nothing."""

    postings: dict[str, Posting] = field(default_factory=dict)
    down: bool = False

    def write(self, postings: Sequence[Posting]) -> None:
        if self.down:
            raise OSError("the archive is down")
        for posting in postings:
            # The same id stands for the same line, always.
            assert self.postings.setdefault(posting.id, posting) == posting


@dataclass
class MemoryAnnouncements:
    """Announcements. ``down``: it takes none."""

    told: list[Announcement] = field(default_factory=list)
    down: bool = False

    def publish(self, stage: str, announcements: Sequence[Announcement]) -> None:
        if self.down:
            raise AnnouncementError("down")
        for announcement in announcements:
            same = [a for a in self.told if a.id == announcement.id]
            # The same id stands for the same fact, always.
            assert all(a == announcement for a in same), (same, announcement)
            self.told.append(announcement)


@dataclass
class MemoryBilling:
    """A Billing that keeps what it was asked; equal requests are one checkout, as at Stripe."""

    base: str = "https://checkout.stripe.test"
    requests: list[CheckoutRequest] = field(default_factory=list)
    customers: set[str] = field(default_factory=set)
    changes: list[PlanChange] = field(default_factory=list)
    running: dict[str, RunningPlan] = field(default_factory=dict)
    closed: list[tuple[str, str, int]] = field(default_factory=list)
    refuses: bool = False
    down: bool = False

    @property
    def checkout_origins(self) -> tuple[str, ...]:
        return (self.base,)

    @property
    def script_url(self) -> str:
        return f"{self.base}/stripe.js"

    def create_customer(self, user_id: str, stage: str, replaces: str | None) -> str:
        self._answer()
        made = f"cus_{user_id}" + (f"_after_{replaces}" if replaces else "")
        self.customers.add(made)
        return made

    def close_checkouts(self, customer_id: str, stage: str, session_id: str, most: int) -> None:
        self._answer()
        self.closed.append((customer_id, session_id, most))

    def running_plan(self, subscription_id: str) -> RunningPlan:
        self._answer()
        return self.running[subscription_id]

    def change_plan(self, change: PlanChange) -> None:
        self._answer()
        if self.refuses:
            raise PaymentRefusedError("Stripe: CardError")
        self.changes.append(change)

    def portal_url(self, customer_id: str, return_url: str) -> str:
        self._answer()
        return f"{self.base}/portal/{customer_id}?return={return_url}"

    def _answer(self) -> None:
        if self.down:
            raise BillingError("Stripe: APIConnectionError")

    def create_checkout(self, request: CheckoutRequest) -> CheckoutStart:
        self._answer()
        if request.customer_id not in self.customers:
            raise NoSuchCustomerError("Stripe: resource_missing")
        if request not in self.requests:
            self.requests.append(request)
        session = f"cs_test_{self.requests.index(request)}"
        if request.embedded:
            return CheckoutStart("", session, f"{session}_secret_x")
        return CheckoutStart(f"{self.base}/pay/{session}", session)
