"""Every event that is handled, in Stripe's own published shapes, as `stripe` itself reads it."""

import copy
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import stripe
from tollkeeper_core.adapters.stripe_billing import StripeEvents
from tollkeeper_core.domain.purchases import Purchase
from tollkeeper_core.services.stripe_events.apply import ApplyStripeEvent
from tollkeeper_core.services.stripe_events.event import Effect

from infra.setup.stripe_endpoint import EVENTS
from tests.support.webhook import (
    CREDIT_PLAN,
    NOW_S,
    PACK,
    STAGE,
    Webhook,
    charge,
    dispute,
    event,
    invoice,
    refund,
    session,
    subscription,
    warning,
)

EXAMPLES_FILE = Path(__file__).parents[3] / "shared" / "stripe" / "fixtures3.json"
SECRET = "whsec_of_this_endpoint"

#: By the beginning of a type: what it is about, and what of it is ours.
SUBJECTS: dict[str, tuple[str, dict[str, Any]]] = {
    "checkout.session.": ("checkout.session", session()),
    "customer.subscription.": (
        "subscription",
        subscription(metadata=CREDIT_PLAN.metadata(STAGE), pause_collection=None),
    ),
    "invoice.": ("invoice", invoice()),
    "charge.refunded": ("charge", charge()),
    "charge.refund.": ("refund", refund()),
    "refund.": ("refund", refund()),
    "charge.dispute.": ("dispute", dispute()),
    "radar.": ("radar.early_fraud_warning", warning()),
    "payment_intent.": (
        "payment_intent",
        {
            "amount_received": 1099,
            "metadata": {**PACK.metadata(STAGE), "auto_top_up": "1"},
        },
    ),
}
EFFECTS = {
    "checkout.session.completed": Effect.GRANTED,
    "checkout.session.async_payment_succeeded": Effect.GRANTED,
    "checkout.session.async_payment_failed": Effect.NOT_PAID,
    "checkout.session.expired": Effect.NOT_PAID,
    "payment_intent.succeeded": Effect.GRANTED,
    "payment_intent.payment_failed": Effect.NOT_PAID,
    "invoice.paid": Effect.GRANTED,
    "invoice.payment_failed": Effect.NOT_PAID,
    "customer.subscription.created": Effect.SUBSCRIPTION,
    "customer.subscription.updated": Effect.SUBSCRIPTION,
    "customer.subscription.paused": Effect.SUBSCRIPTION,
    "customer.subscription.resumed": Effect.SUBSCRIPTION,
    "customer.subscription.deleted": Effect.SUBSCRIPTION,
    "charge.refunded": Effect.CLAIMED,
    "charge.refund.updated": Effect.CLAIMED,
    "refund.created": Effect.CLAIMED,
    "refund.updated": Effect.CLAIMED,
    "refund.failed": Effect.CLAIMED,
    "charge.dispute.created": Effect.CLAIMED,
    "charge.dispute.updated": Effect.CLAIMED,
    "charge.dispute.closed": Effect.CLAIMED,
    "charge.dispute.funds_withdrawn": Effect.CLAIMED,
    "charge.dispute.funds_reinstated": Effect.CLAIMED,
    "radar.early_fraud_warning.created": Effect.CLAIMED,
    "radar.early_fraud_warning.updated": Effect.CLAIMED,
}


@pytest.fixture(scope="module")
def examples() -> dict[str, Any]:
    if not EXAMPLES_FILE.is_file():
        if os.environ.get("CI"):
            pytest.fail(f"{EXAMPLES_FILE} is missing: the shapes are not tried")
        pytest.skip(f"{EXAMPLES_FILE} is not there: Stripe's published examples were not tried")
    found: dict[str, Any] = json.loads(EXAMPLES_FILE.read_text("utf-8"))["resources"]
    return found


def over(example: Any, mine: Any) -> Any:
    """``mine`` laid over the example: every other field stays as Stripe shows it."""
    if isinstance(example, dict) and isinstance(mine, dict):
        return {
            **example,
            **{name: over(example.get(name), value) for name, value in mine.items()},
        }
    if isinstance(example, list) and isinstance(mine, list) and example:
        return [over(example[0], one) for one in mine]
    return mine


def sent(examples: dict[str, Any], kind: str, mark: bool = True) -> bytes:
    """The body of an event of this type."""
    [(name, mine)] = [found for begins, found in SUBJECTS.items() if kind.startswith(begins)]
    subject = over(copy.deepcopy(examples[name]), mine)
    text = json.dumps(over(examples["event"], event(kind, subject)), indent=2)
    return (text if mark else text.replace('"tollkeeper"', '"somebody"')).encode()


def service(webhook: Webhook) -> ApplyStripeEvent:
    """With the real signature check."""
    return replace(webhook.service, events=StripeEvents((SECRET,)))


@pytest.mark.parametrize("kind", EFFECTS)
def test_an_event_as_stripe_publishes_and_reads_it(examples: dict[str, Any], kind: str) -> None:
    body = sent(examples, kind)
    header = stripe.WebhookSignature.generate_signature_header(
        body.decode(), SECRET, int(time.time())
    )
    parsed = stripe.Webhook.construct_event(body, header, SECRET)
    assert (parsed.type, parsed.created) == (kind, NOW_S)
    webhook = Webhook()
    webhook.stripe.purchases["pi_1"] = Purchase("pi_1", PACK.metadata(STAGE))
    webhook.stripe.refunds["pi_1"] = [over(copy.deepcopy(examples["refund"]), refund())]
    apply = service(webhook)
    assert apply(body, header).effect is EFFECTS[kind]
    again = apply(body, header).effect
    assert again in {EFFECTS[kind], Effect.ALREADY_GRANTED}


@pytest.mark.parametrize("kind", EFFECTS)
def test_one_of_another_product_is_acknowledged(examples: dict[str, Any], kind: str) -> None:
    body = sent(examples, kind, mark=False)
    header = stripe.WebhookSignature.generate_signature_header(
        body.decode(), SECRET, int(time.time())
    )
    webhook = Webhook()
    assert service(webhook)(body, header).effect is Effect.NOT_OURS
    assert not webhook.archive.postings
    assert not webhook.bus.told


def test_every_event_that_is_handled_is_here() -> None:
    assert set(EFFECTS) == set(Webhook().service._actions)
    assert set(EFFECTS) <= set(EVENTS)
