"""`embed.js` itself: its size, module, types and languages, and the banner before the limit."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import World
from tests.browser.test_looks import violations

STATIC = Path(__file__).parents[2] / "functions/upgrade_page/static"


def warning(**more: Any) -> dict[str, Any]:
    return {
        "code": "limit_near",
        "window": "daily",
        "percent": 83,
        "threshold": 80,
        "resets_at": "2999-11-26T00:00:00Z",
        **more,
    }


def app(context: BrowserContext, world: World, query: str = "") -> Page:
    page = context.new_page()
    page.goto(f"{world.app}/{query}")
    return page


def warn(page: Page, world: World, *warnings: dict[str, Any], **options: Any) -> bool:
    script = "([warnings, url, options]) => Tollkeeper.warn(warnings, async () => url, options)"
    return bool(page.evaluate(script, [list(warnings), world.link(), options]))


def test_it_stays_small():
    assert len(gzip.compress((STATIC / "embed.js").read_bytes(), 9)) < 6000


def test_it_leaves_one_global(context: BrowserContext, world: World):
    page = app(context, world)
    bare = context.new_page()
    bare.goto(f"{world.app}/app.js")
    globals_of = "Object.getOwnPropertyNames(window).filter((name) => !/^[0-9]+$/.test(name))"
    added = set(page.evaluate(globals_of)) - set(bare.evaluate(globals_of))
    assert added - {"outcome", "upgradeUrl", "upgrade"} == {"Tollkeeper"}
    assert page.evaluate("Object.keys(Tollkeeper)") == ["open", "fetch", "warn"]


def test_the_module_is_the_same_thing(context: BrowserContext, world: World):
    page = app(context, world)
    same = page.evaluate(
        """async (url) => {
          const module = await import(url);
          const { open, fetch, warn } = module;
          const all = [typeof open, typeof fetch, typeof warn, module.default === Tollkeeper];
          return [...all, open === Tollkeeper.open];
        }""",
        f"{world.page}/embed.mjs",
    )
    assert same == ["function", "function", "function", True, True]


def test_the_types_are_served(context: BrowserContext, world: World):
    """tests/browser/test_react.py compiles a program against them."""
    answer = context.request.get(f"{world.page}/embed.d.ts")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text() == (STATIC / "embed.d.ts").read_text()


@pytest.mark.parametrize(
    ("lang", "label", "heading"),
    [("de", "Schließen", "Guthaben aufladen oder upgraden"), ("ja-JP", "閉じる", "チャージ")],
)
def test_open_takes_a_language(
    context: BrowserContext, world: World, lang: str, label: str, heading: str
):
    page = app(context, world)
    url = f"{world.page}/upgrade?t={world.up.token()}"
    page.evaluate("([url, lang]) => void Tollkeeper.open(url, { lang })", [url, lang])
    expect(page.get_by_label(label)).to_be_visible()
    expect(page.frame_locator("iframe").get_by_role("heading", name=heading).first).to_be_visible()


def test_a_blocked_pop_up_leads_back_to_the_same_place(context: BrowserContext, world: World):
    context.add_init_script("window.open = () => null")
    page = context.new_page()
    place = f"/?chat=7&url={world.link()}#last"
    page.goto(world.app + place)
    page.get_by_role("button", name="Upgrade").click()
    page.frame_locator("iframe").get_by_role("button", name="Starter").click()
    page.get_by_role("button", name="Pay").click()
    world.webhook()
    page.get_by_role("link", name="Continue").click()
    page.wait_for_url(world.app + place)


@pytest.mark.parametrize("back", ["//evil.test", "https://evil.test", "/\\evil.test", "@evil.test"])
def test_back_leads_nowhere_else(context: BrowserContext, world: World, back: str):
    page = context.new_page()
    page.goto(world.link() + "&" + "back=" + back.replace("\\", "%5C"))
    origin = page.locator("#leave").evaluate("link => new URL(link.href).origin")
    assert origin == world.app


def test_the_banner_is_shown_once_a_period_and_leads_to_the_page(
    context: BrowserContext, world: World
):
    page = app(context, world)
    assert warn(page, world, warning(percent=52, threshold=50, window="weekly"), warning())
    banner = page.locator(".banner[role=status]")
    expect(banner).to_contain_text("You have used 83% of your daily limit.")
    assert violations(page) == []
    page.screenshot(path=STATIC.parents[2] / "build/screenshots/banner.png")
    page.get_by_label("Close").click()
    expect(banner).to_have_count(0)
    # Neither again here, nor after the page is loaded anew; the next threshold and period are news.
    assert not warn(page, world, warning(percent=85))
    page.reload()
    assert not warn(page, world, warning(percent=85))
    assert not warn(page, world, warning(percent=84, threshold=50))
    assert warn(page, world, warning(percent=100, threshold=100))
    # Less than it was within one period: the limit has grown, and of this one nothing was told.
    assert warn(page, world, warning(percent=52, threshold=50))
    assert warn(page, world, warning(percent=81))
    assert warn(page, world, warning(resets_at="2999-11-27T00:00:00Z"), lang="fr")
    expect(banner).to_have_count(1)
    expect(banner).to_contain_text("Vous avez utilisé 83 % de votre limite quotidienne.")
    page.get_by_role("button", name="Recharger").click()
    expect(banner).to_have_count(0)
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Keep going")).to_be_visible()
    expect(frame.get_by_text("Limite quotidienne", exact=True)).to_be_visible()


def test_it_keeps_one_thing_for_each_window(context: BrowserContext, world: World):
    page = app(context, world)
    page.evaluate("localStorage.setItem('app:1', 'mine')")
    page.evaluate("localStorage.setItem('tollkeeper:weekly', 'not ours')")
    assert warn(page, world, warning(resets_at="2020-01-01T00:00:00Z"))
    assert warn(page, world, warning(), warning(window="weekly"))
    assert not warn(page, world, warning(), warning(window="weekly"))
    kept = page.evaluate("Object.keys(localStorage).sort()")
    assert kept == ["app:1", "tollkeeper:daily", "tollkeeper:weekly"]


def test_without_a_memory_of_the_browsers_it_is_once_a_page(context: BrowserContext, world: World):
    page = app(context, world)
    refuse = "{ get() { throw new Error('no storage') } }"
    page.evaluate(f"Object.defineProperty(window, 'localStorage', {refuse})")
    assert warn(page, world, warning())
    assert not warn(page, world, warning())


@pytest.mark.parametrize("nothing", ["null", "[]", json.dumps([{"code": "else"}])])
def test_nothing_to_say_is_not_said(context: BrowserContext, world: World, nothing: str):
    page = app(context, world)
    assert page.evaluate(f"Tollkeeper.warn({nothing}, 'x')") is False
    expect(page.locator(".banner")).to_have_count(0)
