"""A browser, an app that embeds the overlay, and a payment page, each of its own origin."""

import html
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page
from tollkeeper_core import telemetry
from tollkeeper_core.domain.movements import Grant
from tollkeeper_core.domain.periods import Window

from functions.upgrade_page.app import handler, site
from tests.support import loopback
from tests.support.chromium import chromium
from tests.support.function_server import serve_function
from tests.support.upgrade import NOW_MS, Upgrade, example_config

HOST = """<!doctype html><html lang="en"><title>App</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<script src="{page}/embed.js"></script><script src="/app.js" defer></script>
<link rel="icon" href="data:,">
<main><h1>App</h1><button id="upgrade">Upgrade</button>
<p>Outcome: <output id="outcome"></output></p></main></html>"""

APP_JS = """
const outcome = document.getElementById("outcome");
const upgradeUrl = new URLSearchParams(location.search).get("url");
document.getElementById("upgrade").addEventListener("click", async () => {
  outcome.value = "open";
  try { outcome.value = await Tollkeeper.open(upgradeUrl); }
  catch (error) { outcome.value = `${error.name}: ${error.message}`; }
});
"""

PAY = """<!doctype html><html lang="en"><title>Checkout</title>
<link rel="icon" href="data:,"><h1>Pay {price}</h1>
<form method="post"><button name="to" value="{success}">Pay</button>
<button name="to" value="{cancel}">Cancel</button></form></html>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, with its pop-up blocker on. Of a module: it occupies the thread's event loop."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A profile of its own. Whatever a page's script throws fails the test."""
    errors: list[str] = []
    with browser.new_context(locale="en-GB", timezone_id="Europe/Berlin") as context:
        context.set_default_timeout(10_000)
        context.on("weberror", lambda error: errors.append(str(error.error)))
        yield context
    assert errors == []


@dataclass
class World:
    """The app at ``app``, the upgrade page at ``page``, and what they stand on."""

    up: Upgrade
    app: str = ""
    page: str = ""
    paid: list[str] = field(default_factory=list)

    def link(self, **more: Any) -> str:
        """A link's address, after a block at the daily limit."""
        return f"{self.page}/upgrade?t={self.up.blocked_token(**more)}"

    def webhook(self, prompt_id: str = "prm_1", **more: Any) -> None:
        """What the webhook does when the payment has arrived."""
        self.up.ledger.grant(
            Grant("ada", "cs_1", "starter", 4 * 10**9, 500, "usd", None, prompt_id, NOW_MS, **more)
        )

    def open(self, page: Page, url: str | None = None, origin: str | None = None) -> FrameLocator:
        """Open the app, press its button, and answer the overlay's page."""
        page.goto(f"{origin or self.app}/?url={url or self.link()}")
        page.get_by_role("button", name="Upgrade").click()
        return page.frame_locator("iframe")


#: ``answer(method, path, form) -> (status, headers, body)``.
AnswerForm = Callable[[str, str, dict[str, str]], tuple[int, dict[str, str], str]]


@contextmanager
def serve(answer: AnswerForm) -> Iterator[str]:
    """Serve pages that take forms; yields the address."""

    def of(request: loopback.Request) -> loopback.Answer:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        status, headers, text = answer(request.method, request.path, form)
        return loopback.Answer(status, headers.items(), text.encode())

    with loopback.serve(of) as address:
        yield address


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Everything served; the daily limit is used up."""
    found = World(Upgrade())
    found.up.ledger.used["ada"] = {Window.DAILY: 50_000_000, Window.MONTHLY: 100_000_000}
    monkeypatch.setattr(telemetry.metrics.provider, "namespace", "Tollkeeper")
    wired, site.state.upgrade_service = site.state.upgrade_service, lambda: found.up.service

    def app(_method: str, path: str, _form: dict[str, str]) -> tuple[int, dict[str, str], str]:
        if path == "/app.js":
            return 200, {"Content-Type": "text/javascript"}, APP_JS
        # A strict policy: the overlay gets by with its script and its frame.
        csp = "default-src 'none'; img-src data:; script-src 'self' {0}; frame-src {0}"
        headers = {
            "Content-Type": "text/html",
            "Content-Security-Policy": csp.format(found.page),
        }
        return 200, headers, HOST.format(page=found.page)

    def pay(method: str, path: str, form: dict[str, str]) -> tuple[int, dict[str, str], str]:
        if method == "POST":
            found.paid.append(form["to"])
            return 303, {"Location": form["to"]}, ""
        request = found.up.billing.requests[int(path.rpartition("_")[2])]
        text = PAY.format(
            price=request.price_minor,
            success=html.escape(request.success_url),
            cancel=html.escape(request.cancel_url),
        )
        return 200, {"Content-Type": "text/html", "X-Frame-Options": "DENY"}, text

    with serve_function(handler) as found.page, serve(app) as found.app, serve(pay) as base:
        found.up.billing.base = base
        found.up.config.config = example_config(allowed_origins=[found.app])
        yield found
    site.state.upgrade_service = wired
