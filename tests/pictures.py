"""The README's pictures, taken of the running product: `make pictures`."""

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, expect
from tollkeeper_core.adapters.redis_funnel import RedisFunnel
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.periods import Calendar, periods_at
from tollkeeper_core.services.analytics import Analytics

from infra.cli import report_page
from infra.local.layout import Settings
from infra.local.stack import LocalStack
from tests.support.chromium import chromium
from tests.support.funnel_crowd import DAY_MS, Crowd
from tests.support.redis_stack import redis_stack
from tests.support.story import Story, until

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
VIEW = {"width": 940, "height": 880}
#: Of the free tier's five cents a day.
SPENT_USD, NEARLY_ALL_USD = "0.021", "0.024"
#: Simulated: the purchases of a month are more than anybody clicks.
USERS, DAYS = 2_000, 28


def main() -> None:
    """Overwrites them."""
    with (
        LocalStack(Settings(token_delay_ms=0), on_line=lambda _source, _line: None) as stack,
        Story(stack) as story,
        tempfile.TemporaryDirectory() as folder,
        chromium() as browser,
        browser.new_context(
            locale="en-US", timezone_id="Europe/Berlin", viewport=VIEW, base_url=stack.urls["chat"]
        ) as context,
    ):
        story.user = "ada"
        spend(story, SPENT_USD)
        page = context.new_page()
        page.goto("/")
        page.fill("#user", story.user)
        page.press("#user", "Tab")
        page.select_option("#model", "gpt-4-turbo")
        chat(page, Path(folder))
        spend(story, NEARLY_ALL_USD)
        overlay(page, Path(folder))
        report(browser, Path(folder))
        for taken in sorted(Path(folder).iterdir()):
            target = PICTURES / taken.name
            target.write_bytes(taken.read_bytes())
            print(f"{target.relative_to(Path.cwd())}: {target.stat().st_size // 1024} KB")


def spend(story: Story, usd: str) -> None:
    """Metered before the picture: nobody wants to look at the conversation that costs so much."""
    before = story.percent()
    story.report(story.event(usd))
    until(story.percent, lambda percent: percent > before)


def chat(page: Page, folder: Path) -> None:
    """An answer."""
    page.fill("#message", "How do tides work?")
    page.press("#message", "Enter")
    expect(page.locator("#send[aria-label=Send]")).to_be_visible()
    expect(page.locator(".message.assistant").last).not_to_have_text("")
    expect(page.locator("#usage")).to_contain_text("42%")
    page.mouse.move(0, 0)
    page.screenshot(path=folder / "chat.png")


def overlay(page: Page, folder: Path) -> None:
    """The stop."""
    page.fill("#message", "And why are there two of them a day?")
    page.press("#message", "Enter")
    frame = page.frame_locator("iframe")
    expect(frame.locator("#choose h1")).to_be_visible()
    page.wait_for_timeout(500)  # the overlay's fade
    page.screenshot(path=folder / "overlay.png")


def report(browser: Browser, folder: Path) -> None:
    """What came of it, of a simulated crowd, counted as it would be."""
    crowd = Crowd(users=USERS, first_ms=time.time_ns() // 10**6 - (DAYS - 1) * DAY_MS, seed=3)
    steps = [(step, periods_at(Calendar(), step.at_ms)) for step in crowd.steps()]
    with redis_stack() as stack, LeanRedis(stack.url, stack.token, 10.0) as client:
        funnel = RedisFunnel(RedisStore(client))
        for first in range(0, len(steps), 500):
            funnel.count_steps(steps[first : first + 500])
        now = datetime.now(UTC)
        first_day = now.date() - timedelta(days=DAYS - 1)
        found = Analytics(funnel, Calendar(), now.date()).funnel(first_day, now.date(), "day")
    page = browser.new_page(viewport={"width": 1120, "height": 1000})
    page.set_content(report_page.page(found, "prod", now))
    page.screenshot(path=folder / "report.png")
    page.close()


if __name__ == "__main__":
    main()
