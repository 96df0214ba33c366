"""The local Stripe's payment intents: created, confirmed, charged off session, canceled."""

from typing import Any

import pytest
import stripe

from infra.local.stripe_local import LocalStripe
from tests.support.stripe_local import buy, types_about


def saved(client: stripe.StripeClient, token: str) -> tuple[str, str]:
    """A customer with that card saved."""
    customer = client.v1.customers.create({"email": "a@example.com"})
    method = client.v1.payment_methods.attach(token, {"customer": customer.id})
    return customer.id, method.id


def top_up(client: stripe.StripeClient, customer: str, method: str, key: str = "") -> Any:
    params: Any = {
        "amount": 1000,
        "currency": "usd",
        "customer": customer,
        "payment_method": method,
        "off_session": True,
        "confirm": True,
        "metadata": {"user": "u1"},
        "expand": ["latest_charge"],
    }
    return client.v1.payment_intents.create(params, {"idempotency_key": key} if key else {})


def test_a_saved_card_is_charged_off_session(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    intent = top_up(client, *saved(client, "pm_card_visa"))
    assert (intent.status, intent.amount_received) == ("succeeded", 1000)
    assert intent.latest_charge.metadata["user"] == "u1"
    assert types_about(server, intent.id) == ["payment_intent.created", "payment_intent.succeeded"]
    found = client.v1.payment_intents.list({"customer": intent.customer}).data
    assert [each.id for each in found] == [intent.id]


@pytest.mark.parametrize(
    ("token", "code", "decline"),
    [
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_authenticationRequired", "authentication_required", "authentication_required"),
    ],
)
def test_a_charge_that_fails_off_session_answers_402_with_the_intent(
    server: LocalStripe, client: stripe.StripeClient, token: str, code: str, decline: str
) -> None:
    customer, method = saved(client, token)
    with pytest.raises(stripe.CardError) as raised:
        top_up(client, customer, method, key=f"key-{token}")
    error: Any = raised.value.error
    assert (raised.value.http_status, raised.value.code) == (402, code)
    assert (error.decline_code, error.payment_intent.status) == (decline, "requires_payment_method")
    assert error.payment_intent.last_payment_error.code == code
    intent = client.v1.payment_intents.retrieve(error.payment_intent.id)
    assert intent.status == "requires_payment_method"
    assert types_about(server, intent.id) == [
        "payment_intent.created",
        "payment_intent.payment_failed",
    ]
    # The same key is answered the same, and charges nobody a second time.
    with pytest.raises(stripe.CardError) as again:
        top_up(client, customer, method, key=f"key-{token}")
    repeated: Any = again.value.error
    assert repeated.payment_intent.id == intent.id
    assert len(client.v1.charges.list({"customer": customer}).data) == 1


def test_a_card_saved_by_checkout_pays_later(client: stripe.StripeClient) -> None:
    session = buy(
        client,
        customer_creation="always",
        payment_intent_data={"setup_future_usage": "off_session"},
    )
    (method,) = client.v1.payment_methods.list({"customer": session.customer}).data
    listed = client.v1.customers.payment_methods.list(session.customer).data
    assert [each.id for each in listed] == [method.id]
    assert top_up(client, session.customer, method.id).status == "succeeded"
    client.v1.payment_methods.detach(method.id)
    with pytest.raises(stripe.InvalidRequestError, match="must be attached to the customer"):
        top_up(client, session.customer, method.id)


def test_another_customers_card_is_refused(client: stripe.StripeClient) -> None:
    _, method = saved(client, "pm_card_visa")
    stranger = client.v1.customers.create({}).id
    with pytest.raises(stripe.InvalidRequestError, match="must be attached to the customer"):
        top_up(client, stranger, method)
    params: Any = {"amount": 500, "currency": "usd", "payment_method": method}
    with pytest.raises(stripe.InvalidRequestError, match="belongs to a Customer"):
        client.v1.payment_intents.create(params)


def test_an_intent_is_confirmed_in_a_step_of_its_own(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create(
        {
            "amount": 500,
            "currency": "usd",
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        }
    )
    assert intent.status == "requires_payment_method"
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        client.v1.payment_intents.confirm(intent.id)
    with pytest.raises(stripe.CardError):
        client.v1.payment_intents.confirm(
            intent.id, {"payment_method": "pm_card_visa_chargeDeclined"}
        )
    paid = client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert paid.status == "succeeded"
    for act in (client.v1.payment_intents.confirm, client.v1.payment_intents.cancel):
        with pytest.raises(stripe.InvalidRequestError) as raised:
            act(intent.id)
        assert raised.value.code == "payment_intent_unexpected_state"


def test_a_bank_that_asks_on_session_leaves_the_intent_waiting(client: stripe.StripeClient) -> None:
    params: Any = {
        "amount": 500,
        "currency": "usd",
        "payment_method": "pm_card_authenticationRequired",
        "confirm": True,
        "return_url": "http://127.0.0.1/back",
    }
    intent: Any = client.v1.payment_intents.create(params)
    assert intent.status == "requires_action"
    assert intent.next_action.redirect_to_url.url.endswith(f"/c/challenge/{intent.id}")
    canceled = client.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    with pytest.raises(stripe.CardError) as raised:
        client.v1.payment_intents.create({**params, "error_on_requires_action": True})
    assert raised.value.code == "authentication_required"


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"currency": "usd"}, "amount"),
        ({"amount": 10, "currency": "usd"}, "amount"),
        ({"amount": 500, "currency": "zzz"}, "currency"),
        ({"amount": 500, "currency": "usd", "customer": "cus_none"}, "customer"),
        ({"amount": 500, "currency": "usd", "payment_method": "pm_none"}, "payment_method"),
        ({"amount": 500, "currency": "usd", "off_session": True}, "off_session"),
        ({"amount": 500, "currency": "usd", "payment_methods": "x"}, "payment_methods"),
        ({"amount": 500, "currency": "usd", "setup_future_usage": "later"}, "setup_future_usage"),
    ],
)
def test_a_wrong_intent_is_refused(client: stripe.StripeClient, params: Any, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.payment_intents.create(params)
    assert (raised.value.http_status, raised.value.param) == (400, param)


def test_a_card_number_that_is_none_is_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as raised:
        client.v1.payment_methods.create(
            {
                "type": "card",
                "card": {"number": "4242424242424241", "exp_month": 1, "exp_year": 2034},
            }
        )
    assert raised.value.code == "incorrect_number"
