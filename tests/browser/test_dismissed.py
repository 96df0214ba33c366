"""What is told where a user turns back: from the page to its own origin, and nothing where not."""

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from tollkeeper_core.domain.funnel import Step, StepKind

from tests.browser.conftest import World
from tests.browser.test_overlay import expect_closed, expect_outcome, start_payment

TOLD = "/upgrade/dismissed"


def dismissals(world: World) -> list[Step]:
    return [step for step in world.up.steps if step.kind is StepKind.DISMISSED]


WAYS: dict[str, Callable[[Page], object]] = {
    "Escape in the app": lambda page: page.get_by_label("Close").press("Escape"),
    "Escape in the page": lambda page: page.keyboard.press("Escape"),
    "the close button": lambda page: page.get_by_label("Close").click(),
    "the backdrop": lambda page: page.mouse.click(5, 5),
    "not now": lambda page: page.frame_locator("iframe").locator("#leave").click(),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_out_of_the_overlay(context: BrowserContext, world: World, way: str) -> None:
    page = context.new_page()
    frame = world.open(page)
    expect(frame.get_by_role("heading", name="Keep going")).to_be_visible()
    expect(page.locator("iframe")).to_be_focused()
    with page.expect_request(f"{world.page}{TOLD}") as told:
        WAYS[way](page)
    expect_outcome(page, "dismissed")
    expect_closed(page)
    response = told.value.response()
    assert response is not None
    assert response.status == 204
    assert told.value.all_headers()["sec-fetch-site"] == "same-origin"  # our page, not the app
    (step,) = dismissals(world)
    assert (step.prompt_id, step.trigger, step.user_id) == ("prm_1", "daily", "ada")


def test_not_now_on_the_hosted_page(context: BrowserContext, world: World) -> None:
    page = context.new_page()
    page.goto(world.link())
    with page.expect_request(f"{world.page}{TOLD}"):
        page.locator("#leave").click()
    page.wait_for_url(f"{world.app}/**")
    expect(page.get_by_role("heading", name="App")).to_be_visible()
    assert len(dismissals(world)) == 1


def test_not_now_after_a_payment_that_was_taken_back(context: BrowserContext, world: World) -> None:
    page = context.new_page()
    page.goto(world.link())
    page.get_by_role("button", name="Starter").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Nothing was charged.")).to_be_visible()
    assert dismissals(world) == []
    with page.expect_request(f"{world.page}{TOLD}"):
        page.locator("#leave").click()
    page.wait_for_url(f"{world.app}/**")
    assert len(dismissals(world)) == 1


def test_a_payment_under_way_is_not_turned_back_from(context: BrowserContext, world: World) -> None:
    """Whoever closes while they pay may yet have paid: the checkout's own end tells."""
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    start_payment(context, world.open(page))
    page.get_by_label("Close").click()
    expect_outcome(page, "dismissed")
    expect_closed(page)
    assert not [url for url in asked if url.endswith(TOLD)]


def test_what_is_paid_is_not_turned_back_from(context: BrowserContext, world: World) -> None:
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    frame = world.open(page)
    start_payment(context, frame)
    world.webhook()
    frame.get_by_role("link", name="Continue").click()
    expect_outcome(page, "paid")
    expect_closed(page)
    page.goto(world.link())
    page.get_by_role("link", name="Continue").click()
    page.wait_for_url(f"{world.app}/**")
    assert not [url for url in asked if url.endswith(TOLD)]


def test_a_word_from_elsewhere_tells_nothing(context: BrowserContext, world: World) -> None:
    page = context.new_page()
    frame = world.open(page)
    expect(frame.get_by_role("heading", name="Keep going")).to_be_visible()
    # From the page to itself, and from another frame of the app's.
    said = "{ type: 'tollkeeper:closed' }"
    page.frames[1].evaluate(f"window.postMessage({said}, '*')")
    page.evaluate(
        f"""() => {{
          const other = document.body.appendChild(document.createElement("iframe"));
          const script = other.contentDocument.createElement("script");
          script.textContent = `parent.frames[0]?.postMessage({said}, "*")`;
          other.contentDocument.body.append(script);
        }}"""
    )
    page.wait_for_timeout(300)
    assert dismissals(world) == []
