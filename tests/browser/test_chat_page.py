"""The chat's page in a real browser: talk, reach the limit, buy, go on."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, Page, expect

from examples.chat import ChatConfig, create_app
from infra.local.provider import BackgroundServer, LocalProvider
from tests.support.chromium import chromium
from tests.support.scripted_tollkeeper import KEY, ScriptedTollkeeper

SLOW = "Tell me slowly about rivers"


@dataclass
class Stage:
    """The servers behind the page, and what the browser complained of."""

    url: str
    scripted: ScriptedTollkeeper
    provider: LocalProvider
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def servers() -> Iterator[Stage]:
    with ExitStack() as stack:
        scripted = ScriptedTollkeeper()
        scripted.url = stack.enter_context(BackgroundServer(scripted.app())).url
        provider = stack.enter_context(LocalProvider(token_delay_ms=1))
        config = ChatConfig(provider.url, scripted.url, KEY, scripted.url)
        url = stack.enter_context(BackgroundServer(create_app(config))).url
        yield Stage(url, scripted, provider)


@pytest.fixture
def stage(servers: Stage) -> Stage:
    servers.scripted.reset()
    servers.complaints.clear()
    return servers


@pytest.fixture
def page(browser: Browser, stage: Stage) -> Iterator[Page]:
    page = browser.new_page()
    page.set_default_timeout(10_000)
    page.on("pageerror", lambda error: stage.complaints.append(str(error)))
    page.on("console", lambda message: note(stage, message.type, message.text))
    page.goto(stage.url)
    expect(page.locator(".window")).to_have_count(3)
    yield page
    page.close()
    assert stage.complaints == []


def note(stage: Stage, kind: str, text: str) -> None:
    # The browser logs every 402 as an error, and that answer is the product.
    if kind in ("error", "warning") and "402 (Payment Required)" not in text:
        stage.complaints.append(text)


def send(page: Page, text: str) -> None:
    page.fill("#message", text)
    page.press("#message", "Enter")


def answered(page: Page, count: int) -> None:
    expect(page.locator(".message.assistant")).to_have_count(count)
    expect(page.locator("#messages")).to_have_attribute("aria-busy", "false")


def daily(page: Page) -> str | None:
    return page.locator(".window[data-window=daily]").get_attribute("data-percent")


def test_an_answer_is_streamed_and_the_usage_moves(page: Page, stage: Stage) -> None:
    assert daily(page) == "0"
    page.get_by_role("button", name="Explain how tides work").click()
    answered(page, 1)
    expect(page.locator(".message.user")).to_have_text("Explain how tides work")
    expect(page.locator(".message.assistant")).to_contain_text("how tides work")
    expect(page.locator(".message.assistant li strong")).to_have_count(3)
    expect(page.locator("#message")).to_have_value("")
    expect(page.locator(".window[data-window=daily]")).to_have_attribute("data-percent", "25")
    expect(page.locator("#spoken")).to_contain_text("how tides work")
    assert stage.scripted.checks[0]["user_id"] == "ada"


def test_dismissed_keeps_the_message_and_paid_sends_it_again(page: Page, stage: Stage) -> None:
    stage.scripted.limit = 1
    send(page, "The first")
    answered(page, 1)
    send(page, "The one that matters")
    overlay = page.frame_locator("#overlay")
    overlay.locator("#dismiss").click()
    expect(page.locator("#message")).to_have_value("The one that matters")
    expect(page.locator("#message")).to_be_focused()
    expect(page.locator("#notice")).to_contain_text("You have reached today's limit.")
    expect(page.locator("#notice")).to_contain_text("starts over in 5 hours")
    answered(page, 1)

    page.locator("#send").click()
    overlay.locator("#pay").click()
    answered(page, 2)
    expect(page.locator(".message.user").last).to_have_text("The one that matters")
    expect(page.locator("#message")).to_have_value("")
    expect(page.locator("#balance")).to_have_text("$5.00")
    expect(page.locator("#notice")).to_have_text("Thank you! Your message was sent again.")
    left = "document.scrollingElement.scrollHeight - innerHeight - scrollY"
    assert page.evaluate(left) <= 1
    sent = [check["input_tokens"] for check in stage.scripted.checks]
    assert len(sent) == 2


def test_paid_but_still_blocked_does_not_go_round_in_circles(page: Page, stage: Stage) -> None:
    stage.scripted.limit = 0
    page.route("**/paid", lambda route: route.fulfill(status=204))
    send(page, "Not enough")
    page.frame_locator("#overlay").locator("#pay").click()
    expect(page.locator("#notice a")).to_have_attribute("href", f"{stage.scripted.url}/upgrade")
    expect(page.locator("#overlay")).to_have_count(0)
    expect(page.locator("#message")).to_have_value("Not enough")


def test_buy_credits_at_any_time(page: Page, stage: Stage) -> None:
    expect(page.locator("#balance")).to_have_text("None")
    page.locator("#buy").click()
    page.frame_locator("#overlay").locator("#pay").click()
    expect(page.locator("#notice")).to_have_text("Thank you! Your credits are here.")
    expect(page.locator("#balance")).to_have_text("$5.00")
    assert stage.scripted.links == [{"user_id": "ada", "tier": "free", "reason": "buy_credits"}]


def test_a_warning_comes_with_the_answer_and_leads_to_the_upgrade_page(
    page: Page, stage: Stage
) -> None:
    send(page, "The first")
    answered(page, 1)
    expect(page.locator("#banner")).to_have_count(0)
    stage.scripted.warnings = [
        {"code": "limit_near", "window": "daily", "percent": 52, "threshold": 50, "resets_at": "x"}
    ]
    send(page, "The second")
    answered(page, 2)
    expect(page.locator("#banner")).to_have_text("52%")
    page.locator("#banner").click()
    expect(page.frame_locator("#overlay").locator("#pay")).to_be_visible()
    assert stage.scripted.links == [{"user_id": "ada", "tier": "free", "reason": "buy_credits"}]


def test_stop_keeps_what_was_said_and_pays_for_it(page: Page, stage: Stage) -> None:
    stage.provider.token_delay_ms = 40
    try:
        send(page, SLOW)
        expect(page.locator(".message.assistant")).to_contain_text("rivers")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".message .stopped")).to_have_text("Stopped")
        expect(page.get_by_role("button", name="Send")).to_be_visible()
    finally:
        stage.provider.token_delay_ms = 1
    deadline = time.monotonic() + 5
    while not stage.scripted.events:
        assert time.monotonic() < deadline, "never settled"
        page.wait_for_timeout(10)
    assert stage.scripted.events[0]["estimated"] is True


def test_markup_stays_text(page: Page) -> None:
    send(page, "Explain <img src=x onerror=alert(1)> and `x < y`")
    answered(page, 1)
    expect(page.locator(".message img")).to_have_count(0)
    expect(page.locator(".message.user")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.locator(".message.assistant code").first).to_have_text("x < y")


def test_each_user_has_a_conversation_of_their_own(page: Page, stage: Stage) -> None:
    send(page, "I am Ada")
    answered(page, 1)
    page.fill("#user", "bob")
    page.press("#user", "Tab")
    answered(page, 0)
    expect(page.get_by_role("heading", name="What is on your mind?")).to_be_visible()
    page.select_option("#tier", "pro")
    page.select_option("#model", "claude-sonnet-5")
    send(page, "I am Bob")
    answered(page, 1)
    check = stage.scripted.checks[-1]
    assert (check["user_id"], check["tier"], check["provider"]) == ("bob", "pro", "anthropic")
    page.fill("#user", "ada")
    page.press("#user", "Tab")
    expect(page.locator(".message.user")).to_have_text("I am Ada")


def test_keyboard_and_labels(page: Page) -> None:
    for label in ("User", "Tier", "Model"):
        expect(page.get_by_role("combobox", name=label, exact=True)).to_be_visible()
    expect(page.get_by_role("textbox", name="Your message", exact=True)).to_be_focused()
    expect(page.locator("#send")).to_be_disabled()
    page.fill("#message", "one")
    page.press("#message", "Shift+Enter")
    page.keyboard.type("two")
    expect(page.locator("#message")).to_have_value("one\ntwo")
    page.press("#message", "Tab")
    expect(page.locator("#send")).to_be_focused()
    page.keyboard.press("Enter")
    answered(page, 1)
    expect(page.locator(".message.user")).to_have_text("one\ntwo")
    expect(page.get_by_role("meter", name="Today")).to_have_attribute("aria-valuemax", "100")
