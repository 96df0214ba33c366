"""Who tells of which step, and when."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError
from tollkeeper_core.domain.billing import BillingError
from tollkeeper_core.domain.experiments import assign
from tollkeeper_core.domain.funnel import (
    Step,
    StepKind,
    read_step_message,
    step_message,
    trigger_of,
)
from tollkeeper_core.domain.links import LINK_SECONDS, LinkError, LinkReason
from tollkeeper_core.domain.movements import Grant
from tollkeeper_core.domain.offers import PackTerms, PlanTerms, TermsError
from tollkeeper_core.domain.problems import Problem

from tests.support.upgrade import NOW_MS, STAGE, Upgrade, in_experiment
from tests.support.webhook import (
    COMPLETED,
    CREDIT_PLAN,
    NOW_S,
    PACK,
    Webhook,
    event,
    invoice,
    line,
    session,
)

PAGE = "https://page.example"


def kinds(steps: list[Step]) -> list[str]:
    return [step.kind.value for step in steps]


def test_a_page_that_is_shown_and_a_checkout_that_opens() -> None:
    up = Upgrade()
    token = up.blocked_token()
    up.service.page(token)
    up.service.start_checkout(token, "pack", "plus", PAGE)
    assert kinds(up.steps) == ["prompt_shown", "option_clicked", "checkout_opened"]
    assert up.steps[2] == Step(
        kind=StepKind.CHECKOUT_OPENED,
        prompt_id="prm_1",
        user_id="ada",
        at_ms=NOW_MS,
        trigger="daily",
        tier="free",
        offer="plus",
    )


def test_a_link_whose_purchase_is_paid_shows_no_prompt() -> None:
    up = Upgrade()
    up.ledger.grant(Grant("ada", "pi_1", "starter", 1, 500, "usd", None, "prm_1", NOW_MS))
    up.service.page(up.token())
    assert up.steps == []


def test_a_page_that_is_closed_was_dismissed_though_its_link_is_over() -> None:
    up = Upgrade()
    token = up.blocked_token()
    up.clock.now_ms += LINK_SECONDS * 1000
    up.service.dismiss(token)
    (step,) = up.steps
    assert (step.kind, step.prompt_id, step.trigger, step.tier, step.at_ms) == (
        StepKind.DISMISSED,
        "prm_1",
        "daily",
        "free",
        up.clock.now_ms,
    )
    up.clock.now_ms += 3 * 3_600_000
    with pytest.raises(LinkError):
        up.service.dismiss(token)
    assert len(up.steps) == 1


def test_what_was_paid_is_not_dismissed() -> None:
    up = Upgrade()
    up.ledger.grant(Grant("ada", "pi_1", "starter", 1, 500, "usd", None, "prm_1", NOW_MS))
    up.service.dismiss(up.token())
    assert up.steps == []


def test_what_is_not_for_sale_was_not_chosen() -> None:
    up = Upgrade()
    with pytest.raises(Problem):
        up.service.start_checkout(up.token(), "pack", "gold", PAGE)
    assert up.steps == []


def test_a_checkout_that_does_not_open_was_chosen_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    up = Upgrade()

    def away(*_: Any) -> Any:
        raise BillingError("away")

    monkeypatch.setattr(up.billing, "create_checkout", away)
    with pytest.raises(BillingError):
        up.service.start_checkout(up.token(), "plan", "pro_monthly", PAGE)
    assert [(s.kind.value, s.offer, s.trigger) for s in up.steps] == [
        ("option_clicked", "pro_monthly", "button")
    ]


def test_the_terms_carry_the_cause_to_the_payment() -> None:
    up = Upgrade()
    up.service.start_checkout(up.blocked_token(), "pack", "starter", PAGE)
    (request,) = up.billing.requests
    webhook = Webhook()
    webhook(event("checkout.session.completed", session(metadata=dict(request.metadata))))
    (paid,) = webhook.steps
    assert (paid.kind, paid.trigger, paid.tier, paid.offer) == (
        StepKind.PAID,
        "daily",
        "free",
        "starter",
    )
    assert (paid.minor, paid.currency, paid.at_ms) == (500, "usd", NOW_S * 1000)


def test_each_step_is_of_the_variant_that_its_user_sees() -> None:
    up = Upgrade()
    up.config.config = in_experiment(holdout=50)
    assert up.config.config.experiment is not None
    shares = {"ada": "copy:short", "bob": "copy:holdout"}
    assert {u: assign(up.config.config.experiment, u).label for u in shares} == shares
    for user_id, label in shares.items():
        token = up.token(user_id, f"prm_{user_id}")
        up.service.page(token)
        up.service.start_checkout(token, "pack", "starter", PAGE)
        up.service.start_checkout(token, "plan", "pro_monthly", PAGE)
        pack, plan = (dict(one.metadata) for one in up.billing.requests[-2:])
        webhook = Webhook()
        webhook(event("checkout.session.completed", session(metadata=pack)))
        webhook(event("checkout.session.expired", session(mode="subscription", metadata=plan)))
        webhook(event("invoice.paid", invoice(PlanTerms.read(plan))))
        told = [*up.steps, *webhook.steps]
        assert len(told) == 8
        assert {step.variant for step in told} == {label}
        up.steps.clear()


def test_another_plan_leaves_no_variant_of_the_one_before() -> None:
    terms = replace(CREDIT_PLAN, trigger="daily", from_tier="free", variant="copy:short")
    bare = replace(terms, trigger="", from_tier="", variant="")
    assert bare.in_place_of(STAGE).items() >= {("trigger", ""), ("from_tier", ""), ("variant", "")}
    assert PlanTerms.read({**terms.metadata(STAGE), **bare.in_place_of(STAGE)}) == bare


@pytest.mark.parametrize("variant", ["short", "copy:Short", "copy:", ":short", "a:b:c", "copy|x"])
def test_a_variant_that_cannot_be_is_refused(variant: str) -> None:
    with pytest.raises(TermsError, match=r"metadata\.variant"):
        PackTerms.read({**PACK.metadata(STAGE), "variant": variant})
    step = Step(
        kind=StepKind.PAID, prompt_id="p", user_id="u", at_ms=1, trigger="", variant=variant
    )
    with pytest.raises(ValidationError):
        read_step_message(step_message(step))


def test_every_delivery_tells_again_for_the_last_may_have_died() -> None:
    webhook = Webhook()
    webhook(COMPLETED)
    webhook(COMPLETED)
    assert len(webhook.steps) == 2
    assert webhook.steps[0] == webhook.steps[1]


def test_nothing_is_paid_before_it_is() -> None:
    webhook = Webhook()
    webhook(event("checkout.session.completed", session(payment_status="unpaid")))
    webhook(event("checkout.session.async_payment_failed", session()))
    assert webhook.steps == []


BOUGHT = replace(CREDIT_PLAN, trigger="daily", from_tier="free")
UPGRADE = replace(BOUGHT, prompt_id="prm_2", plan="max_monthly", trigger="button", from_tier="pro")


def bill(webhook: Webhook, name: str, reason: str, minor: int, terms: PlanTerms = BOUGHT) -> None:
    told = invoice(terms, id=name, billing_reason=f"subscription_{reason}", amount_paid=minor)
    if not minor:
        told["lines"]["data"] = [line(0)]
    webhook(event("invoice.paid", told))


def test_a_plan_is_bought_with_its_first_paid_invoice_and_not_with_its_renewals() -> None:
    webhook = Webhook()
    bill(webhook, "in_1", "create", 1200)
    for n in range(2, 14):
        bill(webhook, f"in_{n}", "cycle", 1200)
    bill(webhook, "in_1", "create", 1200)  # a reconciliation, a year later
    assert [(s.kind.value, s.minor, s.trigger, s.tier, s.offer) for s in webhook.steps] == [
        ("paid", 1200, "daily", "free", "pro_monthly")
    ] * 2
    firsts = [p for p in webhook.archive.postings.values() if p.kind == "first"]
    assert [(p.set_id, p.terms["invoice_id"]) for p in firsts] == [("first:jo.77:prm_1", "in_1")]
    causes = [granted.cause for granted in webhook.ledger.granted.values()]
    assert causes == [BOUGHT.cause, *[None] * 12]


@pytest.mark.parametrize("reason", ["cycle", "update"])
def test_a_trial_is_bought_when_it_is_first_paid(reason: str) -> None:
    webhook = Webhook()
    bill(webhook, "in_1", "create", 0)
    assert webhook.steps == []
    bill(webhook, "in_2", reason, 1200)
    bill(webhook, "in_3", "cycle", 1200)
    assert [(step.prompt_id, step.minor) for step in webhook.steps] == [("prm_1", 1200)]


def test_a_change_of_plan_is_bought_with_what_is_paid_for_it() -> None:
    webhook = Webhook()
    bill(webhook, "in_1", "create", 1200)
    bill(webhook, "in_2", "update", 3100, UPGRADE)
    bill(webhook, "in_3", "cycle", 5000, UPGRADE)
    bill(webhook, "in_4", "update", 700, UPGRADE)  # by the owner, in Stripe's dashboard
    assert [(s.prompt_id, s.minor, s.offer, s.tier) for s in webhook.steps] == [
        ("prm_1", 1200, "pro_monthly", "free"),
        ("prm_2", 3100, "max_monthly", "pro"),
    ]


def test_what_no_prompt_began_and_what_is_the_owners_own_is_no_step() -> None:
    webhook = Webhook()
    bill(webhook, "in_1", "cycle", 1200, BOUGHT.without_cause)
    told = invoice(BOUGHT, id="in_2", billing_reason="manual")
    webhook(event("invoice.paid", told))
    assert webhook.steps == []
    assert webhook.ledger.first_payments == {}


@pytest.mark.parametrize(
    ("mode", "terms", "offer"),
    [("payment", PACK, "starter"), ("subscription", CREDIT_PLAN, "pro_monthly")],
)
def test_a_checkout_that_nobody_paid_expires(mode: str, terms: Any, offer: str) -> None:
    webhook = Webhook()
    over = session(mode=mode, metadata=terms.metadata(STAGE))
    webhook(event("checkout.session.expired", over))
    assert [(s.kind, s.offer, s.prompt_id) for s in webhook.steps] == [
        (StepKind.EXPIRED, offer, "prm_1")
    ]


@pytest.mark.parametrize(
    ("reason", "trigger"),
    [
        (None, "button"),
        (LinkReason("limit_reached", "weekly", NOW_MS), "weekly"),
        (LinkReason("hard_limit_reached", "daily", NOW_MS), "daily"),
        (LinkReason("limit_reached"), "call"),
        (LinkReason("low_balance"), "button"),
    ],
)
def test_what_led_to_a_prompt(reason: LinkReason | None, trigger: str) -> None:
    assert trigger_of(reason) == trigger
