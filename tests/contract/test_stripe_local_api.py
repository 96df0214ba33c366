"""The local Stripe's API, through the real `stripe` client."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from infra.local.stripe_local import LocalStripe
from tests.support.stripe_local import PACK, PLAN, SUCCESS_URL, client_of, open_session


def _in(seconds: int) -> int:
    return int(time.time()) + seconds


# --- Checkout Sessions ---------------------------------------------------------------------------


def test_a_session_answers_what_it_was_asked_for(client: stripe.StripeClient) -> None:
    session = open_session(
        client, metadata={"prompt": "p1"}, client_reference_id="u1", expires_at=_in(3600)
    )
    assert session.id.startswith("cs_test_")
    assert session.url.endswith(f"/c/pay/{session.id}")
    assert (session.status, session.payment_status, session.mode) == ("open", "unpaid", "payment")
    assert (session.amount_total, session.currency) == (500, "usd")
    assert session.metadata.to_dict() == {"prompt": "p1"}
    assert session.client_reference_id == "u1"
    assert session.payment_intent is None
    assert session.ui_mode == "hosted_page"
    again = client.v1.checkout.sessions.retrieve(session.id)
    assert again == session


def test_items_are_listed_and_add_up(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "Plus"})
    price = client.v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": 2000})
    session = open_session(client, line_items=[PACK, {"price": price.id, "quantity": 3}])
    assert session.amount_total == 500 + 3 * 2000
    items = client.v1.checkout.sessions.line_items.list(session.id).data
    assert [(i.description, i.quantity, i.amount_total) for i in items] == [
        ("Starter", 1, 500),
        ("Plus", 3, 6000),
    ]
    assert items[0].price is not None
    assert not items[0].price.active
    first = client.v1.checkout.sessions.line_items.list(session.id, {"limit": 1})
    assert first.has_more
    assert len(list(first.auto_paging_iter())) == 2


@pytest.mark.parametrize(
    ("change", "param", "words"),
    [
        ({"mode": "pay"}, "mode", "must be one of payment, setup, or subscription"),
        ({"mode": None}, "mode", "Missing required param: mode."),
        ({"success_url": None}, "success_url", "Missing required param"),
        ({"success_url": "example.com"}, "success_url", "Not a valid URL"),
        ({"cancel_url": "http://[::1"}, "cancel_url", "Not a valid URL"),
        ({"line_items": None}, "line_items", "Missing required param"),
        ({"colour": "red"}, "colour", "Received unknown parameter: colour"),
        ({"ui_mode": "hosted"}, "ui_mode", "must be one of elements, embedded_page, form"),
        ({"line_items": [PLAN]}, "mode", "recurring price"),
        ({"mode": "subscription"}, "line_items", "at least one recurring price"),
        ({"customer": "cus_none"}, "customer", "No such customer: 'cus_none'"),
        ({"expires_at": 1}, "expires_at", "at least 30 minutes"),
        ({"expires_at": _in(90_000)}, "expires_at", "less than 24 hours"),
        ({"subscription_data": {"metadata": {"a": "b"}}}, "subscription_data", "can not pass"),
        ({"metadata": {"k" * 41: "v"}}, f"metadata[{'k' * 41}]", "40 characters"),
        ({"metadata": {"k": "v" * 501}}, "metadata[k]", "500 characters"),
        ({"discounts": [{"coupon": "c"}]}, "discounts[0][coupon]", "No such coupon"),
        ({"client_reference_id": "r" * 201}, "client_reference_id", "200 characters"),
    ],
)
def test_a_session_is_refused_in_stripes_words(
    client: stripe.StripeClient, change: dict[str, Any], param: str, words: str
) -> None:
    params: Any = {
        "mode": "payment",
        "success_url": SUCCESS_URL,
        "line_items": [PACK],
        **change,
    }
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.checkout.sessions.create(params)
    assert refused.value.http_status == 400
    assert refused.value.param == param
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("line", "param"),
    [
        ({"price_data": PACK["price_data"]}, "line_items[0]"),
        ({"quantity": 1}, "line_items[0]"),
        ({**PACK, "price": "price_none"}, "line_items[0]"),
        ({"price": "price_none", "quantity": 1}, "line_items[0][price]"),
        ({**PACK, "quantity": 0}, "line_items[0][quantity]"),
        (
            {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 500}},
            "line_items[0][price_data]",
        ),
        (
            {"quantity": 1, "price_data": {"currency": "usd", "product_data": {"name": "x"}}},
            "line_items[0][price_data][unit_amount]",
        ),
        (
            {"quantity": 1, "price_data": {"unit_amount": 5, "product_data": {"name": "x"}}},
            "line_items[0][price_data][currency]",
        ),
        (
            {
                "quantity": 1,
                "price_data": {"currency": "zzz", "unit_amount": 5, "product_data": {"name": "x"}},
            },
            "line_items[0][price_data][currency]",
        ),
        (
            {
                "quantity": 1,
                "price_data": {"currency": "usd", "unit_amount": 500, "product_data": {"name": ""}},
            },
            "line_items[0][price_data][product_data][name]",
        ),
    ],
)
def test_a_line_item_is_refused_where_it_is_wrong(
    client: stripe.StripeClient, line: dict[str, Any], param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        open_session(client, line_items=[line])
    assert refused.value.param == param


def test_an_amount_below_stripes_minimum_is_refused(client: stripe.StripeClient) -> None:
    cheap = {
        "price_data": {"currency": "usd", "unit_amount": 49, "product_data": {"name": "x"}},
        "quantity": 1,
    }
    with pytest.raises(stripe.InvalidRequestError) as refused:
        open_session(client, line_items=[cheap])
    assert refused.value.code == "amount_too_small"
    assert "$0.50" in str(refused.value)


def test_currencies_do_not_mix(client: stripe.StripeClient) -> None:
    euro = {
        "price_data": {"currency": "eur", "unit_amount": 500, "product_data": {"name": "x"}},
        "quantity": 1,
    }
    with pytest.raises(stripe.InvalidRequestError, match="only supports `eur`"):
        open_session(client, line_items=[PACK, euro])


def test_an_expired_session_cannot_expire_again(client: stripe.StripeClient) -> None:
    session = open_session(client)
    expired = client.v1.checkout.sessions.expire(session.id)
    assert (expired.status, expired.url) == ("expired", None)
    with pytest.raises(stripe.InvalidRequestError, match="status of `expired`"):
        client.v1.checkout.sessions.expire(session.id)


def test_sessions_are_listed_newest_first_by_status_and_customer() -> None:
    with LocalStripe() as server:
        client = client_of(server)
        customer = client.v1.customers.create({"email": "a@example.com"})
        one = open_session(client)
        two = open_session(client, customer=customer.id)
        client.v1.checkout.sessions.expire(one.id)
        sessions = client.v1.checkout.sessions
        assert [s.id for s in sessions.list().data] == [two.id, one.id]
        assert [s.id for s in sessions.list({"status": "expired"}).data] == [one.id]
        assert [s.id for s in sessions.list({"customer": customer.id}).data] == [two.id]


# --- Customers, products, prices -----------------------------------------------------------------


def test_a_customer_is_found_by_email_and_updated_in_part(client: stripe.StripeClient) -> None:
    made = client.v1.customers.create(
        {"email": "find@example.com", "name": "A", "metadata": {"a": "1", "b": "2"}}
    )
    assert made.id.startswith("cus_")
    updated = client.v1.customers.update(
        made.id, {"name": "", "metadata": {"a": "", "c": "3"}, "address": {"city": "Ulm"}}
    )
    assert updated.name is None
    assert updated.metadata is not None
    assert updated.metadata.to_dict() == {"b": "2", "c": "3"}
    assert updated.address is not None
    assert updated.address.city == "Ulm"
    assert updated.email == "find@example.com"
    found = client.v1.customers.list({"email": "find@example.com"}).data
    assert [c.id for c in found] == [made.id]
    (event,) = client.v1.events.list({"type": "customer.updated"}).data
    assert event.data.previous_attributes is not None
    assert event.data.previous_attributes["name"] == "A"


def test_prices_and_products_are_filtered(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "Filtered"})
    keyed = client.v1.prices.create(
        {
            "product": product.id,
            "currency": "eur",
            "unit_amount": 900,
            "recurring": {"interval": "year"},
            "lookup_key": "yearly",
        }
    )
    once = client.v1.prices.create({"product": product.id, "currency": "eur", "unit_amount": 100})
    prices = client.v1.prices
    assert [p.id for p in prices.list({"product": product.id}).data] == [once.id, keyed.id]
    assert [p.id for p in prices.list({"lookup_keys": ["yearly"]}).data] == [keyed.id]
    assert [p.id for p in prices.list({"product": product.id, "type": "one_time"}).data] == [
        once.id
    ]
    assert [p.id for p in client.v1.products.list({"ids": [product.id]}).data] == [product.id]
    assert prices.retrieve(keyed.id, {"expand": ["product"]}).product == product


def test_a_filter_that_is_not_simulated_is_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.subscriptions.list({"collection_method": "send_invoice"})
    assert refused.value.param == "collection_method"


# --- Lists ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def five() -> Iterator[tuple[stripe.StripeClient, list[str]]]:
    """A server with five customers; their ids newest first."""
    with LocalStripe() as server:
        client = client_of(server)
        ids = [client.v1.customers.create({"name": str(n)}).id for n in range(5)]
        yield client, ids[::-1]


def test_pages_go_forward_and_back(five: tuple[stripe.StripeClient, list[str]]) -> None:
    client, ids = five
    customers = client.v1.customers
    first = customers.list({"limit": 2})
    assert ([c.id for c in first.data], first.has_more) == (ids[:2], True)
    middle = customers.list({"limit": 2, "starting_after": ids[1]})
    assert ([c.id for c in middle.data], middle.has_more) == (ids[2:4], True)
    last = customers.list({"limit": 2, "starting_after": ids[3]})
    assert ([c.id for c in last.data], last.has_more) == (ids[4:], False)
    back = customers.list({"limit": 2, "ending_before": ids[3]})
    assert ([c.id for c in back.data], back.has_more) == (ids[1:3], True)
    start = customers.list({"limit": 2, "ending_before": ids[2]})
    assert ([c.id for c in start.data], start.has_more) == (ids[:2], False)
    assert [c.id for c in customers.list({"limit": 2}).auto_paging_iter()] == ids


def test_lists_are_bounded_by_time(five: tuple[stripe.StripeClient, list[str]]) -> None:
    client, ids = five
    assert client.v1.customers.list({"created": {"gte": _in(-60)}}).data[0].id == ids[0]
    assert client.v1.customers.list({"created": {"lt": _in(-60)}}).data == []


@pytest.mark.parametrize("limit", [0, 101])
def test_a_limit_outside_1_to_100_is_refused(client: stripe.StripeClient, limit: int) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.customers.list({"limit": limit})
    assert refused.value.param == "limit"


def test_a_cursor_that_is_not_in_the_list_is_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.customers.list({"starting_after": "cus_none"})
    assert (refused.value.param, refused.value.code) == ("starting_after", "resource_missing")


# --- Expansion -----------------------------------------------------------------------------------


def test_what_cannot_be_expanded_is_refused_before_anything_is_done(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    before = len(server.account.state.objects)
    for path in ("colour", "mode", "customer.email", "line_items.data.price", "data.customer"):
        with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
            open_session(client, expand=[path])
    with pytest.raises(stripe.InvalidRequestError, match="more than 4 levels"):
        open_session(client, expand=["payment_intent.latest_charge.customer.a.b"])
    assert len(server.account.state.objects) == before


def test_expansion_reaches_through_lists(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"name": "expanded"})
    open_session(client, customer=customer.id)
    listed = client.v1.checkout.sessions.list(
        {
            "customer": customer.id,
            "expand": ["data.customer", "data.line_items.data.price.product"],
        }
    )
    (session,) = listed.data
    assert session.customer == customer
    assert session.line_items is not None
    price = session.line_items.data[0].price
    assert price is not None
    assert isinstance(price.product, stripe.Product)
    assert price.product.name == "Starter"


# --- Webhook endpoints and events ----------------------------------------------------------------


def test_an_endpoint_shows_its_secret_once(client: stripe.StripeClient) -> None:
    endpoints = client.v1.webhook_endpoints
    made = endpoints.create(
        {"url": "http://127.0.0.1:9/hook", "enabled_events": ["checkout.session.completed"]}
    )
    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    assert "secret" not in endpoints.retrieve(made.id)
    assert all("secret" not in endpoint for endpoint in endpoints.list().data)
    changed = endpoints.update(made.id, {"disabled": True, "enabled_events": ["*"]})
    assert (changed.status, changed.enabled_events) == ("disabled", ["*"])
    assert endpoints.delete(made.id).deleted
    with pytest.raises(stripe.InvalidRequestError):
        endpoints.retrieve(made.id)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"url": "nowhere"}, "url"),
        ({"enabled_events": ["checkout.session.finished"]}, "enabled_events[0]"),
        ({"enabled_events": []}, "enabled_events"),
        ({"api_version": "2020-08-27"}, "api_version=2020-08-27"),
    ],
)
def test_an_endpoint_is_refused(
    client: stripe.StripeClient, change: dict[str, Any], param: str
) -> None:
    params: Any = {"url": "http://127.0.0.1:9/hook", "enabled_events": ["*"], **change}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.webhook_endpoints.create(params)
    assert refused.value.param == param


def test_events_are_listed_by_type(client: stripe.StripeClient) -> None:
    made = client.v1.customers.create({"name": "eventful"})
    event = client.v1.events.list({"types": ["customer.created"]}).data[0]
    assert event.data.object["id"] == made.id
    assert event.api_version == stripe.api_version
    assert event.request is not None
    assert made.last_response is not None
    assert event.request.id == made.last_response.headers["request-id"]
    assert event.request.idempotency_key == made.last_response.headers["idempotency-key"]
    assert client.v1.events.retrieve(event.id) == event
    kinds = {e.type for e in client.v1.events.list({"type": "customer.*"}).auto_paging_iter()}
    assert kinds == {"customer.created", "customer.updated"}


# --- Ids -----------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_ids() -> None:
    ids = []
    for seed in (7, 7, 8):
        with LocalStripe(seed=seed) as server:
            ids.append(open_session(client_of(server)).id)
    assert ids[0] == ids[1] != ids[2]


def test_a_product_may_bring_its_own_id_once(client):
    assert client.v1.products.create({"id": "own_1", "name": "Mine"}).id == "own_1"
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.products.create({"id": "own_1", "name": "Mine again"})
    assert raised.value.code == "resource_already_exists"
