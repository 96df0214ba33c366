"""From the click to the credits: the page, a Stripe, its signed webhooks and a real Redis."""

import base64
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import pytest
import stripe
from tollkeeper_core import bootstrap, telemetry
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.adapters.stripe_billing import (
    StripeBilling,
    StripeEvents,
    parse_webhook_secrets,
)
from tollkeeper_core.adapters.stripe_reads import StripeReads
from tollkeeper_core.domain.billing import BillingError, CheckoutRequest, ForgedEventError
from tollkeeper_core.domain.links import LINK_SECONDS, LinkClaims, sign_link
from tollkeeper_core.domain.movements import PromptState
from tollkeeper_core.domain.purchases import Purchases
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.stripe_events.apply import ApplyStripeEvent
from tollkeeper_core.services.stripe_events.books import Books
from tollkeeper_core.services.upgrade import UpgradeService

from functions.stripe_webhook.app import handler
from infra.local.stripe_local import LocalStripe, Retry
from tests.support.function_server import Context, serve_function, url_event
from tests.support.memory_ledger import MemoryAnnouncements, MemoryArchive
from tests.support.stripe_local import client_of, open_session, press, until
from tests.support.upgrade import KEY, STAGE, example_config
from tests.support.webhook import MemoryPurchases

T = TypeVar("T")
PAGE = "http://127.0.0.1:1"
SECRET = "whsec_test_of_the_webhook"


def clock() -> int:
    return time.time_ns() // 1_000_000


def token(prompt_id: str, user_id: str = "ada") -> str:
    return sign_link(LinkClaims(user_id, prompt_id, clock() + LINK_SECONDS * 1000), KEY)


@pytest.fixture
def archive() -> MemoryArchive:
    return MemoryArchive()


@pytest.fixture
def wire(
    monkeypatch: pytest.MonkeyPatch, store: RedisStore, archive: MemoryArchive
) -> Callable[..., None]:
    """Wire the handler to the real Redis, with a webhook secret, and a Stripe to look things up."""
    store.publish(example_config(), 1)
    monkeypatch.setattr(telemetry.metrics.provider, "namespace", "Tollkeeper")

    def use(secret: str, reads: Purchases | None = None) -> None:
        events = StripeEvents(parse_webhook_secrets(secret))
        books = Books(store, archive, MemoryAnnouncements(), STAGE, clock, [].extend)
        configs = ConfigCache(store.load, example_config, clock)
        service = ApplyStripeEvent(books, events, configs, reads or MemoryPurchases())
        monkeypatch.setattr(bootstrap, "apply_stripe_event", lambda: service)

    return use


@dataclass
class Shop:
    """A page, a Stripe and a webhook, all connected."""

    stripe: LocalStripe
    client: stripe.StripeClient
    service: UpgradeService

    def buy(self, prompt_id: str, kind: Any, name: str, action: str = "pay", **more: str) -> Any:
        started = self.service.start_checkout(token(prompt_id), kind, name, PAGE)
        session = self.client.v1.checkout.sessions.retrieve(started.session_id)
        press(session, action, **more)
        return session

    def balance(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.service.page(token("prm_look")).usage["credits"]
        return found

    def resend(self, kind: str) -> None:
        """Send every event of a type once more, and wait until it has been answered."""
        events = [e for e in self.client.v1.events.list().data if e.type == kind]
        assert events
        for event in events:
            before = self._answered(event.id)
            httpx.post(f"{self.stripe.url}/_local/events/{event.id}/resend").raise_for_status()
            until(lambda e=event, b=before: self._answered(e.id) > b, f"{kind} again")

    def _answered(self, event_id: str) -> int:
        return sum(
            delivery["status"] == "succeeded"
            for delivery in list(self.stripe.account.state.deliveries.values())
            if delivery["event"] == event_id
        )


@pytest.fixture
def shop(wire: Callable[..., None], store: RedisStore) -> Iterator[Shop]:
    with (
        serve_function(handler) as webhook,
        LocalStripe(retry=Retry(delays_s=(0.05,) * 40), delayed_s=0.05) as server,
    ):
        client = client_of(server)
        endpoint = client.v1.webhook_endpoints.create({"url": webhook, "enabled_events": ["*"]})
        reads = StripeReads(server.secret_key, server.url)
        wire(f"{SECRET},{endpoint.secret}", reads)
        billing = StripeBilling(server.secret_key, server.url)
        configs = ConfigCache(store.load, example_config, clock)
        yield Shop(
            server,
            client,
            UpgradeService(store, configs, billing, store, (KEY,), STAGE, clock, [].extend),
        )


# -- Purchases -------------------------------------------------------------------------------------


def test_a_paid_pack_is_credit_once_however_often_it_is_told(shop: Shop, archive: MemoryArchive):
    shop.buy("prm_1", "pack", "starter")
    until(lambda: shop.service.status(token("prm_1"))["state"] == "paid", "the grant")
    expected = [{"currency": "usd", "balance_minor": 500, "display": "$5.00"}]
    assert shop.balance() == expected
    for _ in range(2):
        shop.resend("checkout.session.completed")
    assert shop.balance() == expected
    assert len(archive.postings) == 4 + 1  # the grant, and who bought
    assert shop.service.status(token("prm_1", "bob")) == {"state": "open"}


def test_what_stripe_was_told_is_what_the_payer_saw(shop: Shop):
    session = shop.buy("prm_1", "pack", "plus")
    assert (session.amount_total, session.currency, session.mode) == (2000, "usd", "payment")
    assert session.client_reference_id == "ada"
    assert session.metadata["credit_nano"] == "17000000000"
    intent = shop.client.v1.payment_intents.retrieve(
        shop.client.v1.checkout.sessions.retrieve(session.id).payment_intent
    )
    assert intent.metadata == session.metadata


def paid(shop: Shop, card: str = "") -> str:
    """The starter pack, bought; the id of its charge."""
    shop.buy("prm_1", "pack", "starter", **({"card": card} if card else {}))
    until(lambda: shop.service.status(token("prm_1"))["state"] == "paid", "the grant")
    (charge,) = shop.client.v1.charges.list().data
    return str(charge.id)


def shown(shop: Shop) -> list[str]:
    return [credit["display"] for credit in shop.balance()]


def test_refunds_take_their_part_of_the_credits_and_a_failed_one_gives_it_back(shop: Shop):
    charge = paid(shop)
    first = shop.client.v1.refunds.create({"charge": charge, "amount": 200})
    until(lambda: shown(shop) == ["$3.00"], "the refund")
    for kind in ("refund.created", "charge.refunded"):
        shop.resend(kind)
    assert shown(shop) == ["$3.00"]
    httpx.post(f"{shop.stripe.url}/_local/refunds/{first.id}/fail").raise_for_status()
    until(lambda: shown(shop) == ["$5.00"], "what came back")
    shop.client.v1.refunds.create({"charge": charge})
    until(lambda: shown(shop) == [], "all of it")


@pytest.mark.parametrize(("outcome", "left"), [("win", ["$5.00"]), ("lose", [])])
def test_a_dispute_freezes_what_is_left_until_it_is_decided(
    shop: Shop, outcome: str, left: list[str]
):
    charge = paid(shop)
    httpx.post(f"{shop.stripe.url}/_local/charges/{charge}/dispute").raise_for_status()
    until(lambda: shown(shop) == ["$0.00"], "the freeze")
    assert shop.balance()[0]["on_hold_display"] == "$5.00"
    (dispute,) = shop.client.v1.disputes.list().data
    httpx.post(f"{shop.stripe.url}/_local/disputes/{dispute.id}/{outcome}").raise_for_status()
    until(lambda: shown(shop) == left, "the decision")
    for kind in ("charge.dispute.created", "charge.dispute.closed"):
        shop.resend(kind)
    assert shown(shop) == left


def test_a_double_click_is_one_session(shop: Shop):
    link = token("prm_1")
    first, second = (
        shop.service.start_checkout(link, "pack", "starter", PAGE).session_id for _ in range(2)
    )
    if first != second:  # the minute turned in between
        second = shop.service.start_checkout(link, "pack", "starter", PAGE).session_id
        first = shop.service.start_checkout(link, "pack", "starter", PAGE).session_id
    assert first == second


def test_a_bank_debit_counts_when_it_has_settled(shop: Shop):
    shop.buy("prm_1", "pack", "starter", "pay-delayed")
    until(lambda: shop.service.status(token("prm_1"))["state"] == "paid", "the settled debit")
    assert [credit["display"] for credit in shop.balance()] == ["$5.00"]
    shop.resend("checkout.session.completed")  # it was not paid then
    shop.resend("checkout.session.async_payment_succeeded")
    assert [credit["display"] for credit in shop.balance()] == ["$5.00"]


def test_a_declined_card_grants_nothing(shop: Shop, archive: MemoryArchive):
    shop.buy("prm_1", "pack", "starter", "decline")
    assert shop.service.status(token("prm_1")) == {"state": "open"}
    assert not archive.postings


def test_a_plan_gives_its_tier_and_takes_it_at_its_end(shop: Shop, store: RedisStore):
    shop.buy("prm_1", "plan", "pro_monthly")
    until(lambda: store.prompt_state("ada", "prm_1") is PromptState.PAID, "the tier")
    assert shop.service.page(token("prm_2")).usage["tier"] == "pro"
    (subscription,) = shop.client.v1.subscriptions.list().data
    assert subscription.metadata["tier"] == "pro"
    shop.client.v1.subscriptions.cancel(subscription.id)
    until(lambda: shop.service.page(token("prm_2")).usage["tier"] == "free", "the end")
    for kind in ("created", "updated", "deleted"):
        if any(e.type.endswith(f"subscription.{kind}") for e in shop.client.v1.events.list().data):
            shop.resend(f"customer.subscription.{kind}")
    assert shop.service.page(token("prm_2")).usage["tier"] == "free"


def test_a_purchase_of_another_product_is_left_alone(shop: Shop, archive: MemoryArchive):
    press(open_session(shop.client), "pay")
    until(
        lambda: all(
            delivery["status"] == "succeeded"
            for delivery in list(shop.stripe.account.state.deliveries.values())
        ),
        "the webhooks",
    )
    assert not archive.postings


def test_an_archive_that_is_away_makes_stripe_send_it_again(shop: Shop, archive: MemoryArchive):
    archive.down = True
    shop.buy("prm_1", "pack", "starter")
    until(lambda: shop.service.status(token("prm_1"))["state"] == "paid", "the grant")
    assert not archive.postings
    archive.down = False
    until(lambda: len(archive.postings) == 4 + 1, "the postings")


def test_a_stripe_that_is_away_is_a_billing_error():
    billing = StripeBilling("sk_test_x", "http://127.0.0.1:9")
    request = CheckoutRequest("ada", "cus_1", "x", 1, "usd", None, {}, PAGE, PAGE, 1)
    with pytest.raises(BillingError, match="APIConnectionError") as raised:
        billing.create_checkout(request)
    assert "sk_test_x" not in str(raised.value)


def test_a_checkout_that_stripe_refuses_is_a_billing_error(shop: Shop):
    request = CheckoutRequest("ada", "cus_1", "x", -1, "usd", None, {}, PAGE, PAGE, 1)
    with pytest.raises(BillingError, match="InvalidRequestError"):
        shop.service.billing.create_checkout(request)


def test_where_checkouts_are_paid():
    assert StripeBilling("sk_test_x").checkout_origins == (
        "https://checkout.stripe.com",
        "https://billing.stripe.com",
    )
    local = StripeBilling("sk_test_x", "http://127.0.0.1:12111/base")
    assert local.checkout_origins == ("http://127.0.0.1:12111",)


# -- Signatures ------------------------------------------------------------------------------------


COMPLETED = {
    "id": "evt_1",
    "object": "event",
    "type": "checkout.session.completed",
    "created": int(time.time()),
    "data": {
        "object": {
            "id": "cs_forged",
            "mode": "payment",
            "payment_status": "paid",
            "payment_intent": "pi_forged",
            "amount_total": 500,
            "currency": "usd",
            "metadata": {
                "tollkeeper": STAGE,
                "user_id": "ada.lovelace",
                "prompt_id": "prm_1",
                "pack": "starter",
                "credit_nano": "4000000000",
                "price_minor": "500",
                "currency": "usd",
            },
        }
    },
}
BODY = json.dumps(COMPLETED, ensure_ascii=False).encode()


def signed(body: bytes, secret: str = SECRET, age_s: int = 0) -> dict[str, str]:
    at = int(time.time()) - age_s
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at)
    return {"stripe-signature": header}


def deliver(body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    returned = handler(url_event("POST", "/", body=body, headers=headers), Context())
    return returned["statusCode"], json.loads(returned["body"])


def test_a_signed_event_is_applied(wire: Callable[[str], None], archive: MemoryArchive):
    wire(SECRET)
    assert deliver(BODY, signed(BODY)) == (
        200,
        {"event_id": "evt_1", "type": "checkout.session.completed", "effect": "granted"},
    )
    assert deliver(BODY, signed(BODY))[1]["effect"] == "already_granted"
    assert len(archive.postings) == 3 + 1


def test_two_secrets_hold_while_they_rotate(wire: Callable[[str], None]):
    wire(f"whsec_new, {SECRET}")
    assert deliver(BODY, signed(BODY))[0] == 200
    assert deliver(BODY, signed(BODY, "whsec_new"))[0] == 200
    assert deliver(BODY, signed(BODY, "whsec_old"))[0] == 400


@pytest.mark.parametrize("encoded", [False, True])
def test_the_exact_bytes_are_verified(wire: Callable[[str], None], encoded: bool):
    wire(SECRET)
    body = BODY.replace(b'{"id"', b'{ "\xc3\xbc": "\\u00fc",\r\n"id"')
    event = url_event("POST", "/", headers=signed(body))
    event["isBase64Encoded"] = encoded
    event["body"] = base64.b64encode(body).decode() if encoded else body.decode()
    assert handler(event, Context())["statusCode"] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"stripe-signature": ""},
        {"stripe-signature": "nonsense"},
        {"stripe-signature": "t=1,v1=00"},
        {"stripe-signature": f"t={int(time.time())},v0=00"},
        signed(BODY, "whsec_of_somebody_else"),
        signed(BODY + b" "),
        signed(BODY, age_s=301),
    ],
)
def test_a_forged_event_changes_nothing(
    wire: Callable[[str], None],
    archive: MemoryArchive,
    store: RedisStore,
    headers: dict[str, str],
):
    wire(SECRET)
    status, problem = deliver(BODY, headers)
    assert (status, problem["code"]) == (400, "bad_signature")
    assert not archive.postings
    assert store.prompt_state("ada.lovelace", "prm_1") is PromptState.OPEN


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"not json", b"[" * 100_000])
def test_bytes_that_nobody_signed_are_not_even_parsed(wire: Callable[[str], None], body: bytes):
    wire(SECRET)
    headers = {"stripe-signature": f"t={int(time.time())},v1=00"}
    assert deliver(body, headers)[0] == 400


def test_a_body_without_bounds_is_refused(wire: Callable[[str], None]):
    wire(SECRET)
    body = b" " * (512 * 1024 + 1)
    assert deliver(body, signed(body))[0] == 413
    within = BODY + b" " * (300 * 1024)
    assert deliver(within, signed(within))[0] == 200


def test_an_event_of_ours_that_cannot_be_used_is_not_lost(wire: Callable[[str], None]):
    wire(SECRET)
    body = BODY.replace(b'"4000000000"', b'"-1"')
    status, problem = deliver(body, signed(body))
    assert (status, problem["code"]) == (500, "unusable_event")


@pytest.mark.parametrize("body", [b"[]", b"{", b"null"])
def test_what_is_signed_and_no_event_is_not_lost(wire: Callable[[str], None], body: bytes):
    wire(SECRET)
    assert deliver(body, signed(body))[0] == 500


def test_without_a_secret_nothing_is_taken():
    for secret in ("", " ", "a,,b", "a,b,c"):
        with pytest.raises(ValueError, match="stripe_webhook_secret"):
            parse_webhook_secrets(secret)
    with pytest.raises(ForgedEventError):
        StripeEvents(()).open(BODY, signed(BODY)["stripe-signature"])


def test_the_log_names_events_and_nobody(
    wire: Callable[[str], None], archive: MemoryArchive, monkeypatch: pytest.MonkeyPatch
):
    wire(SECRET)
    log = io.StringIO()
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", log)
    deliver(BODY, signed(BODY))
    deliver(BODY, {})
    archive.down = True
    deliver(BODY, signed(BODY))
    broken = BODY.replace(b'"4000000000"', b'"-1"')
    deliver(broken, signed(broken))
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["level"] for line in lines] == ["INFO", "WARNING", "ERROR", "ERROR", "ERROR"]
    assert lines[0]["event_id"] == "evt_1"
    for secret in ("lovelace", SECRET, "v1=", "4000000000"):
        assert secret not in log.getvalue()


def test_it_is_counted(wire: Callable[[str], None], capsys: pytest.CaptureFixture[str]):
    wire(SECRET)
    deliver(BODY, signed(BODY))
    deliver(BODY, signed(BODY))
    deliver(BODY, {})
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    counted = [
        {k: v for k, v in line.items() if k.startswith(("Webhook", "Credits"))} for line in lines
    ]
    assert counted == [
        {"WebhookEvent": [1.0], "CreditsGranted": [1.0]},
        {"WebhookEvent": [1.0]},
        {"WebhookRejected": [1.0]},
    ]
