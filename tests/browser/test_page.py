"""The upgrade page as a page of its own: in the tab, without a script, and to look at."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser.conftest import World
from tests.support.upgrade import NOW_MS

CSS = Path(__file__).parents[2] / "functions/upgrade_page/static/page.css"


def test_the_payment_takes_the_tab(context: BrowserContext, world: World):
    page = context.new_page()
    page.goto(world.link())
    page.get_by_role("button", name="Starter").click()
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_text("Waiting for the confirmation of your payment.")).to_be_visible()
    world.webhook()
    expect(page.get_by_text("Your balance is $5.00.")).to_be_visible()
    expect(page.get_by_role("link", name="Continue")).to_have_attribute("href", world.app)
    page.goto(world.link())
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    expect(page.get_by_role("button", name="Starter")).to_be_hidden()


def test_credit_that_is_checked_first_is_said_with_the_thanks(
    context: BrowserContext, world: World
):
    """By the script that waits for it, and by the page that is opened afterwards, in one way."""
    page = context.new_page()
    page.goto(f"{world.page}/upgrade/done?t={world.up.blocked_token()}&pack=starter")
    world.webhook(fresh_until_ms=NOW_MS + 86_400_000, fresh_nano=10**9)
    thanks = page.locator("#paid p").first
    said = (
        "$5.00 of credit added. Your balance is $5.00. "
        "$3.75 of it is being checked. You can use all of it tomorrow at 13:00."
    )
    expect(thanks).to_have_text(said)
    page.reload()
    expect(thanks).to_have_text(said)


def test_a_slow_bank_keeps_nobody_waiting(context: BrowserContext, world: World):
    page = context.new_page()
    page.clock.install()
    page.goto(f"{world.page}/upgrade/done?t={world.up.token()}&pack=starter")
    expect(page.get_by_text("This takes a few seconds.")).to_be_visible()
    page.clock.fast_forward(61_000)
    expect(page.get_by_text("You can close this page")).to_be_visible()
    world.webhook()
    page.clock.fast_forward(9_000)
    expect(page.get_by_text("$5.00 of credit added.", exact=True)).to_be_visible()


def test_the_browsers_back_button_leads_back_to_the_offers(context: BrowserContext, world: World):
    page = context.new_page()
    page.goto(world.link())
    page.get_by_role("button", name="Starter").click()
    page.get_by_role("button", name="Pay").wait_for()
    page.go_back()
    expect(page.get_by_role("button", name="Starter")).to_be_visible()
    page.get_by_role("button", name="Plus").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Nothing was charged.")).to_be_visible()
    page.get_by_role("link", name="See the offers again").click()
    expect(page.get_by_role("button", name="Starter")).to_be_visible()


def test_it_sells_without_a_script(browser: Browser, world: World):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(world.link())
        expect(page.get_by_text("Resets on 26 Nov 2026, 00:00 UTC")).to_be_visible()
        page.get_by_role("button", name="Starter").click()
        page.get_by_role("button", name="Pay").click()
        expect(page.get_by_text("Waiting for the confirmation of your payment.")).to_be_visible()
        world.webhook()
        expect(page.get_by_text("$5.00 of credit added.")).to_be_visible()  # it reloads itself


def test_an_outage_offers_to_try_again(context: BrowserContext, world: World):
    page = context.new_page()
    world.up.ledger.down = True
    page.goto(world.link())
    expect(page.get_by_role("alert")).to_contain_text("We cannot show this right now")
    world.up.ledger.down = False
    page.get_by_role("link", name="Try again").click()
    expect(page.get_by_role("heading", name="Keep going")).to_be_visible()


@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_it_fits_every_screen(context: BrowserContext, world: World, width: int):
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(world.link())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for button in page.get_by_role("button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 44
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def _palette(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+):\s*(#[0-9a-f]+);", block))


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read(scheme: int):
    """WCAG 2.2: a contrast of 4.5 for text (1.4.3), of 3 for what else carries meaning (1.4.11)."""
    light, dark = (
        _palette(block) for block in re.findall(r":root \{(.*?)\}", CSS.read_text(), re.S)
    )
    palette = dark if scheme else light
    assert set(dark) <= set(light)

    def contrast(one: str, other: str) -> float:
        high, low = sorted((_luminance(palette[one]), _luminance(palette[other])), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for text in ("ink", "muted", "accent", "bad"):
        assert contrast(text, "surface") >= 4.5
        assert contrast(text, "ground") >= 4.5
    assert contrast("on-accent", "accent") >= 4.5
    assert contrast("muted", "line") >= 3
    assert contrast("accent", "line") >= 3
