"""Requests to the local Stripe: idempotency keys, API keys, versions, and what is refused."""

import base64
import time

import httpx
import pytest
import stripe

from infra.local.stripe_local import LocalStripe
from tests.support.stripe_local import get, open_session


def _in(seconds: int) -> int:
    return int(time.time()) + seconds


# --- Idempotency ---------------------------------------------------------------------------------


def test_the_same_key_gets_the_same_answer(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    before = sum(1 for _ in server.account.each("customer"))
    first = client.v1.customers.create({"name": "once"}, {"idempotency_key": "key-1"})
    client.v1.customers.update(first.id, {"name": "changed since"})
    second = client.v1.customers.create({"name": "once"}, {"idempotency_key": "key-1"})
    assert second.id == first.id
    assert second.name == "once"
    assert sum(1 for _ in server.account.each("customer")) == before + 1
    assert first.last_response is not None
    assert second.last_response is not None
    assert "idempotent-replayed" not in first.last_response.headers
    assert second.last_response.headers["idempotent-replayed"] == "true"
    original = second.last_response.headers["original-request"]
    assert original == first.last_response.headers["request-id"]
    assert second.last_response.headers["request-id"] != original


def test_a_key_is_refused_for_other_parameters_and_other_endpoints(
    client: stripe.StripeClient,
) -> None:
    client.v1.customers.create({"name": "a"}, {"idempotency_key": "key-2"})
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        client.v1.customers.create({"name": "b"}, {"idempotency_key": "key-2"})
    with pytest.raises(stripe.IdempotencyError, match="'/v1/customers'"):
        client.v1.products.create({"name": "a"}, {"idempotency_key": "key-2"})


def test_a_refused_request_leaves_its_key_free(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.products.create({"name": ""}, {"idempotency_key": "key-3"})
    made = client.v1.products.create({"name": "right"}, {"idempotency_key": "key-3"})
    assert made.name == "right"


# --- Keys, versions, errors ----------------------------------------------------------------------


def test_both_ways_to_authenticate(server: LocalStripe) -> None:
    basic = base64.b64encode(f"{server.secret_key}:".encode()).decode()
    for header in (f"Bearer {server.secret_key}", f"Basic {basic}"):
        answer = get(f"{server.url}/v1/customers", headers={"Authorization": header})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "You did not provide an API key"),
        ({"Authorization": "Token abc"}, "You did not provide an API key"),
        ({"Authorization": "Basic !"}, "You did not provide an API key"),
        (
            {"Authorization": "Bearer pk_other_key_of_another_kind"},
            "Invalid API Key provided: pk_o",
        ),
    ],
)
def test_a_wrong_key_is_401(server: LocalStripe, headers: dict[str, str], words: str) -> None:
    answer = get(f"{server.url}/v1/customers", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert words in answer.json()["error"]["message"]
    assert answer.headers["www-authenticate"] == 'Basic realm="Stripe"'


def test_the_client_sees_a_wrong_key_as_such(server: LocalStripe) -> None:
    stranger = stripe.StripeClient("pk_other", base_addresses={"api": server.url})
    with pytest.raises(stripe.AuthenticationError):
        stranger.v1.customers.list()


def test_only_the_version_of_the_installed_package_is_spoken(http: httpx.Client) -> None:
    assert http.get("/v1/customers").headers["stripe-version"] == stripe.api_version
    old = http.get("/v1/customers", headers={"Stripe-Version": "2020-08-27"})
    assert old.status_code == 400
    assert "2020-08-27" in old.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("checkout/sessions/cs_test_none", "session"),
        ("payment_intents/pi_none", "intent"),
        ("customers/cus_none", "id"),
        ("charges/ch_none", "id"),
        ("subscriptions/sub_none", "id"),
        ("invoices/in_none", "invoice"),
        ("webhook_endpoints/we_none", "webhook_endpoint"),
        ("events/evt_none", "id"),
    ],
)
def test_an_unknown_id_is_404(http: httpx.Client, path: str, param: str) -> None:
    answer = http.get(f"/v1/{path}")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (404, "resource_missing", param)
    assert error["message"].startswith("No such ")
    assert error["doc_url"].endswith("/resource-missing")


def test_an_id_of_another_kind_is_404(client: stripe.StripeClient) -> None:
    session = open_session(client)
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.customers.retrieve(session.id)
    assert missing.value.http_status == 404


def test_an_unknown_path_is_404_in_stripes_shape(http: httpx.Client) -> None:
    answer = http.get("/v1/unicorns")
    assert answer.status_code == 404
    assert "Unrecognized request URL (GET: /v1/unicorns)" in answer.json()["error"]["message"]


def test_json_is_refused_where_a_form_is_due(http: httpx.Client) -> None:
    answer = http.post("/v1/customers", json={"name": "a"})
    assert answer.status_code == 400
    assert "application/x-www-form-urlencoded" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"name": "a", "name[b]": "c"}, "name[b]"),
        ({"metadata[a]": "b", "metadata": "c"}, "metadata"),
        ({"address[town]": "Ulm"}, "address[town]"),
        ({"address": "Ulm"}, "address"),
        ({"preferred_locales": "de"}, "preferred_locales"),
        ({"tax_exempt": "maybe"}, "tax_exempt"),
        ({"name[": "a"}, "name["),
        ({"api_key": "a"}, "api_key"),
    ],
)
def test_a_mistyped_parameter_is_refused(
    http: httpx.Client, form: dict[str, str], param: str
) -> None:
    answer = http.post("/v1/customers", data=form)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["param"] == param
