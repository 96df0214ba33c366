"""The main job as a person lives it: in Chromium, with the example chat."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from infra.local.stack import LocalStack
from tests.support.chromium import chromium
from tests.support.story import until

#: What the browser showed, kept to be looked at.
SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
TEXT = ("Explain how tides work, in great detail and with every number that matters. " * 12).strip()
BALANCE = re.compile(r"^\$[0-4]\.\d\d$")


@pytest.fixture
def page(stack: LocalStack) -> Iterator[Page]:
    SHOTS.mkdir(parents=True, exist_ok=True)
    errors: list[str] = []
    with (
        chromium() as browser,
        browser.new_context(
            locale="en-US", timezone_id="Europe/Berlin", viewport={"width": 1100, "height": 860}
        ) as context,
    ):
        context.set_default_timeout(20_000)
        context.on("weberror", lambda error: errors.append(str(error.error)))
        yield context.new_page()
    assert errors == []


def send(page: Page) -> None:
    """One message, until it is answered or the overlay opens."""
    page.fill("#message", TEXT)
    page.press("#message", "Enter")
    # Not wait_for_function: it evaluates text in the page, which the page's policy forbids.
    until(page.locator("iframe, #send[aria-label=Send]").count, lambda count: count > 0)


def send_until_blocked(page: Page) -> None:
    for _ in range(40):
        send(page)
        if page.locator("iframe").count():
            return
    pytest.fail("never blocked")


def test_chat_until_blocked_buy_and_go_on(stack: LocalStack, page: Page) -> None:
    page.goto(stack.urls["chat"])
    page.fill("#user", f"person-{uuid.uuid4().hex[:6]}")
    page.press("#user", "Tab")
    overlay = page.frame_locator("iframe")

    # Chat as a free user until blocked.
    send(page)
    page.screenshot(path=SHOTS / "1-chat.png")
    send_until_blocked(page)
    asked = page.locator(".message.user").count()

    # The overlay: percent used, reset time, packs and plans.
    expect(overlay.get_by_text(re.compile(r"\d+% used")).first).to_be_visible()
    expect(overlay.locator("time").first).to_have_text(re.compile(r"\d"))
    for price in ("$5.00", "$20.00", "$12.00"):
        expect(overlay.get_by_text(price).first).to_be_visible()
    page.wait_for_timeout(400)  # the overlay's own fade, for the picture only
    page.screenshot(path=SHOTS / "2-overlay.png")

    # Buy the $5 pack on the local Stripe's page.
    with page.expect_popup() as opened:
        overlay.locator("button[name=pack][value=starter]").click()
    pay = opened.value
    pay.wait_for_selector("#pay")
    pay.screenshot(path=SHOTS / "3-payment.png")
    pay.click("#pay")

    # The overlay says so by itself, and the same message goes through.
    expect(overlay.locator("#paid")).to_be_visible()
    expect(overlay.locator("#paid")).to_contain_text("$5.00")
    page.screenshot(path=SHOTS / "4-paid.png")
    expect(page.locator("iframe")).to_have_count(0)
    expect(page.locator(".message.user")).to_have_count(asked + 1)
    expect(page.locator(".message.user").last).to_have_text(TEXT)
    expect(page.locator(".message.assistant").last).not_to_have_text("")
    expect(page.locator("#message")).to_have_value("")

    # What the allowance still holds is used first. Then the balance goes down, in what was paid
    # and not in AI spend (of which the pack's $5.00 bought $4.00).
    for _ in range(40):
        if page.locator("#balance").inner_text() != "$5.00":
            break
        send(page)
    expect(page.locator("#balance")).to_have_text(BALANCE)
    assert 4.5 < float(page.locator("#balance").inner_text().lstrip("$")) < 5.0
    page.screenshot(path=SHOTS / "5-continued.png")


def test_dismissed_the_typed_message_is_still_there(stack: LocalStack, page: Page) -> None:
    page.goto(stack.urls["chat"])
    page.fill("#user", f"person-{uuid.uuid4().hex[:6]}")
    page.press("#user", "Tab")
    page.select_option("#model", "gpt-4o")
    send_until_blocked(page)
    expect(page.frame_locator("iframe").locator("#choose h1")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("iframe")).to_have_count(0)
    expect(page.locator("#message")).to_have_value(TEXT)
    expect(page.locator("#message")).to_be_focused()
