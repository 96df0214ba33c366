"""The local Stripe's Embedded Checkout: sessions by their secret, pages that may be framed."""

from typing import Any

import pytest
import stripe

from infra.local.stripe_local import LocalStripe
from tests.support.stripe_local import PACK, PAYER, get, open_session, post, types_about

RETURN_URL = "http://127.0.0.1/back?session={CHECKOUT_SESSION_ID}"


def embed(client: stripe.StripeClient, **more: Any) -> Any:
    params: Any = {
        "mode": "payment",
        "ui_mode": "embedded_page",
        "line_items": [PACK],
        **({"return_url": RETURN_URL} if "redirect_on_completion" not in more else {}),
        **more,
    }
    return client.v1.checkout.sessions.create(params)


def test_the_page_is_reached_by_the_secret_alone_and_may_be_framed(
    server: LocalStripe, client: stripe.StripeClient
) -> None:
    session = embed(client)
    assert (session.url, session.success_url) == (None, None)
    assert session.client_secret.startswith(f"{session.id}_secret_")
    page = get(f"{server.url}/c/embed/{session.client_secret}")
    assert page.status_code == 200
    assert "x-frame-options" not in page.headers
    assert "frame-ancestors" not in page.headers["content-security-policy"]
    assert f'action="/c/embed/{session.client_secret}"' in page.text
    for path in (f"embed/{session.id}", f"embed/{session.id}_secret_x", f"pay/{session.id}"):
        assert get(f"{server.url}/c/{path}").status_code == 404
    hosted = open_session(client)
    assert get(f"{server.url}/c/embed/{hosted.id}").status_code == 404


@pytest.mark.parametrize("card", ["4242424242424242", "4000002500003155"])
def test_it_is_paid_inside_the_frame(
    server: LocalStripe, client: stripe.StripeClient, card: str
) -> None:
    session = embed(client)
    url = f"{server.url}/c/embed/{session.client_secret}"
    answer = post(url, data={"action": "pay", "card": card, **PAYER})
    if card != "4242424242424242":
        challenge = get(answer.headers["location"])
        assert "x-frame-options" not in challenge.headers
        answer = post(answer.headers["location"], data={"action": "complete"})
    assert answer.headers["location"] == f"/c/embed/{session.client_secret}"
    over = get(url).text
    assert 'data-status="complete"' in over
    assert f'data-return-url="{RETURN_URL.split("{", maxsplit=1)[0]}{session.id}"' in over
    assert types_about(server, session.id) == ["checkout.session.completed"]


def test_it_may_stay_where_it_is(server: LocalStripe, client: stripe.StripeClient) -> None:
    session = embed(client, redirect_on_completion="never")
    url = f"{server.url}/c/embed/{session.client_secret}"
    post(url, data={"action": "pay", **PAYER})
    assert 'data-return-url=""' in get(url).text


def test_the_script_is_served(server: LocalStripe) -> None:
    script = get(f"{server.url}/stripe.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "createEmbeddedCheckoutPage" in script.text


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"success_url": "http://127.0.0.1/"}, "success_url"),
        ({"cancel_url": "http://127.0.0.1/"}, "cancel_url"),
        ({"redirect_on_completion": "always"}, "return_url"),
        ({"redirect_on_completion": "never", "return_url": RETURN_URL}, "return_url"),
        ({"ui_mode": "elements"}, "ui_mode=elements"),
        ({"ui_mode": "embedded"}, "ui_mode"),
    ],
)
def test_a_wrong_embedded_session_is_refused(
    client: stripe.StripeClient, params: Any, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        embed(client, **params)
    assert raised.value.param == param
