"""A stranger's app of FastAPI and the SDK: blocked, bought, and the same request goes on."""

import json
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import Page, expect

from infra.local.provider import BackgroundServer
from infra.local.stack import LocalStack
from tests.support.chromium import chromium
from tests.support.story import Story, until

PAGE = """<!doctype html><meta charset="utf-8"><title>App</title>
<script src="{embed}"></script>
<button id="ask">Ask</button> <p id="said"></p> <p id="status"></p>
<script>
document.getElementById("ask").onclick = async () => {{
  const answer = await Tollkeeper.fetch("/chat?text=rivers", {{
    method: "POST", headers: {{ "x-user": "{user}" }},
  }});
  document.getElementById("status").textContent = answer.status;
  document.getElementById("said").textContent = await answer.text();
}};
</script>"""


@pytest.fixture
def app(stack: LocalStack, story: Story, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    for name, value in {
        "TOLLKEEPER_URL": stack.urls["intercept"],
        "TOLLKEEPER_API_KEY": stack.api_key,
        "OPENAI_BASE_URL": f"{stack.urls['provider']}/v1",
        "OPENAI_API_KEY": "sk-x",
    }.items():
        monkeypatch.setenv(name, value)
    from examples.sdk.fastapi_app import create_app

    made = create_app()
    html = PAGE.format(embed=f"{stack.urls['upgrade_page']}/embed.js", user=story.user)
    made.add_api_route("/", lambda: HTMLResponse(html), response_class=HTMLResponse)
    return made


@pytest.fixture
def origin(stack: LocalStack, app: FastAPI) -> Iterator[str]:
    """The app's own, among those that may show the overlay."""
    name = f"{stack.prefix}/settings"
    before = stack.ssm().get_parameter(Name=name)["Parameter"]["Value"]
    settings = json.loads(before)
    with BackgroundServer(app) as server:
        settings["allowed_origins"] = [*settings["allowed_origins"], server.url]
        stack.ssm().put_parameter(Name=name, Value=json.dumps(settings), Overwrite=True)
        stack.invoke("SyncConfigFunction")
        yield server.url
    stack.ssm().put_parameter(Name=name, Value=before, Overwrite=True)
    stack.invoke("SyncConfigFunction")


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as browser, browser.new_context(locale="en-US") as context:
        context.set_default_timeout(20_000)
        yield context.new_page()


def test_the_blocked_request_goes_on_once_it_is_paid(story: Story, origin: str, page: Page) -> None:
    story.report(story.event("0.05"))
    until(story.percent, lambda percent: percent == 100)
    asked: list[int] = []
    page.on("response", lambda r: asked.append(r.status) if "/chat" in r.url else None)
    page.goto(origin)
    page.click("#ask")
    overlay = page.frame_locator("iframe")
    with page.expect_popup() as opened:
        overlay.locator("button[name=pack][value=starter]").click()
    opened.value.click("#pay")
    expect(page.locator("#status")).to_have_text("200")
    expect(page.locator("#said")).to_contain_text("rivers")
    expect(page.locator("iframe")).to_have_count(0)
    assert asked == [402, 200]
    assert story.balance().startswith("$4.9") or story.balance() == "$5.00"


def test_dismissed_the_app_gets_the_402_itself(story: Story, origin: str, page: Page) -> None:
    story.report(story.event("0.05"))
    until(story.percent, lambda percent: percent == 100)
    page.goto(origin)
    page.click("#ask")
    page.frame_locator("iframe").locator("body").press("Escape")
    expect(page.locator("#status")).to_have_text("402")
    expect(page.locator("#said")).to_contain_text("upgrade_url")
