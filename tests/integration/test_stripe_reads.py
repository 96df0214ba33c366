"""Whose payment it was: asked of a Stripe, with bounds, and never guessed."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tollkeeper_core.adapters import stripe_reads
from tollkeeper_core.adapters.stripe_reads import StripeReads
from tollkeeper_core.domain.purchases import PurchaseLookupError

from infra.local.stripe_local import LocalStripe
from tests.support import loopback
from tests.support.stripe_local import PLAN, client_of, open_session, press
from tests.support.upgrade import STAGE
from tests.support.webhook import CREDIT_PLAN, PACK


@pytest.fixture(scope="module")
def server() -> Iterator[LocalStripe]:
    with LocalStripe() as running:
        yield running


@pytest.fixture
def reads(server: LocalStripe) -> StripeReads:
    return StripeReads(server.secret_key, server.url)


def test_a_packs_payment_carries_its_terms(server: LocalStripe, reads: StripeReads) -> None:
    client, metadata = client_of(server), PACK.metadata(STAGE)
    session = open_session(client, metadata=metadata, payment_intent_data={"metadata": metadata})
    press(session, "pay")
    intent = client.v1.checkout.sessions.retrieve(session.id).payment_intent
    found = reads.paid_by(intent)
    assert found is not None
    assert (found.purchase_id, found.metadata) == (intent, metadata)
    charge = client.v1.payment_intents.retrieve(intent).latest_charge
    assert reads.payment_of(charge) == intent


def test_a_plans_payment_is_known_by_its_invoice(server: LocalStripe, reads: StripeReads) -> None:
    client, metadata = client_of(server), CREDIT_PLAN.metadata(STAGE)
    session = open_session(
        client,
        "subscription",
        line_items=[PLAN],
        metadata=metadata,
        subscription_data={"metadata": metadata},
    )
    press(session, "pay")
    invoice = client.v1.checkout.sessions.retrieve(session.id).invoice
    (paid,) = client.v1.invoice_payments.list({"invoice": invoice}).data
    found = reads.paid_by(paid.payment.payment_intent)
    assert found is not None
    assert (found.purchase_id, found.metadata) == (invoice, metadata)


@pytest.mark.parametrize("mode", ["payment", "subscription"])
def test_what_was_sold_by_somebody_else_is_no_purchase(
    server: LocalStripe, reads: StripeReads, mode: str
) -> None:
    client = client_of(server)
    before = {intent.id for intent in client.v1.payment_intents.list().data}
    press(open_session(client, mode), "pay")
    (intent,) = {i.id for i in client.v1.payment_intents.list().data} - before
    assert reads.paid_by(intent) is None


def test_what_this_key_cannot_see_is_an_error_and_not_a_stranger(reads: StripeReads) -> None:
    """A key of another account, or of test mode, would lose every refund without a word."""
    for ask in (reads.paid_by, reads.payment_of):
        with pytest.raises(PurchaseLookupError, match="resource_missing") as raised:
            ask("pi_of_another_account")
        assert reads.secret_key not in str(raised.value)


@contextmanager
def answering(answer: Any) -> Iterator[tuple[str, list[str]]]:
    """A Stripe that answers every GET by ``answer(path)`` -> (status, object)."""
    asked: list[str] = []

    def of(request: loopback.Request) -> loopback.Answer:
        asked.append(request.target)
        status, found = answer(request.target)
        json_headers = [("Content-Type", "application/json")]
        return loopback.Answer(status, json_headers, json.dumps(found).encode())

    with loopback.serve(of) as address:
        yield address, asked


def test_all_refunds_of_a_payment_are_read_page_by_page() -> None:
    refunds = [{"id": f"re_{n}", "object": "refund", "amount": n} for n in range(3)]

    def pages(path: str) -> tuple[int, Any]:
        first = "starting_after" not in path
        some = refunds[:2] if first else refunds[2:]
        return 200, {"object": "list", "data": some, "has_more": first, "url": "/v1/refunds"}

    with answering(pages) as (url, asked):
        assert StripeReads("sk_test_1", url).refunds_of("pi_1") == refunds
    assert all("payment_intent=pi_1" in path for path in asked)
    assert "starting_after=re_1" in asked[1]


def test_a_stripe_that_fails_is_asked_twice_and_then_the_event_comes_again() -> None:
    with answering(lambda _: (500, {"error": {"type": "api_error"}})) as (url, asked):
        with pytest.raises(PurchaseLookupError, match="APIError"):
            StripeReads("sk_test_1", url).paid_by("pi_1")
        assert len(asked) == 2


def test_a_stripe_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe_reads, "_TIMEOUT_S", 0.1)

    def slow(_path: str) -> tuple[int, Any]:
        time.sleep(0.5)
        return 200, {}

    with answering(slow) as (url, asked):
        with pytest.raises(PurchaseLookupError, match="APIConnectionError"):
            StripeReads("sk_test_1", url).payment_of("ch_1")
        assert len(asked) == 2


def test_three_reads_fit_into_the_functions_time() -> None:
    tries = 1 + stripe_reads._RETRIES
    wait_s = 1.0  # between two tries at most (stripe's own first step)
    assert 3 * (tries * stripe_reads._TIMEOUT_S + wait_s) < 30 - 5
