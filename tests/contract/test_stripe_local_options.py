"""What a Checkout Session of the local Stripe may ask for: codes, tax, quantities, consent, SCA."""

import copy
from typing import Any

import pytest
import stripe

from infra.local.stripe_local import LocalStripe
from tests.support.stripe_local import (
    PACK,
    PAYER,
    buy,
    get,
    open_session,
    post,
    press,
    reload,
    types_about,
)

CHALLENGED = "4000002500003155"


def promote(client: stripe.StripeClient, code: str, **coupon: Any) -> Any:
    made = client.v1.coupons.create({"duration": "once", **coupon})
    params: Any = {"promotion": {"type": "coupon", "coupon": made.id}, "code": code}
    return client.v1.promotion_codes.create(params)


# --- Promotion codes -----------------------------------------------------------------------------


def test_a_code_typed_into_the_page_lowers_what_is_paid(client: stripe.StripeClient) -> None:
    code = promote(client, "HALF", percent_off=50)
    session = open_session(client, allow_promotion_codes=True, line_items=[PACK, PACK])
    page = press(session, "apply", promotion_code="half")
    assert "Total due today</span>\n          <span>$5.00" in page.text
    assert press(session, "pay", promotion_code="HALF").status_code == 303
    paid = reload(client, session, "payment_intent")
    assert (paid.amount_subtotal, paid.amount_total) == (1000, 500)
    assert (paid.total_details.amount_discount, paid.payment_intent.amount_received) == (500, 500)
    assert [d.promotion_code for d in paid.discounts] == [code.id]
    assert client.v1.promotion_codes.retrieve(code.id).times_redeemed == 1
    lines = client.v1.checkout.sessions.line_items.list(session.id).data
    assert [(line.amount_discount, line.amount_total) for line in lines] == [(250, 250)] * 2


def test_what_is_free_needs_no_payment(server: LocalStripe, client: stripe.StripeClient) -> None:
    promote(client, "GIFT", percent_off=100)
    session = open_session(client, allow_promotion_codes=True)
    page = press(session, "apply", promotion_code="GIFT")
    assert 'id="card"' not in page.text
    assert press(session, "pay", promotion_code="GIFT").status_code == 303
    done = reload(client, session)
    assert (done.status, done.payment_status) == ("complete", "no_payment_required")
    assert (done.payment_intent, done.amount_total) == (None, 0)
    assert types_about(server, session.id) == ["checkout.session.completed"]


@pytest.mark.parametrize(
    ("coupon", "limit", "says"),
    [
        ({"percent_off": 10}, {"expires_at": 1}, "expired"),
        ({"percent_off": 10}, {"active": False}, "invalid"),
        ({"percent_off": 10}, {"restrictions": {"minimum_amount": 501}}, "too small"),
        ({"amount_off": 100, "currency": "eur"}, {}, "invalid"),
        ({"amount_off": 460, "currency": "usd"}, {}, "too small"),
        ({"percent_off": 10, "redeem_by": 1}, {}, "expired"),
    ],
)
def test_a_code_that_does_not_count_is_said_so(
    client: stripe.StripeClient, coupon: Any, limit: Any, says: str
) -> None:
    made = client.v1.coupons.create({"duration": "once", **coupon})
    if "restrictions" in limit:
        limit["restrictions"]["minimum_amount_currency"] = "usd"
    params: Any = {"promotion": {"type": "coupon", "coupon": made.id}, **limit}
    code = client.v1.promotion_codes.create(params)
    session = open_session(client, allow_promotion_codes=True)
    answer = press(session, "pay", promotion_code=code.code)
    assert answer.status_code == 400
    assert says in answer.text
    unpaid = reload(client, session)
    assert (unpaid.status, unpaid.amount_total, unpaid.discounts) == ("open", 500, [])


def test_a_code_is_used_up(client: stripe.StripeClient) -> None:
    made = client.v1.coupons.create({"percent_off": 10, "duration": "once"})
    params: Any = {
        "promotion": {"type": "coupon", "coupon": made.id},
        "code": "ONE",
        "max_redemptions": 1,
    }
    client.v1.promotion_codes.create(params)
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        client.v1.promotion_codes.create(params)
    first = open_session(client, allow_promotion_codes=True)
    assert press(first, "pay", promotion_code="ONE").status_code == 303
    second = open_session(client, allow_promotion_codes=True)
    assert "used up" in press(second, "pay", promotion_code="ONE").text


def test_a_session_may_come_with_its_discount(client: stripe.StripeClient) -> None:
    coupon = client.v1.coupons.create({"amount_off": 120, "currency": "usd", "duration": "once"})
    session = open_session(client, discounts=[{"coupon": coupon.id}])
    assert (session.amount_total, session.total_details.amount_discount) == (380, 120)
    with pytest.raises(stripe.InvalidRequestError, match="allow_promotion_codes, discounts"):
        open_session(client, discounts=[{"coupon": coupon.id}], allow_promotion_codes=True)
    client.v1.coupons.delete(coupon.id)
    assert coupon.id not in [each.id for each in client.v1.coupons.list().data]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({}, "percent_off"),
        ({"percent_off": 0}, "percent_off"),
        ({"percent_off": 101}, "percent_off"),
        ({"amount_off": 5}, "currency"),
        ({"percent_off": 5, "duration": "repeating"}, "duration_in_months"),
        ({"percent_off": 5, "duration": "now"}, "duration"),
    ],
)
def test_a_wrong_coupon_is_refused(client: stripe.StripeClient, params: Any, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.coupons.create(params)
    assert raised.value.param == param


# --- Tax, quantity, consent, invoices ------------------------------------------------------------


def test_tax_is_by_the_payers_country(client: stripe.StripeClient) -> None:
    line = copy.deepcopy(PACK)
    line["price_data"]["tax_behavior"] = "inclusive"
    session = open_session(
        client,
        automatic_tax={"enabled": True},
        tax_id_collection={"enabled": True},
        customer_creation="always",
        line_items=[PACK, line],
    )
    assert session.automatic_tax.status == "requires_location_inputs"
    press(session, "pay", country="DE", tax_id="DE123456789")
    paid = reload(client, session, "customer")
    # 19% on top of 5.00, and 19% that 5.00 includes.
    assert (paid.amount_total, paid.total_details.amount_tax) == (1095, 95 + 80)
    assert paid.automatic_tax.status == "complete"
    assert paid.customer.address.country == "DE"
    (tax_id,) = paid.customer_details.tax_ids
    assert (tax_id.type, tax_id.value) == ("eu_vat", "DE123456789")


def test_tax_for_a_customer_needs_their_address(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"name": "Known"}).id
    taxed: Any = {"customer": customer, "automatic_tax": {"enabled": True}}
    with pytest.raises(stripe.InvalidRequestError, match="customer_update"):
        open_session(client, **taxed)
    session = open_session(client, **taxed, customer_update={"address": "auto", "name": "auto"})
    press(session, "pay", country="FR", name="New Name")
    after = client.v1.customers.retrieve(customer)
    assert (after.name, after.address and after.address.country) == ("New Name", "FR")
    assert reload(client, session).amount_total == 600


def test_the_payer_chooses_the_quantity_within_its_bounds(client: stripe.StripeClient) -> None:
    line = {**PACK, "adjustable_quantity": {"enabled": True, "minimum": 1, "maximum": 5}}
    session = open_session(client, line_items=[line])
    for wrong in ("0", "6", "x"):
        assert press(session, "pay", quantity_0=wrong).status_code == 400
    press(session, "pay", quantity_0="3")
    paid = reload(client, session, "line_items", "payment_intent")
    assert (paid.amount_total, paid.payment_intent.amount) == (1500, 1500)
    assert paid.line_items.data[0].quantity == 3
    fixed = open_session(client)
    press(fixed, "pay", quantity_0="3")
    assert reload(client, fixed).amount_total == 500


def test_consent_is_asked_for_and_kept(client: stripe.StripeClient) -> None:
    session = open_session(
        client,
        consent_collection={"terms_of_service": "required", "promotions": "auto"},
        custom_text={
            "terms_of_service_acceptance": {"message": "I agree to all of it"},
            "submit": {"message": "Credits never expire"},
        },
    )
    page = get(session.url).text
    assert "I agree to all of it" in page
    assert "Credits never expire" in page
    assert "accept the terms" in press(session, "pay").text
    assert press(session, "pay", terms="yes").status_code == 303
    consent = reload(client, session).consent
    assert (consent.terms_of_service, consent.promotions) == ("accepted", "opt_out")


def test_a_one_time_payment_may_be_invoiced(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    session = buy(
        client,
        invoice_creation={"enabled": True, "invoice_data": {"description": "A pack"}},
        allow_promotion_codes=True,
    )
    invoice: Any = client.v1.invoices.retrieve(session.invoice, {"expand": ["payments"]})
    assert (invoice.status, invoice.total, invoice.amount_paid) == ("paid", 500, 500)
    assert (invoice.parent, invoice.billing_reason) == (None, "manual")
    assert invoice.description == "A pack"
    assert invoice.payments.data[0].payment.payment_intent == session.payment_intent
    assert types_about(server, invoice.id)[0] == "invoice.created"
    assert "invoice.paid" in types_about(server, invoice.id)


# --- Cards ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("card", "says"),
    [
        ("4000 0000 0000 0002", "Your card was declined."),
        ("4000000000009995", "Your card has insufficient funds."),
        ("4000000000000069", "Your card has expired."),
        ("4242424242424241", "Your card number is incorrect."),
    ],
)
def test_a_test_number_is_declined_on_the_page(
    client: stripe.StripeClient, card: str, says: str
) -> None:
    session = open_session(client)
    answer = press(session, "pay", card=card)
    assert (answer.status_code, says in answer.text) == (402, True)
    assert reload(client, session).status == "open"
    assert press(session, "pay").status_code == 303


@pytest.mark.parametrize("mode", ["payment", "subscription"])
def test_a_bank_that_asks_is_answered_on_its_page(
    server: LocalStripe, client: stripe.StripeClient, mode: str
) -> None:
    session = open_session(client, mode)
    asked = press(session, "pay", card=CHALLENGED)
    url = asked.headers["location"]
    assert asked.status_code == 303
    assert "Is it you who pays" in get(url).text
    assert reload(client, session).status == "open"
    refused = post(url, data={"action": "fail"})
    assert refused.headers["location"] == f"/c/pay/{session.id}"
    assert get(url).status_code == 404
    again = press(session, "pay", card=CHALLENGED).headers["location"]
    passed = post(again, data={"action": "complete"})
    assert passed.headers["location"].endswith(session.id)
    paid = reload(client, session, "subscription")
    assert (paid.status, paid.payment_status) == ("complete", "paid")
    assert types_about(server, session.id) == ["checkout.session.completed"]
    if mode == "subscription":
        assert paid.subscription.status == "active"


def test_a_challenge_of_a_session_that_expired_pays_nothing(client: stripe.StripeClient) -> None:
    session = open_session(client)
    url = press(session, "pay", card=CHALLENGED).headers["location"]
    client.v1.checkout.sessions.expire(session.id)
    post(url, data={"action": "complete"})
    late = reload(client, session, "payment_intent")
    assert (late.status, late.payment_status) == ("expired", "unpaid")
    assert late.payment_intent.amount_received == 0


# --- What cannot be asked for --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "params", "param"),
    [
        ("payment", {"subscription_data": {"trial_period_days": 3}}, "subscription_data"),
        ("payment", {"payment_method_collection": "always"}, "payment_method_collection"),
        ("subscription", {"invoice_creation": {"enabled": True}}, "invoice_creation"),
        (
            "subscription",
            {"subscription_data": {"trial_period_days": 0}},
            "subscription_data[trial_period_days]",
        ),
        ("payment", {"return_url": "http://127.0.0.1/"}, "return_url"),
        ("payment", {"customer_update": {"name": "auto"}}, "customer_update"),
        ("payment", {"consent_collection": {"terms_of_service": "yes"}}, None),
        ("payment", {"automatic_tax": {"enabled": "maybe"}}, "automatic_tax[enabled]"),
    ],
)
def test_a_wrong_option_is_refused(
    client: stripe.StripeClient, mode: str, params: Any, param: str | None
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        open_session(client, mode, **params)
    assert raised.value.http_status == 400
    assert raised.value.param == (param or "consent_collection[terms_of_service]")


def test_what_the_payer_types_is_escaped(client: stripe.StripeClient) -> None:
    session = open_session(client, allow_promotion_codes=True)
    answer = press(session, "pay", promotion_code='"><script>x</script>', name=PAYER["name"])
    assert "<script>" not in answer.text
