"""The local Stripe's pages in a real browser: Embedded Checkout in a merchant's page, the desk."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, expect

from infra.local.stripe_local import LocalStripe
from tests.support import loopback
from tests.support.stripe_local import PACK, buy, client_of

MERCHANT = """<!doctype html><html lang="en"><title>Shop</title>
<link rel="icon" href="data:,"><h1>Shop</h1><div id="checkout"></div><output id="done"></output>
<script src="{stripe}/stripe.js"></script>
<script>
(async () => {{
  const checkout = await Stripe("pk_test_local").createEmbeddedCheckoutPage({{
    fetchClientSecret: async () => "{secret}",
    onComplete: () => {{ document.getElementById("done").value = "complete"; }},
  }});
  checkout.mount("#checkout");
}})();
</script></html>"""


@pytest.fixture
def server() -> Iterator[LocalStripe]:
    with LocalStripe(delayed_s=0.05) as running:
        yield running


def _serve(html: str) -> AbstractContextManager[str]:
    """A merchant's page, on an origin of its own."""
    answer = loopback.Answer(200, [("Content-Type", "text/html")], html.encode())
    return loopback.serve(lambda _: answer)


@pytest.mark.parametrize("redirect", ["never", "always"])
def test_embedded_checkout_is_paid_in_the_merchants_page(
    server: LocalStripe, context: BrowserContext, redirect: str
) -> None:
    page = context.new_page()
    with _serve("<title>Back</title><h1>Thanks</h1>") as back:
        params: Any = {
            "mode": "payment",
            "ui_mode": "embedded_page",
            "redirect_on_completion": redirect,
            "line_items": [PACK],
        }
        if redirect == "always":
            params["return_url"] = f"{back}/thanks?session={{CHECKOUT_SESSION_ID}}"
        session = client_of(server).v1.checkout.sessions.create(params)
        html = MERCHANT.format(stripe=server.url, secret=session.client_secret)
        with _serve(html) as shop:
            page.goto(shop)
            page.frame_locator("iframe").locator("#pay").click()
            if redirect == "always":
                page.wait_for_url(f"{back}/thanks?session={session.id}")
            else:
                expect(page.locator("#done")).to_have_text("complete")
                assert page.url.startswith(shop)
    paid = client_of(server).v1.checkout.sessions.retrieve(session.id)
    assert paid.payment_status == "paid"


def test_a_developer_refunds_disputes_and_renews_on_the_account_page(
    server: LocalStripe, context: BrowserContext
) -> None:
    client = client_of(server)
    refunded, disputed = buy(client), buy(client)
    plan = buy(client, "subscription")
    page = context.new_page()
    page.goto(f"{server.url}/_local")
    row = page.locator(f"#{refunded.payment_intent}")
    row.locator("input").fill("200")
    row.get_by_role("button", name="Refund").click()
    expect(row).to_contain_text("$2.00")
    page.locator(f"#{disputed.payment_intent}").get_by_role("button", name="Dispute").click()
    page.get_by_role("button", name="Lose").click()
    expect(page.locator("#disputes + table")).to_contain_text("lost")
    page.get_by_role("button", name="Fail the card").click()
    page.get_by_role("button", name="Next renewal").click()
    expect(page.locator("#subscriptions ~ table").first).to_contain_text("past_due")
    page.get_by_role("button", name="Mend the card").click()
    page.get_by_role("button", name="Try now").click()
    expect(page.locator("#subscriptions ~ table").first).to_contain_text("active")
    assert client.v1.subscriptions.retrieve(plan.subscription).status == "active"
    assert [d.status for d in client.v1.disputes.list().data] == ["lost"]
