"""The upgrade page's use cases: show it, start a checkout, watch what becomes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import urlencode

from tollkeeper_core.domain.accounts import Accounts
from tollkeeper_core.domain.billing import (
    Billing,
    BillingError,
    CheckoutRequest,
    CheckoutStart,
    NoSuchCustomerError,
)
from tollkeeper_core.domain.config import Checkout, Config, Plan, Settings
from tollkeeper_core.domain.experiments import assign
from tollkeeper_core.domain.funnel import Step, StepKind, TellSteps, trigger_of
from tollkeeper_core.domain.ledger import LedgerUnavailableError, Standing
from tollkeeper_core.domain.links import LinkClaims, LinkError, verify_link
from tollkeeper_core.domain.movements import PromptState
from tollkeeper_core.domain.offers import (
    Choice,
    ChoiceError,
    PackTerms,
    PlanTerms,
)
from tollkeeper_core.domain.periods import periods_at
from tollkeeper_core.domain.ports import Clock, Ledger
from tollkeeper_core.domain.problems import Problem, invalid
from tollkeeper_core.services.config_cache import ConfigCache, InHand
from tollkeeper_core.services.plan_changes import PlanChanges, not_for_sale
from tollkeeper_core.services.top_up_consent import TopUpWish, agreeing
from tollkeeper_core.services.upgrade_view import UpgradePage
from tollkeeper_core.services.usage_view import usage_view

OfferKind = Literal["pack", "plan"]

#: How long an unpaid checkout stays open. Stripe takes 30 minutes to 24 hours; an hour lets a payer
#: fetch a card and keeps a price that has changed since from being paid for long.
_CHECKOUT_MS = 3_600_000

#: How long after its expiry a link still tells what became of a purchase that it began: the
#: checkout's hour, and one for a bank that is slow to confirm.
WATCH_MS = 2 * _CHECKOUT_MS

#: Two clicks within one of these are one purchase: the same request, so the same checkout.
_ATTEMPT_MS = 60_000

#: In which purchases of one user are counted.
_DAY_MS = 86_400_000

#: An answer without a page of its own may know the settings as they were so long ago.
_ORIGINS_AGE_MS = 60_000


@dataclass(frozen=True, slots=True)
class UpgradeService:
    """Everything that the page does. ``link_keys``: see ``parse_link_keys``.

    Every method takes the token of the link, and nothing else that could name a user. All raise
    LinkError, LedgerUnavailableError and Problem 503 (no configuration is published yet).
    """

    ledger: Ledger
    configs: ConfigCache[Config]
    billing: Billing
    accounts: Accounts
    link_keys: tuple[bytes, ...]
    stage: str
    clock: Clock
    tell: TellSteps

    def page(self, token: str) -> UpgradePage:
        """Where the user stands and what is for sale."""
        found = self._page(verify_link(token, self.link_keys, self.clock()))
        if found.state is not PromptState.PAID:
            self.tell([self._step(StepKind.PROMPT_SHOWN, found)])
        return found

    def watch(self, token: str) -> UpgradePage:
        """The same for a purchase under way: a link that has expired since still counts."""
        return self._page(self._watched(token))

    def dismiss(self, token: str) -> None:
        """The user closed the page. Not where something is paid: then that was the end of it.

        A page may be open for longer than its link begins purchases.
        """
        found = self.watch(token)
        if found.state is PromptState.OPEN:
            self.tell([self._step(StepKind.DISMISSED, found)])

    def status(self, token: str) -> dict[str, Any]:
        """``{"state": "open"}``, or ``{"state": "paid", "usage": {...}}`` (see ``usage_view``).

        It is polled: while open it costs one request to the ledger.
        """
        claims = self._watched(token)
        state = self.ledger.prompt_state(claims.user_id, claims.prompt_id)
        if state is not PromptState.PAID:
            return {"state": state.value}
        _, _, usage = self._standing(claims)
        return {"state": state.value, "usage": usage}

    def start_checkout(
        self,
        token: str,
        kind: OfferKind,
        name: str,
        page_url: str,
        choice: Choice | None = None,
        carry: Mapping[str, str] | None = None,
        wish: TopUpWish | None = None,
    ) -> CheckoutStart:
        """Start the purchase of a pack or plan; the payer comes back to ``page_url``.

        ``carry``: what the page then finds in its address, such as its language. ``wish``: the
        payer agrees to automatic top-ups by this pack.

        Whoever has a plan changes it (to more at once, to less when what is paid is over): nothing
        is left to pay elsewhere, and the answer is the page that waits for it. Raises Problem 404
        (no such offer), 409 (what this link began is paid), 422 (not to be chosen so), 429 (too
        many purchases), 402 (the card was refused); BillingError.
        """
        now_ms = self.clock()
        page = self._page(verify_link(token, self.link_keys, now_ms))
        if page.state is PromptState.PAID:
            raise Problem(
                HTTPStatus.CONFLICT,
                "already_paid",
                "A purchase with this link is paid. For another one, ask the app for a new link.",
            )
        done_url = f"{page_url.rstrip('/')}/upgrade/done?t={token}"
        if carry:
            done_url += f"&{urlencode(carry)}"
        steps: list[Step] = []
        try:
            return self._start(page, kind, name, done_url, choice or Choice(), wish, steps)
        finally:
            self.tell(steps)

    def _start(
        self,
        page: UpgradePage,
        kind: OfferKind,
        name: str,
        done_url: str,
        choice: Choice,
        wish: TopUpWish | None,
        steps: list[Step],
    ) -> CheckoutStart:
        """``steps`` gets what came about, though the checkout may not begin."""
        now_ms = self.clock()
        account = page.account
        if kind == "pack":
            request = self._pack_request(page, name, choice, now_ms)
            if wish is not None:
                request = agreeing(request, wish, page.config)
            steps.append(self._step(StepKind.OPTION_CLICKED, page, name))
        else:
            for subscription_id, running in account.subscriptions.items():
                kept = name == running and subscription_id in account.next_plans
                if not kept and name not in dict([*page.plans, *page.smaller_plans]):
                    raise not_for_sale()
                steps.append(self._step(StepKind.OPTION_CLICKED, page, name))
                later = self._change(page, subscription_id, name, kept=kept)
                return CheckoutStart(f"{done_url}&{later}={name}", subscription_id)
            plan, terms = _plan(page, page.plans, name)
            steps.append(self._step(StepKind.OPTION_CLICKED, page, name))
            request = self._plan_request(plan, terms, page.config.settings.checkout)
        attempt_ms = now_ms - now_ms % _ATTEMPT_MS
        request = replace(
            request,
            success_url=f"{done_url}&{kind}={name}",
            cancel_url=f"{done_url}&canceled=1",
            expires_s=(attempt_ms + _CHECKOUT_MS) // 1000,
            embedded=choice.embedded and request.options.embedded_key is not None,
        )
        started, customer_id = self._checkout(request, account.customer_id)
        most = page.config.settings.fraud.purchases_per_day
        if kind == "pack" and most is not None:
            # Or several that were opened before any was paid would together pass the cap.
            left = most - account.purchases
            self.billing.close_checkouts(customer_id, self.stage, started.session_id, left)
        steps.append(self._step(StepKind.CHECKOUT_OPENED, page, name))
        return started

    def portal_url(self, token: str, page_url: str) -> str:
        """Where the user sees invoices, changes the card and cancels a plan.

        Raises Problem 404 (they never bought anything); BillingError.
        """
        now_ms = self.clock()
        claims = verify_link(token, self.link_keys, now_ms)
        customer = self.accounts.account(claims.user_id, now_ms, now_ms).customer_id
        if customer is None:
            raise Problem(HTTPStatus.NOT_FOUND, "no_customer", "Nothing was bought yet.")
        return self.billing.portal_url(customer, f"{page_url.rstrip('/')}/upgrade?t={token}")

    def _pack_request(
        self, page: UpgradePage, name: str, choice: Choice, now_ms: int
    ) -> CheckoutRequest:
        config, claims, account = page.config, page.claims, page.account
        if name not in config.packs:
            raise not_for_sale()
        fraud = config.settings.fraud
        most = fraud.purchases_per_day
        if most is not None and account.purchases >= most:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too_many_purchases",
                "That is all that can be bought in one day. Please try again tomorrow.",
            )
        try:
            terms, quantity = PackTerms.of(
                config,
                name,
                choice,
                claims.user_id,
                claims.prompt_id,
                trusted=fraud.trusts(account.first_paid_ms, now_ms),
            )
        except ChoiceError as error:
            raise invalid(str(error)) from None
        tier, variant = page.standing.tier, page.assigned.label
        trigger = trigger_of(claims.reason)
        terms = replace(terms, trigger=trigger, from_tier=tier, variant=variant)
        return CheckoutRequest(
            user_id=terms.user_id,
            customer_id="",
            title=config.packs[name].label,
            price_minor=terms.price_minor // quantity,
            currency=terms.currency,
            interval=None,
            metadata=terms.metadata(self.stage),
            success_url="",
            cancel_url="",
            expires_s=0,
            quantity=quantity,
            options=config.settings.checkout,
        )

    def _plan_request(self, plan: Plan, terms: PlanTerms, options: Checkout) -> CheckoutRequest:
        return CheckoutRequest(
            user_id=terms.user_id,
            customer_id="",
            title=plan.label,
            price_minor=terms.price_minor,
            currency=terms.currency,
            interval=plan.interval,
            metadata=terms.metadata(self.stage),
            success_url="",
            cancel_url="",
            expires_s=0,
            trial_days=plan.trial_days,
            options=options,
        )

    def _change(self, page: UpgradePage, subscription_id: str, name: str, *, kept: bool) -> str:
        """Answers what the page that follows is to thank for: ``plan``, or ``later``."""
        changes = PlanChanges(self.billing, self.stage)
        if kept:
            changes.keep(subscription_id, page.config, page.claims.prompt_id)
            return "plan"
        if name in dict(page.smaller_plans):
            changes.less(subscription_id, *_plan(page, page.smaller_plans, name))
            return "later"
        changes.more(subscription_id, *_plan(page, page.plans, name))
        return "plan"

    def _checkout(
        self, request: CheckoutRequest, customer_id: str | None
    ) -> tuple[CheckoutStart, str]:
        """Begun, and as whom: made with the first purchase, and again when gone."""
        user_id, gone = request.user_id, None
        for _ in range(2):
            if customer_id is None:
                made = self.billing.create_customer(user_id, self.stage, gone)
                customer_id = self.accounts.keep_customer(user_id, made, gone)
            try:
                asked = replace(request, customer_id=customer_id)
                return self.billing.create_checkout(asked), customer_id
            except NoSuchCustomerError:
                customer_id, gone = None, customer_id
        raise BillingError("the customer is gone as soon as it is made")

    def settings(self, token: str = "") -> Settings:
        """For an answer that has no page, such as an error: who may frame it, and its words.

        In the words of the link's user, whatever became of the link, where it is one.
        """
        try:
            in_hand = self.configs.current(_ORIGINS_AGE_MS)
        except LedgerUnavailableError:
            in_hand = self.configs.in_an_outage()
        config = in_hand.config
        try:
            claims = verify_link(token, self.link_keys, 0)
        except LinkError:
            return config.settings
        return config.as_seen_in(assign(config.experiment, claims.user_id).variant).settings

    def _watched(self, token: str) -> LinkClaims:
        return verify_link(token, self.link_keys, self.clock(), late_ms=WATCH_MS)

    def _page(self, claims: LinkClaims) -> UpgradePage:
        config, standing, usage = self._standing(claims)
        now_ms = self.clock()
        account = self.accounts.account(claims.user_id, now_ms - _DAY_MS, now_ms, claims.prompt_id)
        assigned = assign(config.experiment, claims.user_id)
        seen = config.as_seen_in(assigned.variant)
        return UpgradePage(claims, seen, standing, usage, account, now_ms, assigned)

    def _step(self, kind: StepKind, page: UpgradePage, offer: str = "") -> Step:
        return Step(
            kind=kind,
            prompt_id=page.claims.prompt_id,
            user_id=page.claims.user_id,
            at_ms=self.clock(),
            trigger=trigger_of(page.claims.reason),
            tier=page.standing.tier,
            offer=offer,
            variant=page.assigned.label,
        )

    def _standing(self, claims: LinkClaims) -> tuple[Config, Standing, dict[str, Any]]:
        now_ms = self.clock()

        def read(in_hand: InHand[Config]) -> tuple[Config, Standing, dict[str, Any]]:
            config = in_hand.config
            periods = periods_at(config.settings.calendar, now_ms)
            # The tier may be gone since the link was made: a buyer is not to suffer for it.
            tier = claims.tier if claims.tier in config.tiers else None
            standing = self.ledger.read(claims.user_id, tier, periods, now_ms, in_hand.version)
            periods = periods_at(config.settings.calendar, now_ms, standing.anchor_day)
            view = usage_view(standing, periods, now_ms, with_holds=True)
            return config, standing, view

        return self.configs.fresh(read)


def _plan(
    page: UpgradePage, offered: Sequence[tuple[str, Plan]], name: str
) -> tuple[Plan, PlanTerms]:
    for known, plan in offered:
        if known == name:
            return plan, PlanTerms(
                user_id=page.claims.user_id,
                prompt_id=page.claims.prompt_id,
                plan=name,
                tier=plan.tier,
                price_minor=plan.price_minor,
                currency=page.config.currency_of(plan),
                credit_nano=plan.included_credit_usd or 0,
                rollover=plan.rollover,
                trigger=trigger_of(page.claims.reason),
                from_tier=page.standing.tier,
                variant=page.assigned.label,
            )
    raise not_for_sale()
