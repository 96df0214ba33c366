"""The local Stripe's customer portal: cancel, resume, change the card, pay what is open."""

from typing import Any

import pytest
import stripe

from infra.local.stripe_local import LocalStripe
from tests.support.stripe_local import buy, get, open_session, post, types_about


@pytest.fixture
def bought(client: stripe.StripeClient) -> Any:
    return buy(client, "subscription")


def portal(client: stripe.StripeClient, customer: str, **more: Any) -> Any:
    params: Any = {"customer": customer, "return_url": "http://127.0.0.1/account", **more}
    return client.v1.billing_portal.sessions.create(params)


def click(session: Any, action: str, **form: str) -> Any:
    return post(session.url, data={"action": action, **form})


def test_a_subscriber_cancels_and_resumes(
    server: LocalStripe, client: stripe.StripeClient, bought: Any
) -> None:
    session = portal(client, bought.customer)
    assert session.customer == bought.customer
    page = get(session.url).text
    assert "$12.00 per\n          month" in page
    assert "http://127.0.0.1/account" in page
    assert click(session, "cancel", id=bought.subscription).status_code == 303
    assert client.v1.subscriptions.retrieve(bought.subscription).cancel_at_period_end
    assert "Don’t cancel" in get(session.url).text
    click(session, "resume", id=bought.subscription)
    resumed = client.v1.subscriptions.retrieve(bought.subscription)
    assert (resumed.status, resumed.cancel_at_period_end) == ("active", False)
    assert types_about(server, bought.subscription)[-2:] == ["customer.subscription.updated"] * 2


def test_a_subscriber_changes_the_card_and_pays(
    server: LocalStripe, client: stripe.StripeClient, bought: Any
) -> None:
    before = client.v1.subscriptions.retrieve(bought.subscription)
    failing = f"payment_methods/{before.default_payment_method}/fail"
    post(f"{server.url}/_local/{failing}").raise_for_status()
    post(f"{server.url}/_local/subscriptions/{before.id}/renew").raise_for_status()
    assert client.v1.subscriptions.retrieve(before.id).status == "past_due"
    session = portal(client, bought.customer)
    (owed,) = client.v1.invoices.list({"subscription": before.id, "status": "open"}).data
    assert click(session, "pay", id=owed.id).status_code == 402
    assert click(session, "card", card="4000000000000002").status_code == 402
    assert click(session, "card", card="1234").status_code == 402
    assert click(session, "card", card="4242 4242 4242 4242").status_code == 303
    after = client.v1.subscriptions.retrieve(before.id)
    assert after.default_payment_method != before.default_payment_method
    customer: Any = client.v1.customers.retrieve(bought.customer)
    assert customer.invoice_settings.default_payment_method == after.default_payment_method
    assert click(session, "pay", id=owed.id).status_code == 303
    assert client.v1.subscriptions.retrieve(before.id).status == "active"
    assert client.v1.invoices.retrieve(owed.id).status == "paid"


def test_a_flow_leads_back_when_it_is_done(client: stripe.StripeClient, bought: Any) -> None:
    flow = {
        "type": "subscription_cancel",
        "subscription_cancel": {"subscription": bought.subscription},
        "after_completion": {
            "type": "redirect",
            "redirect": {"return_url": "http://127.0.0.1/done"},
        },
    }
    session = portal(client, bought.customer, flow_data=flow)
    assert session.flow.type == "subscription_cancel"
    done = click(session, "cancel", id=bought.subscription)
    assert done.headers["location"] == "http://127.0.0.1/done"


def test_nobody_reaches_another_customers_things(client: stripe.StripeClient, bought: Any) -> None:
    other = buy(client, "subscription")
    session = portal(client, bought.customer)
    assert click(session, "cancel", id=other.subscription).status_code == 404
    assert not client.v1.subscriptions.retrieve(other.subscription).cancel_at_period_end
    assert get(session.url[:-1] + "?").status_code == 404
    assert click(session, "burn").status_code == 400
    flow = {
        "type": "subscription_cancel",
        "subscription_cancel": {"subscription": other.subscription},
    }
    with pytest.raises(stripe.InvalidRequestError, match="does not belong"):
        portal(client, bought.customer, flow_data=flow)


def test_a_portal_session_ends_after_an_hour(
    server: LocalStripe, client: stripe.StripeClient, bought: Any
) -> None:
    session = portal(client, bought.customer)
    post(f"{server.url}/_local/time", data={"days": "0.05"}).raise_for_status()
    assert get(session.url).status_code == 404


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"customer": "cus_none"}, "customer"),
        ({"configuration": "bpc_none"}, "configuration"),
        ({"return_url": "nowhere"}, "return_url"),
        ({"flow_data": {"type": "subscription_update"}}, "flow_data[type]=subscription_update"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_portal_session_is_refused(
    client: stripe.StripeClient, params: Any, param: str
) -> None:
    customer = client.v1.customers.create({}).id
    with pytest.raises(stripe.InvalidRequestError) as raised:
        portal(client, **{"customer": customer, **params})
    assert raised.value.param == param


def test_the_account_page_shows_all_of_it(
    server: LocalStripe, client: stripe.StripeClient, bought: Any
) -> None:
    client.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/", "enabled_events": ["*"]})
    open_session(client)
    post(f"{server.url}/_local/chaos", data={"seed": "3", "late_s": "2.5"}).raise_for_status()
    page = get(f"{server.url}/_local").text
    for shown in (
        bought.subscription,
        "Next renewal",
        "Fail the card",
        "Roll the secret",
        "whsec_",
    ):
        assert shown in page
    assert 'value="2.5"' in page
    browser = {"accept": "text/html"}
    wrong = post(f"{server.url}/_local/time", data={"days": "x"}, headers=browser)
    assert (wrong.status_code, "Invalid number of days" in wrong.text) == (400, True)
