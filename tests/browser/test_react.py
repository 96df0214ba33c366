"""The React hook of examples/react: typed against what is served, bundled, and bought with."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import World
from tests.browser.test_fetch import Shop, buy, opened

EXAMPLE = Path(__file__).parents[2] / "examples/react"
HOST = """<!doctype html><html lang="en"><title>App</title><link rel="icon" href="data:,"><body>
<div id="root" data-page="{page}" data-upgrade="{link}"></div><script src="/app.js"></script></body>
</html>"""
POLICY = "default-src 'self'; img-src data:; script-src 'self' {0}; frame-src {0}"

pytestmark = pytest.mark.skipif(
    not (EXAMPLE / "node_modules/.done").exists(), reason="make setup found no npm"
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("react") / "app.js"
    tools = EXAMPLE / "node_modules/.bin"
    subprocess.run([tools / "tsc", "--noEmit"], cwd=EXAMPLE, check=True)
    define = "--define:process.env.NODE_ENV='production'"
    command = [tools / "esbuild", "app.tsx", "--bundle", f"--outfile={out}", define]
    subprocess.run(command, cwd=EXAMPLE, check=True, capture_output=True)
    return out.read_text("utf-8")


class ReactShop(Shop):
    """The same shop, whose page is the example's."""

    bundle = ""

    def answer(
        self, method: str, path: str, form: dict[str, str]
    ) -> tuple[int, dict[str, str], str]:
        if path == "/app.js":
            return 200, {"Content-Type": "text/javascript; charset=utf-8"}, self.bundle
        if not path.startswith("/api"):
            headers = {"Content-Type": "text/html"}
            headers["Content-Security-Policy"] = POLICY.format(self.world.page)
            return 200, headers, HOST.format(page=self.world.page, link=self.world.link())
        return super().answer(method, path, form)


@pytest.fixture
def shop(world: World, bundle: str) -> Iterator[ReactShop]:
    found = ReactShop(world)
    found.bundle = bundle
    with opened(found):
        yield found


@pytest.fixture
def page(context: BrowserContext, shop: ReactShop) -> Page:
    page = context.new_page()
    page.goto(shop.url)
    return page


def test_what_was_stopped_is_answered_after_the_purchase(page: Page, shop: ReactShop):
    page.get_by_role("button", name="Ask").click()
    buy(page, shop)
    expect(page.locator("output")).to_have_text("You said: hi")
    assert shop.asked == [("POST", "hi")] * 2
    assert page.locator("script[src$='/embed.js']").count() == 1  # StrictMode mounts twice


def test_dismissed_the_block_is_the_answer(page: Page, shop: ReactShop):
    page.get_by_role("button", name="Ask").click()
    page.get_by_label("Close").click()
    expect(page.locator("output")).to_have_text("Enough.")
    assert len(shop.asked) == 1


def test_open_says_what_came_of_it(page: Page, shop: ReactShop):
    page.get_by_role("button", name="Buy credits").click()
    expect(page.get_by_text("The upgrade page is open.")).to_be_visible()
    page.get_by_label("Close").click()
    expect(page.locator("output")).to_have_text("dismissed")
    expect(page.get_by_text("Chat", exact=True)).to_be_visible()
