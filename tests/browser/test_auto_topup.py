"""Agreeing to automatic top-ups, by keyboard alone, in the overlay."""

from playwright.sync_api import Browser, BrowserContext, Page, expect
from tollkeeper_core.domain.config import AutoTopUp

from tests.browser.conftest import World
from tests.browser.test_looks import look_at
from tests.support.upgrade import example_config

RULES = AutoTopUp(thresholds_percent=[10, 25], monthly_max=4).model_dump()


def offer(world: World) -> None:
    world.up.config.config = example_config(allowed_origins=[world.app], auto_topup=RULES)


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on the field of this name."""
    frame = page.frames[-1]
    for _ in range(40):
        if frame.evaluate("document.activeElement?.name") == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not come to {name}")


def test_it_is_agreed_to_by_keyboard(context: BrowserContext, world: World) -> None:
    offer(world)
    page = context.new_page()
    frame = world.open(page)
    expect(frame.get_by_role("heading", name="Automatic top-up")).to_be_visible()
    tab_to(page, "threshold")
    page.keyboard.press("ArrowDown")
    tab_to(page, "monthly")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    # Without the consent nothing is sent: the browser says what is missing.
    assert world.up.billing.requests == []
    tab_to(page, "auto_topup")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    with context.expect_page() as opened:
        page.keyboard.press("Enter")
    expect(opened.value.get_by_role("button", name="Pay")).to_be_visible()

    (request,) = world.up.billing.requests
    assert request.keeps_card
    assert request.metadata["topup_monthly_max"] == "4"
    assert request.metadata["topup_below_nano"] == str(4 * 10**9 * 25 // 100)


def test_nobody_is_asked_where_the_owner_does_not_offer_it(
    context: BrowserContext, world: World
) -> None:
    page = context.new_page()
    page.goto(world.link())
    expect(page.get_by_role("button", name="Starter")).to_be_visible()
    expect(page.get_by_text("Automatic top-up")).to_have_count(0)


def test_it_looks_right_and_axe_finds_nothing(browser: Browser, world: World) -> None:
    offer(world)
    with browser.new_context(locale="de-DE", viewport={"width": 420, "height": 900}) as context:
        page = context.new_page()
        page.goto(world.link())
        expect(page.locator("#auto-topup")).to_be_visible()
        look_at(page, "auto-topup-de")
