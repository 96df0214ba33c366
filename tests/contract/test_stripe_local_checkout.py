"""The local Stripe's Checkout page: what each button does to the account, and what it tells."""

import copy

import pytest
import stripe

from infra.local.stripe_local import LocalStripe
from tests.support.stripe_local import (
    CANCEL_URL,
    PACK,
    PAYER,
    Page,
    count_events,
    events_since,
    find_event,
    get,
    open_session,
    post,
    press,
    reload,
    until,
)

# --- The page itself -----------------------------------------------------------------------------


def test_the_page_shows_the_order_and_refuses_to_be_framed(client: stripe.StripeClient) -> None:
    evil = copy.deepcopy(PACK)
    evil["price_data"]["product_data"]["name"] = "<script>alert(1)</script>"
    session = open_session(client, line_items=[{**PACK, "quantity": 2}, evil])
    answer = get(session.url)
    page = Page(answer)
    assert answer.status_code == 200
    assert answer.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert page.scripts == 0
    assert "Local Stripe , no real money" in page.text
    assert "Starter Qty 2 $10.00" in page.text
    assert "Total due today $15.00" in page.text
    assert page.form_action == f"/c/pay/{session.id}"
    for button in ("pay", "decline", "pay-delayed", "cancel"):
        tag, attributes = page.elements[button]
        assert (tag, attributes["name"], attributes["value"]) == ("button", "action", button)
    sheet = get(str(answer.url.join("/_local/static/stripe_local.css")))
    assert sheet.headers["content-type"].startswith("text/css")


@pytest.mark.parametrize(
    ("currency", "amount", "shown", "delayed"),
    [
        ("jpy", 500, "¥500", False),
        ("eur", 1234, "€12.34", True),
        ("kwd", 5500, "5.500 KWD", False),
    ],
)
def test_the_page_speaks_the_currency(
    client: stripe.StripeClient, currency: str, amount: int, shown: str, delayed: bool
) -> None:
    line = copy.deepcopy(PACK)
    line["price_data"] |= {"currency": currency, "unit_amount": amount}
    page = Page(get(open_session(client, line_items=[line]).url))
    assert f"Total due today {shown}" in page.text
    assert ("pay-delayed" in page.elements) is delayed


def test_a_plan_is_shown_with_its_interval(client: stripe.StripeClient) -> None:
    page = Page(get(open_session(client, "subscription").url))
    assert "Subscribe to Pro $12.00 per month" in page.text


def test_the_page_knows_the_customer(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"email": "known@example.com", "name": "Known"})
    page = Page(get(open_session(client, customer=customer.id).url))
    assert page.elements["email"][1]["value"] == "known@example.com"
    assert page.elements["name"][1]["value"] == "Known"


def test_an_unknown_page_is_404(server: LocalStripe) -> None:
    for request in (get, post):
        answer = request(f"{server.url}/c/pay/cs_test_none")
        assert answer.status_code == 404
        assert "There is nothing here" in answer.text


# --- Paying once ---------------------------------------------------------------------------------


def test_pay_completes_the_session_and_sends_the_payer_on(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    session = open_session(
        client,
        metadata={"prompt": "p1"},
        client_reference_id="u1",
        payment_intent_data={"metadata": {"prompt": "p1"}},
    )
    mark = count_events(server)
    answer = press(session, "pay")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"http://127.0.0.1/paid?session={session.id}"
    paid = reload(client, session, "payment_intent.latest_charge.balance_transaction")
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)
    assert paid.customer_details.email == PAYER["email"]
    assert paid.customer is None
    assert (paid.metadata["prompt"], paid.client_reference_id) == ("p1", "u1")
    intent = paid.payment_intent
    assert (intent.status, intent.amount_received) == ("succeeded", 500)
    assert intent.metadata["prompt"] == "p1"
    charge = intent.latest_charge
    assert (charge.status, charge.paid, charge.captured, charge.amount) == (
        "succeeded",
        True,
        True,
        500,
    )
    assert charge.metadata["prompt"] == "p1"
    assert charge.billing_details.name == PAYER["name"]
    # 2.9 % of 5.00, rounded, and 0.30.
    assert charge.balance_transaction.fee == 45
    assert charge.balance_transaction.net == 455
    assert events_since(server, mark) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ]
    (found,) = client.v1.charges.list({"payment_intent": intent.id}).data
    assert found.id == charge.id


def test_the_event_holds_the_session_as_it_was(client: stripe.StripeClient) -> None:
    session = open_session(client)
    press(session, "pay")
    event = client.v1.events.list({"type": "checkout.session.completed", "limit": 1}).data[0]
    told = event.data.object
    assert (told["id"], told["payment_status"], told["status"]) == (session.id, "paid", "complete")
    created = client.v1.events.list({"type": "payment_intent.created", "limit": 1}).data[0]
    assert created.data.object["status"] == "requires_payment_method"


def test_a_double_click_pays_once(server: LocalStripe, client: stripe.StripeClient) -> None:
    session = open_session(client)
    first = press(session, "pay")
    mark = count_events(server)
    second = press(session, "pay")
    assert second.headers["location"] == first.headers["location"]
    assert count_events(server) == mark
    page = get(session.url)
    assert "You’re all done here" in page.text


@pytest.mark.parametrize("ask", [{"customer_creation": "always"}, {"customer": "known"}])
def test_a_customer_where_the_session_asks_for_one(
    client: stripe.StripeClient, ask: dict[str, str]
) -> None:
    if "customer" in ask:
        ask = {"customer": client.v1.customers.create({"name": "Known"}).id}
    session = open_session(client, **ask)
    press(session, "pay")
    paid = reload(client, session, "customer", "payment_intent")
    assert paid.payment_intent.customer == paid.customer.id
    if "customer" in ask:
        assert paid.customer.id == ask["customer"]
    else:
        assert paid.customer.email == PAYER["email"]


def test_a_declined_card_can_be_followed_by_a_good_one(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    session = open_session(client)
    mark = count_events(server)
    answer = press(session, "decline")
    page = Page(answer)
    assert answer.status_code == 402
    assert page.elements["message"][1]["role"] == "alert"
    assert "Your card was declined." in page.text
    assert page.elements["email"][1]["value"] == PAYER["email"]
    declined = reload(client, session, "payment_intent.latest_charge")
    assert (declined.status, declined.payment_status) == ("open", "unpaid")
    error = declined.payment_intent.last_payment_error
    assert (error.code, error.decline_code, error.type) == (
        "card_declined",
        "generic_decline",
        "card_error",
    )
    assert declined.payment_intent.status == "requires_payment_method"
    assert declined.payment_intent.latest_charge.failure_code == "card_declined"
    assert events_since(server, mark) == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
    ]
    assert press(session, "pay").status_code == 303
    paid = reload(client, session, "payment_intent")
    assert paid.payment_status == "paid"
    assert paid.payment_intent.id == declined.payment_intent.id
    assert paid.payment_intent.last_payment_error is None
    charges = client.v1.charges.list({"payment_intent": paid.payment_intent.id}).data
    assert [charge.status for charge in charges] == ["succeeded", "failed"]


def test_cancel_leads_back_and_leaves_the_session_open(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    session = open_session(client)
    mark = count_events(server)
    answer = press(session, "cancel", email="", name="")
    assert (answer.status_code, answer.headers["location"]) == (303, CANCEL_URL)
    assert reload(client, session).status == "open"
    assert count_events(server) == mark


@pytest.mark.parametrize(
    ("action", "typed", "status"),
    [
        ("pay", {"email": "nobody"}, 400),
        ("pay", {"name": " "}, 400),
        ("refund", {}, 400),
        ("", {}, 400),
    ],
)
def test_a_form_that_is_not_filled_in_pays_nothing(
    client: stripe.StripeClient, action: str, typed: dict[str, str], status: int
) -> None:
    session = open_session(client)
    answer = press(session, action, **typed)
    assert answer.status_code == status
    assert "message" in Page(answer).elements
    assert reload(client, session).status == "open"


def test_an_expired_page_takes_no_payment(client: stripe.StripeClient) -> None:
    session = open_session(client)
    client.v1.checkout.sessions.expire(session.id)
    assert "This page has expired" in get(session.url).text
    answer = press(session, "pay")
    assert answer.status_code == 409
    assert reload(client, session).payment_status == "unpaid"
    event = client.v1.events.list({"type": "checkout.session.expired", "limit": 1}).data[0]
    assert event.data.object["id"] == session.id


# --- Paying later --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "payment_status", "intent_status", "told"),
    [
        ("succeeded", "paid", "succeeded", "async_payment_succeeded"),
        ("failed", "unpaid", "requires_payment_method", "async_payment_failed"),
    ],
)
def test_a_bank_debit_completes_unpaid_and_settles_later(
    client: stripe.StripeClient, outcome: str, payment_status: str, intent_status: str, told: str
) -> None:
    session = open_session(client)
    answer = press(session, "pay-delayed", delayed_outcome=outcome)
    assert answer.status_code == 303
    completed = find_event(client, "checkout.session.completed", session)
    assert completed.data.object["payment_status"] == "unpaid"
    assert completed.data.object["status"] == "complete"
    kind = f"checkout.session.{told}"
    later = until(lambda: find_event(client, kind, session), kind)
    assert later.data.object["payment_status"] == payment_status
    assert later.id != completed.id
    settled = reload(client, session, "payment_intent.latest_charge")
    assert (settled.status, settled.payment_status) == ("complete", payment_status)
    assert settled.payment_intent.status == intent_status
    assert settled.payment_intent.latest_charge.status == outcome
    assert settled.payment_intent.latest_charge.payment_method_details.type == "us_bank_account"


def test_a_session_for_cards_alone_offers_no_bank_debit(client: stripe.StripeClient) -> None:
    session = open_session(client, allowed_payment_method_types=["card", "link"])
    assert session.payment_method_types == ["card"]
    assert "pay-delayed" not in Page(get(session.url)).elements
    assert press(session, "pay-delayed").status_code == 400
    assert reload(client, session).status == "open"


def test_a_session_without_cards_offers_the_bank_debit_alone(client: stripe.StripeClient) -> None:
    session = open_session(client, excluded_payment_method_types=["card"])
    assert session.payment_method_types == ["us_bank_account"]
    elements = Page(get(session.url)).elements
    assert "pay-delayed" in elements
    assert not {"pay", "decline", "card"} & set(elements)
    for action in ("pay", "decline"):
        assert press(session, action).status_code == 400
    with pytest.raises(stripe.InvalidRequestError, match="No valid payment method types"):
        open_session(client, allowed_payment_method_types=["link"])
