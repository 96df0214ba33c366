"""Stripe's Embedded Checkout, shown by embed.js in the app's page: at the local Stripe."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from tollkeeper_core.adapters.stripe_billing import StripeBilling

from infra.local.stripe_local import LocalStripe
from tests.browser.conftest import APP_JS, HOST, World, serve

POLICY = "default-src 'self'; img-src data:; style-src 'self' 'unsafe-inline'; {rest}"


@pytest.fixture
def stripe() -> Iterator[LocalStripe]:
    with LocalStripe(delayed_s=0.05) as running:
        yield running


@pytest.fixture
def app(world: World, stripe: LocalStripe) -> Iterator[list[str]]:
    """The app, where payments are embedded; the list holds its policy, for a test to change."""
    policy = [f"script-src 'self' {world.page} {stripe.url}; frame-src {world.page} {stripe.url}"]

    def answer(_method: str, path: str, _form: dict[str, str]) -> tuple[int, dict[str, str], str]:
        if path == "/app.js":
            return 200, {"Content-Type": "text/javascript"}, APP_JS
        headers = {"Content-Type": "text/html"}
        headers["Content-Security-Policy"] = POLICY.format(rest=policy[0])
        return 200, headers, HOST.format(page=world.page)

    with serve(answer) as world.app:
        config = world.up.config.config
        raw = config.model_dump(mode="json", by_alias=True)
        raw["settings"]["allowed_origins"] = [world.app]
        raw["settings"]["checkout"]["embedded_key"] = "pk_test_local"
        world.up.config.config = type(config).model_validate(raw)
        billing = StripeBilling(stripe.secret_key, stripe.url)
        world.up.service = replace(world.up.service, billing=billing)
        world.up.clock.now_ms = time.time_ns() // 1_000_000  # Stripe's own clock goes on
        yield policy


def choose(world: World, page: Page) -> None:
    world.open(page).get_by_role("button", name="Starter").click()


@pytest.mark.usefixtures("app")
def test_it_is_paid_without_leaving_the_app(
    context: BrowserContext, world: World, stripe: LocalStripe
):
    page = context.new_page()
    choose(world, page)
    form = page.frame_locator(f'iframe[src^="{stripe.url}"]')
    expect(form.get_by_text("$5.00").first).to_be_visible()
    # In the app's own page: the frame of the upgrade page holds nothing of Stripe's.
    (frame,) = [one for one in page.frames if one.url.startswith(stripe.url)]
    assert frame.parent_frame == page.main_frame
    assert len(context.pages) == 1
    page.screenshot(path="build/screenshots/embedded.png")
    form.locator("#pay").click()
    expect(form.locator("body")).to_have_count(0)
    shown = page.frame_locator(f'iframe[src^="{world.page}"]')
    expect(shown.get_by_role("heading", name="Waiting for your payment…")).to_be_visible()
    expect(page.locator("#outcome")).to_have_text("open")  # Stripe's word grants nothing
    world.webhook()
    expect(page.locator("#outcome")).to_have_text("paid")
    assert page.url.startswith(world.app)


@pytest.mark.usefixtures("app")
def test_closed_and_begun_again(context: BrowserContext, world: World, stripe: LocalStripe):
    page = context.new_page()
    choose(world, page)
    form = page.frame_locator(f'iframe[src^="{stripe.url}"]')
    expect(form.get_by_text("$5.00").first).to_be_visible()
    page.get_by_label("Close").click()
    expect(page.locator("#outcome")).to_have_text("dismissed")
    page.get_by_role("button", name="Upgrade").click()
    expect(page.locator("iframe[title=Upgrade]")).to_have_count(1)  # the one before has gone
    page.frame_locator("iframe").get_by_role("button", name="Plus").click()
    expect(form.get_by_text("$20.00").first).to_be_visible()


@pytest.mark.usefixtures("app")
def test_the_apps_own_older_stripe_is_used(
    context: BrowserContext, world: World, stripe: LocalStripe
):
    page = context.new_page()
    frame = world.open(page)
    page.add_script_tag(url=f"{stripe.url}/stripe.js")
    page.evaluate(
        """() => {
             const now = globalThis.Stripe;
             globalThis.Stripe = (key) => ({
               initEmbeddedCheckout: (options) => now(key).createEmbeddedCheckoutPage(options),
             });
           }"""
    )
    frame.get_by_role("button", name="Starter").click()
    form = page.frame_locator(f'iframe[src^="{stripe.url}"]')
    expect(form.get_by_text("$5.00").first).to_be_visible()


def test_where_stripes_script_is_not_allowed_a_pop_up_opens_at_the_second_click(
    context: BrowserContext, world: World, stripe: LocalStripe, app: list[str]
):
    app[0] = f"script-src 'self' {world.page}; frame-src {world.page}"
    page = context.new_page()
    choose(world, page)
    shown = page.frame_locator("iframe")
    expect(shown.get_by_role("alert")).to_contain_text("Nothing was charged.")
    with context.expect_page() as opened:
        shown.get_by_role("button", name="Starter").click()
    opened.value.wait_for_url(f"{stripe.url}/**")


@pytest.mark.usefixtures("app")
def test_a_word_from_elsewhere_shows_nothing(context: BrowserContext, world: World):
    page = context.new_page()
    frame = world.open(page)
    expect(frame.get_by_role("heading", name="Keep going")).to_be_visible()
    page.evaluate(
        """(script) =>
             postMessage({ type: "tollkeeper:checkout", script, key: "k", secret: "s" })""",
        f"{world.app}/app.js",
    )
    page.wait_for_timeout(200)
    expect(frame.get_by_role("heading", name="Keep going")).to_be_visible()
    assert page.locator("script").count() == 2


@pytest.mark.parametrize(
    "script", ["https://evil.test/stripe.js", "http://js.stripe.com/x.js", "data:text/javascript,1"]
)
@pytest.mark.usefixtures("app")
def test_only_stripes_script_is_loaded(context: BrowserContext, world: World, script: str):
    page = context.new_page()
    page.goto(world.app)
    said = page.evaluate(
        """async ([url, script]) => (await import(url)).mount({ script }, document.body)
             .then(String, (error) => error.message)""",
        [f"{world.page}/checkout.mjs", script],
    )
    assert said == "Tollkeeper: not an address of Stripe's"
