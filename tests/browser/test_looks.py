"""Every page and state in each look: what axe-core finds wrong (nothing), and a picture of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Frame, Page, expect
from tollkeeper_core.domain.movements import Claim, Grant, Hold

from tests.browser.conftest import World
from tests.support.upgrade import NOW_MS

AXE = (Path(__file__).parent / "vendor/axe-core-4.10.3/axe.min.js").read_text("utf-8")
PICTURES = Path(__file__).parents[2] / "build/screenshots"

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESKTOP},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "is_mobile": True, "has_touch": True, "locale": "es-ES"},
    "phone-dark": {"viewport": PHONE, "color_scheme": "dark", "locale": "de-DE"},
    "still": {"viewport": DESKTOP, "reduced_motion": "reduce", "locale": "fr-FR"},
    "rtl": {"viewport": PHONE, "locale": "ar-EG"},
}
ARABIC = {
    "title": "لقد وصلت إلى الحد الأقصى",
    "message": "اشحن رصيدك للمتابعة الآن، أو انتظر حتى يتجدد الحد.",
    "usage": "استخدامك",
    "daily_limit": "الحد اليومي",
    "weekly_limit": "الحد الأسبوعي",
    "monthly_limit": "الحد الشهري",
    "used": "تم استخدام {percent}%",
    "resets": "يتجدد {when}",
    "at_time": "{day} الساعة {time}",
    "on_date": "في {date}",
    "balance": "الرصيد",
    "balance_checked": "{amount} منه قيد التحقق. يمكنك استخدامه كله {when}.",
    "balance_held": "رصيد بقيمة {amount} موقوف أثناء التحقق من الدفع.",
    "gives_calls": "حوالي {count} رسالة إضافية",
    "gives_monthly": "حوالي {count} رسالة شهريًا",
    "packs": "إضافة رصيد",
    "plans": "ترقية الخطة",
    "pack_valid": "رصيد بقيمة {price}، صالح لمدة {time}",
    "years": "سنة واحدة",
    "per_month": "شهريًا",
    "times_monthly": "{count} أضعاف الحد الشهري",
    "quantity": "الكمية",
    "amount": "المبلغ ({currency})",
    "secure": "تدفع على صفحة Stripe الآمنة.",
    "wait": "سأنتظر حتى يتجدد",
    "waiting_title": "في انتظار الدفع…",
    "thanks_title": "شكرًا لك",
}
LOGO = (
    "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSI5NiIg"
    "aGVpZ2h0PSIyOCI+PGNpcmNsZSBjeD0iMTQiIGN5PSIxNCIgcj0iMTIiIGZpbGw9IiMwZjc2NmUiLz48L3N2Zz4="
)


def sell(world: World, **page: Any) -> None:
    """Everything that a page can hold: estimates, an amount, a quantity, a balance of which some is
    checked, and credit on hold.
    """
    config = world.up.config.config
    packs = {
        "starter": config.packs["starter"],
        "plus": config.packs["plus"].model_copy(update={"max_quantity": 5}),
    }
    raw = config.model_dump(mode="json", by_alias=True)
    raw["packs"] = {name: pack.model_dump(mode="json") for name, pack in packs.items()}
    raw["packs"]["own"] = {
        **raw["packs"]["plus"],
        "label": "As you like",
        "max_quantity": 1,
        "order": 3,
        "amount": {"min_minor": 100, "max_minor": 50_000},
    }
    raw["settings"]["copy"] = {}
    raw["settings"]["page"] = {"texts": {"ar": ARABIC}, "estimates": True, **page}
    world.up.config.config = type(config).model_validate(raw)
    ledger = world.up.ledger
    ledger.calls["ada"] = 8
    fresh = {"fresh_until_ms": NOW_MS + 86_400_000, "fresh_nano": 10**9}
    pack: Any = ("starter", 4 * 10**9)
    ledger.grant(Grant("ada", "cs_0", *pack, 250, "usd", None, None, NOW_MS, **fresh))
    ledger.grant(Grant("ada", "cs_2", *pack, 500, "usd", None, None, NOW_MS))
    ledger.claim(Claim("ada", "cs_2", "dp_1", (1, 0), 0, Hold.OPEN, NOW_MS))


@contextmanager
def looking(browser: Browser, look: str) -> Iterator[Page]:
    options = {"locale": "en-GB", "timezone_id": "Europe/Berlin", **LOOKS[look]}
    with browser.new_context(**options) as context:
        context.set_default_timeout(10_000)
        yield context.new_page()


def violations(frame: Frame | Page) -> list[str]:
    """What axe-core has against a page, by WCAG 2.2 AA and its own best practices."""
    frame.evaluate(f"() => {{ {AXE} }}")
    found = frame.evaluate(
        """async () => (await axe.run(document, { iframes: false })).violations.flatMap((one) =>
             one.nodes.map((node) => `${one.id}: ${node.html} ${node.failureSummary}`))"""
    )
    return list(found)


def look_at(page: Page, name: str, frame: Frame | None = None) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    # Only what ends: the spinner turns on.
    (frame or page).evaluate(
        """Promise.all(document.getAnimations()
             .filter((one) => one.effect.getTiming().iterations !== Infinity)
             .map((one) => one.finished))"""
    )
    assert violations(frame or page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=PICTURES / f"{name}.png", full_page=frame is None)


@pytest.mark.parametrize("look", LOOKS)
def test_the_pages(browser: Browser, world: World, look: str):
    sell(world)
    with looking(browser, look) as page:
        page.goto(world.link())
        expect(page.locator("#choose")).to_be_visible()
        look_at(page, f"page-{look}")
        done = f"{world.page}/upgrade/done?t={world.up.blocked_token()}"
        page.goto(f"{done}&canceled=1")
        look_at(page, f"canceled-{look}")
        page.goto(f"{done}&pack=starter")
        look_at(page, f"confirming-{look}")
        world.webhook()
        page.goto(f"{done}&pack=starter")
        look_at(page, f"paid-{look}")
        page.goto(f"{world.page}/upgrade?t=forged")
        look_at(page, f"error-{look}")


@pytest.mark.parametrize("look", LOOKS)
def test_the_overlay(browser: Browser, world: World, look: str):
    sell(world)
    with looking(browser, look) as page:
        shown = world.open(page)
        expect(shown.locator("#choose")).to_be_visible()
        expect(page.locator("iframe")).to_be_focused()
        (frame,) = [f for f in page.frames if "/upgrade?t=" in f.url and f.parent_frame]
        page.wait_for_timeout(400)  # the sheet has risen and taken its height
        look_at(page, f"overlay-{look}", frame)
        assert violations(page.main_frame) == []
        direction = "rtl" if look == "rtl" else "ltr"
        assert frame.evaluate("document.dir") == direction
        with page.context.expect_page() as opened:
            shown.locator(".offer").first.click()
        opened.value.get_by_role("button", name="Pay").wait_for()
        page.bring_to_front()
        page.wait_for_timeout(400)
        look_at(page, f"waiting-{look}", frame)


def test_the_owners_look(browser: Browser, world: World):
    sell(
        world,
        accent="#0f766e",
        accent_dark="#5eead4",
        radius=4,
        font="Georgia, serif",
        logo=LOGO,
        logo_text="Acme",
        texts={"en": {"title": "Out of steam"}},
    )
    for look in ("light", "dark"):
        with looking(browser, look) as page:
            page.goto(world.link())
            expect(page.get_by_role("heading", name="Out of steam")).to_be_visible()
            expect(page.get_by_role("img", name="Acme")).to_be_visible()
            assert page.locator("img").evaluate("image => image.naturalWidth") > 0
            fill = page.locator(".stops rect").evaluate("bar => getComputedStyle(bar).fill")
            assert fill == ("rgb(15, 118, 110)" if look == "light" else "rgb(94, 234, 212)")
            style = page.locator(".offer").first.evaluate(
                """offer => {
                  const { borderRadius, fontFamily } = getComputedStyle(offer);
                  return [borderRadius, fontFamily];
                }"""
            )
            assert style[0] == "4px"
            assert style[1].startswith("Georgia")
            look_at(page, f"owner-{look}")


def test_right_to_left_begins_on_the_right(browser: Browser, world: World):
    sell(world)
    with looking(browser, "rtl") as page:
        shown = world.open(page)
        expect(shown.get_by_role("heading", name=ARABIC["title"])).to_be_visible()
        close = page.get_by_label("Close")
        expect(page.locator("dialog")).to_have_attribute("dir", "rtl")
        box, label = close.bounding_box(), shown.locator(".offer-label").first.bounding_box()
        price = shown.locator(".offer-price").first.bounding_box()
        assert box is not None
        assert label is not None
        assert price is not None
        assert box["x"] < PHONE["width"] / 2
        assert price["x"] < label["x"]


def test_nothing_moves_once_it_is_there(browser: Browser, world: World):
    sell(world)
    with looking(browser, "phone") as page:
        page.add_init_script(
            """window.shifts = 0; new PerformanceObserver((list) => {
                 for (const one of list.getEntries()) window.shifts += one.value;
               }).observe({ type: "layout-shift", buffered: true });"""
        )
        page.goto(world.link())
        page.wait_for_load_state("networkidle")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))")
        assert page.evaluate("window.shifts") == 0
