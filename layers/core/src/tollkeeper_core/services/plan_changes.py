"""Another plan for whoever has one: more at once, less when what is paid is over."""

from dataclasses import dataclass, replace
from http import HTTPStatus

from tollkeeper_core.domain.billing import Billing, PaymentRefusedError, PlanChange, RunningPlan
from tollkeeper_core.domain.config import Config, Plan
from tollkeeper_core.domain.offers import KeptPlan, PlanTerms
from tollkeeper_core.domain.problems import Problem


@dataclass(frozen=True, slots=True)
class PlanChanges:
    """What a subscription is asked to become.

    The provider says how it stands now: an event that tells of the last change may still be on its
    way, and the page that was clicked on is then of before. All raise Problem 404 where the click
    makes no sense any more, 402 where the card was refused; BillingError.
    """

    billing: Billing
    stage: str

    def more(self, subscription_id: str, plan: Plan, terms: PlanTerms) -> None:
        """At once. Not where another plan waits: the price of that one would be credited."""
        if _waiting(self.billing.running_plan(subscription_id)) is not None:
            raise not_for_sale()
        metadata = terms.in_place_of(self.stage)
        self._change(
            _change(self.stage, subscription_id, plan.label, plan.interval, terms, metadata)
        )

    def less(self, subscription_id: str, plan: Plan, terms: PlanTerms) -> None:
        """When what is paid is over. Nothing is bought: what is paid then is a renewal."""
        terms = terms.without_cause
        now = self.billing.running_plan(subscription_id)
        if now.interval != plan.interval:  # what the configuration says may be another by now
            raise not_for_sale()
        paid = _waiting(now) or KeptPlan(PlanTerms.read(now.metadata), now.ends_s)
        metadata = terms.in_place_of(self.stage, paid)
        change = _change(self.stage, subscription_id, plan.label, plan.interval, terms, metadata)
        self._change(replace(change, at_once=False))

    def keep(self, subscription_id: str, config: Config, prompt_id: str) -> None:
        """No change after all, by the terms that the running plan was bought by."""
        now = self.billing.running_plan(subscription_id)
        kept = _waiting(now)
        if kept is None:
            raise not_for_sale()
        terms = replace(kept.terms.without_cause, prompt_id=prompt_id)
        plan = config.plans.get(terms.plan)
        title = terms.plan if plan is None else plan.label
        metadata = terms.in_place_of(self.stage)
        change = _change(self.stage, subscription_id, title, now.interval, terms, metadata)
        self._change(replace(change, at_once=False))

    def _change(self, change: PlanChange) -> None:
        try:
            self.billing.change_plan(change)
        except PaymentRefusedError:
            raise Problem(
                HTTPStatus.PAYMENT_REQUIRED,
                "payment_refused",
                "Your card was refused and nothing was changed. Change the card, then try again.",
            ) from None


def not_for_sale() -> Problem:
    """What was chosen is not offered, or not any more."""
    return Problem(HTTPStatus.NOT_FOUND, "unknown_offer", "This is not for sale (any more).")


def _waiting(now: RunningPlan) -> KeptPlan | None:
    """The plan that is paid while another waits; metadata of a change that was made stay behind."""
    kept = KeptPlan.read(now.metadata)
    return kept if kept is not None and kept.until_s >= now.ends_s else None


def _change(
    stage: str,
    subscription_id: str,
    title: str,
    interval: str,
    terms: PlanTerms,
    metadata: dict[str, str],
) -> PlanChange:
    return PlanChange(
        subscription_id=subscription_id,
        product=f"tollkeeper_{stage}_{terms.plan}",
        title=title,
        price_minor=terms.price_minor,
        currency=terms.currency,
        interval=interval,
        metadata=metadata,
    )
