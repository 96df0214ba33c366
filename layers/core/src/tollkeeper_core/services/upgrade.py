"""The upgrade page's use cases: show it, start a checkout, watch what becomes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from tollkeeper_core.domain.billing import Billing, CheckoutRequest, CheckoutStart
from tollkeeper_core.domain.config import Config, Pack, Plan
from tollkeeper_core.domain.ledger import LedgerUnavailableError, PromptState, Standing
from tollkeeper_core.domain.links import LinkClaims, verify_link
from tollkeeper_core.domain.offers import PackTerms, PlanTerms, packs_offered, plans_offered
from tollkeeper_core.domain.periods import periods_at
from tollkeeper_core.domain.ports import Clock, Ledger
from tollkeeper_core.domain.problems import Problem
from tollkeeper_core.services.config_cache import ConfigCache, InHand
from tollkeeper_core.services.usage_view import usage_view

OfferKind = Literal["pack", "plan"]

#: How long an unpaid checkout stays open. Stripe takes 30 minutes to 24 hours; an hour lets a payer
#: fetch a card and keeps a price that has changed since from being paid for long.
_CHECKOUT_MS = 3_600_000

#: How long after its expiry a link still tells what became of a purchase that it began: the
#: checkout's hour, and one for a bank that is slow to confirm.
_WATCH_MS = 2 * _CHECKOUT_MS

#: Two clicks within one of these are one purchase: the same request, so the same checkout.
_ATTEMPT_MS = 60_000

#: An answer without a page of its own may know the allowed origins as they were so long ago.
_ORIGINS_AGE_MS = 60_000


@dataclass(frozen=True, slots=True)
class UpgradePage:
    """What the page shows. ``usage`` is what end users may see (see ``usage_view``)."""

    claims: LinkClaims
    config: Config
    standing: Standing
    usage: Mapping[str, Any]
    state: PromptState

    @property
    def packs(self) -> list[tuple[str, Pack]]:
        """The packs for sale, by name."""
        return packs_offered(self.config)

    @property
    def plans(self) -> list[tuple[str, Plan]]:
        """The plans for sale to this user, by name."""
        return plans_offered(self.config, self.standing.tier)


@dataclass(frozen=True, slots=True)
class UpgradeService:
    """Everything that the page does. ``link_keys``: see ``parse_link_keys``.

    Every method takes the token of the link, and nothing else that could name a user. All raise
    LinkError, LedgerUnavailableError and Problem 503 (no configuration is published yet).
    """

    ledger: Ledger
    configs: ConfigCache
    billing: Billing
    link_keys: tuple[bytes, ...]
    stage: str
    clock: Clock

    def page(self, token: str) -> UpgradePage:
        """Where the user stands and what is for sale."""
        return self._page(verify_link(token, self.link_keys, self.clock()))

    def watch(self, token: str) -> UpgradePage:
        """The same for a purchase under way: a link that has expired since still counts."""
        return self._page(self._watched(token))

    def status(self, token: str) -> dict[str, Any]:
        """``{"state": "open"}``, or ``{"state": "paid", "usage": {...}}``.

        It is polled: while open it costs one request to the ledger.
        """
        claims = self._watched(token)
        state = self.ledger.prompt_state(claims.user_id, claims.prompt_id)
        if state is not PromptState.PAID:
            return {"state": state.value}
        _, _, usage = self._standing(claims)
        return {"state": state.value, "usage": usage}

    def start_checkout(
        self, token: str, kind: OfferKind, name: str, page_url: str
    ) -> CheckoutStart:
        """Start the purchase of one pack or plan; the payer comes back to ``page_url``.

        Raises Problem 404 (no such offer), 409 (what this link began is paid); BillingError.
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
        attempt_ms = now_ms - now_ms % _ATTEMPT_MS
        offer, terms = _pack(page, name) if kind == "pack" else _plan(page, name)
        return self.billing.create_checkout(
            CheckoutRequest(
                user_id=terms.user_id,
                title=offer.label,
                price_minor=terms.price_minor,
                currency=terms.currency,
                interval=offer.interval if isinstance(offer, Plan) else None,
                metadata=terms.metadata(self.stage),
                success_url=f"{done_url}&{kind}={name}",
                cancel_url=f"{done_url}&canceled=1",
                expires_s=(attempt_ms + _CHECKOUT_MS) // 1000,
            )
        )

    def allowed_origins(self) -> list[str]:
        """Who may frame an answer that has no page, such as an error."""
        try:
            in_hand = self.configs.current(_ORIGINS_AGE_MS)
        except LedgerUnavailableError:
            in_hand = self.configs.in_an_outage()
        return list(in_hand.config.settings.allowed_origins)

    def _watched(self, token: str) -> LinkClaims:
        return verify_link(token, self.link_keys, self.clock(), late_ms=_WATCH_MS)

    def _page(self, claims: LinkClaims) -> UpgradePage:
        config, standing, usage = self._standing(claims)
        state = self.ledger.prompt_state(claims.user_id, claims.prompt_id)
        return UpgradePage(claims, config, standing, usage, state)

    def _standing(self, claims: LinkClaims) -> tuple[Config, Standing, dict[str, Any]]:
        now_ms = self.clock()

        def read(in_hand: InHand) -> tuple[Config, Standing, dict[str, Any]]:
            config = in_hand.config
            periods = periods_at(config.settings.calendar, now_ms)
            # The tier may be gone since the link was made: a buyer is not to suffer for it.
            tier = claims.tier if claims.tier in config.tiers else None
            standing = self.ledger.read(claims.user_id, tier, periods, now_ms, in_hand.version)
            view = usage_view(standing, periods, now_ms, with_holds=True)
            return config, standing, view

        return self.configs.fresh(read)


def _pack(page: UpgradePage, name: str) -> tuple[Pack, PackTerms]:
    for known, pack in page.packs:
        if known == name:
            return pack, PackTerms(
                user_id=page.claims.user_id,
                prompt_id=page.claims.prompt_id,
                pack=name,
                credit_nano=pack.credit_usd,
                price_minor=pack.price_minor,
                currency=page.config.currency_of(pack),
                expires_days=pack.expires_days,
            )
    raise _not_for_sale()


def _plan(page: UpgradePage, name: str) -> tuple[Plan, PlanTerms]:
    for known, plan in page.plans:
        if known == name:
            return plan, PlanTerms(
                user_id=page.claims.user_id,
                prompt_id=page.claims.prompt_id,
                plan=name,
                tier=plan.tier,
                price_minor=plan.price_minor,
                currency=page.config.currency_of(plan),
            )
    raise _not_for_sale()


def _not_for_sale() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "unknown_offer", "This is not for sale (any more).")
