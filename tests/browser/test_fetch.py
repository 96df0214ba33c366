"""`Tollkeeper.fetch`: a blocked request is sold in place and sent once more."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import BrowserContext, FrameLocator, Page, expect

from tests.browser.conftest import World, serve

HOST = """<!doctype html><html lang="en"><title>App</title><link rel="icon" href="data:,">
<script src="{page}/embed.js"></script><body></body></html>"""
POLICY = "default-src 'self'; img-src data:; script-src 'self' {0}; frame-src {0}"
JSON = {"Content-Type": "application/json"}

ASK = """async (make) => {
  const response = await eval(make);
  return [response.status, await response.json()];
}"""
#: Sends a form, in each way that fetch takes one.
FORM = 'new URLSearchParams({ text: "hi é" })'
PLAIN = f'Tollkeeper.fetch("/api/chat", {{ method: "POST", body: {FORM} }})'
REQUEST = f'Tollkeeper.fetch(new Request("/api/chat", {{ method: "POST", body: {FORM} }}))'


@dataclass
class Shop:
    """An app whose server blocks until the ledger holds a purchase, or as `block` says."""

    world: World
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    block: Callable[[], bool] = lambda: True
    body: dict[str, object] = field(default_factory=dict)

    def answer(
        self, method: str, path: str, form: dict[str, str]
    ) -> tuple[int, dict[str, str], str]:
        if not path.startswith("/api"):
            headers = {"Content-Type": "text/html"}
            headers["Content-Security-Policy"] = POLICY.format(self.world.page)
            return 200, headers, HOST.format(page=self.world.page)
        self.asked.append((method, form.get("text", "")))
        if self.block():
            return 402, JSON, json.dumps(self.body)
        return 200, JSON, json.dumps({"said": form.get("text")})


@contextmanager
def opened(found: Shop) -> Iterator[None]:
    """With an address, from which the overlay may be opened."""
    found.body = {"tollkeeper": "blocked", "upgrade_message": "Enough.", "upgrade_url": ""}
    config = found.world.up.config
    with serve(found.answer) as found.url:
        settings = config.config.settings.model_copy(update={"allowed_origins": [found.url]})
        config.config = config.config.model_copy(update={"settings": settings})
        found.body["upgrade_url"] = found.world.link()
        found.block = lambda: not found.world.up.ledger.granted
        yield


@pytest.fixture
def shop(world: World) -> Iterator[Shop]:
    found = Shop(world)
    with opened(found):
        yield found


@pytest.fixture
def page(context: BrowserContext, shop: Shop) -> Page:
    page = context.new_page()
    page.goto(shop.url)
    return page


def start(page: Page, request: str) -> None:
    """Send, without waiting for the answer, which `answer` takes up."""
    page.evaluate(f"window.answers = (window.answers ?? []).concat(({ASK})({json.dumps(request)}))")


def answers(page: Page) -> list[list[object]]:
    got: list[list[object]] = page.evaluate("Promise.all(window.answers)")
    return got


def overlay(page: Page) -> FrameLocator:
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Keep going")).to_be_visible()
    return frame


def buy(page: Page, shop: Shop) -> None:
    frame = overlay(page)
    with page.context.expect_page() as opened:
        frame.get_by_role("button", name="Starter").click()
    opened.value.get_by_role("button", name="Pay").click()
    shop.world.webhook()
    frame.get_by_role("link", name="Continue").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_is_no_block_passes_through(page: Page, shop: Shop) -> None:
    shop.block = lambda: False
    assert page.evaluate(ASK, PLAIN) == [200, {"said": "hi é"}]
    shop.block = lambda: True
    for other in ({"tollkeeper": "else"}, {"detail": "pay us"}, {"tollkeeper": "blocked"}):
        shop.body = dict(other)
        assert page.evaluate(ASK, PLAIN) == [402, other]
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert len(shop.asked) == 4


@pytest.mark.parametrize("request_", [PLAIN, REQUEST], ids=["plain", "Request"])
def test_after_the_purchase_the_same_request_is_sent_once_more(
    page: Page, shop: Shop, request_: str
) -> None:
    start(page, request_)
    buy(page, shop)
    assert answers(page) == [[200, {"said": "hi é"}]]
    assert shop.asked == [("POST", "hi é")] * 2


def test_dismissed_answers_the_block_itself(page: Page, shop: Shop) -> None:
    start(page, PLAIN)
    overlay(page)
    page.get_by_label("Close").click()
    assert answers(page) == [[402, shop.body]]
    assert len(shop.asked) == 1


def test_paid_and_blocked_again_is_not_asked_a_third_time(page: Page, shop: Shop) -> None:
    shop.block = lambda: True
    start(page, PLAIN)
    buy(page, shop)
    assert answers(page) == [[402, shop.body]]
    assert len(shop.asked) == 2


def test_requests_stopped_together_share_one_purchase(page: Page, shop: Shop) -> None:
    start(page, PLAIN)
    start(page, REQUEST)
    overlay(page)
    expect(page.locator("iframe")).to_have_count(1)
    buy(page, shop)
    assert answers(page) == [[200, {"said": "hi é"}]] * 2
    assert len(shop.asked) == 4


def test_an_address_that_is_not_ours_is_not_opened(page: Page, shop: Shop) -> None:
    shop.body["upgrade_url"] = "https://elsewhere.test/?t=x"
    logged: list[str] = []
    page.on("console", lambda message: logged.append(message.text))
    assert page.evaluate(ASK, PLAIN) == [402, shop.body]
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert any("not the upgrade_url" in text for text in logged)


def test_a_stream_is_refused_before_it_is_sent(page: Page, shop: Shop) -> None:
    said = page.evaluate(
        """() => Tollkeeper.fetch("/api/chat", {
             method: "POST", body: new Blob(["text=hi"]).stream(), duplex: "half",
           }).then(String, (error) => `${error.name}: ${error.message}`)"""
    )
    assert re.fullmatch("TypeError: Tollkeeper.fetch: a body that is a stream .*", said)
    assert shop.asked == []


def test_an_aborted_request_is_not_sent_again(page: Page, shop: Shop) -> None:
    page.evaluate("window.stop = new AbortController()")
    options = f'{{ method: "POST", body: {FORM}, signal: stop.signal }}'
    rejected = "(error) => Response.json(error.name)"
    start(page, f'Tollkeeper.fetch("/api/chat", {options}).catch({rejected})')
    overlay(page)
    page.evaluate("stop.abort()")
    buy(page, shop)
    assert answers(page) == [[200, "AbortError"]]
    assert len(shop.asked) == 1
