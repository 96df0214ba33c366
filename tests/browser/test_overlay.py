"""The overlay and the page in it, in a real browser: by mouse, by keyboard, and against misuse."""

from playwright.sync_api import BrowserContext, FrameLocator, Page, expect

from tests.browser.conftest import World


def choose(frame: FrameLocator, name: str = "Starter") -> None:
    frame.get_by_role("button", name=name).click()


def start_payment(context: BrowserContext, frame: FrameLocator, name: str = "Starter") -> Page:
    """Choose, and answer the pop-up with the payment."""
    with context.expect_page() as opened:
        choose(frame, name)
    opened.value.get_by_role("button", name="Pay").wait_for()
    return opened.value


def expect_outcome(page: Page, outcome: str) -> None:
    expect(page.locator("#outcome")).to_have_text(outcome)


def expect_closed(page: Page) -> None:
    expect(page.locator("iframe")).to_have_count(0)
    expect(page.get_by_role("button", name="Upgrade")).to_be_focused()
    assert page.evaluate("document.documentElement.style.overflow") == ""


# -- The way to credits ----------------------------------------------------------------------------


def test_open_choose_pay_and_go_on(context: BrowserContext, world: World):
    page = context.new_page()
    frame = world.open(page)
    dialog = page.get_by_role("dialog", name="Upgrade")
    expect(dialog).to_have_attribute("aria-modal", "true")
    expect(frame.get_by_role("heading", name="Keep going")).to_be_visible()
    expect(frame.get_by_role("meter", name="Daily limit")).to_have_attribute("aria-valuenow", "100")
    expect(frame.get_by_text("Resets tomorrow at 01:00")).to_be_visible()  # in Berlin
    assert page.evaluate("document.documentElement.style.overflow") == "hidden"

    pop_up = start_payment(context, frame)
    pop_up.get_by_role("button", name="Pay").click()
    expect(frame.get_by_role("heading", name="Waiting for your payment…")).to_be_focused()
    pop_up.wait_for_event("close")
    # Coming back from the payment has granted nothing.
    assert world.paid[0].startswith(f"{world.page}/upgrade/done?t=")
    expect(frame.get_by_role("heading", name="Waiting for your payment…")).to_be_visible()
    expect_outcome(page, "open")

    world.webhook()
    expect(frame.get_by_role("heading", name="Thank you")).to_be_focused()
    expect(frame.get_by_text("$5.00 of credit added.", exact=True)).to_be_visible()
    expect(frame.get_by_text("Your balance is $5.00.")).to_be_visible()
    expect(frame.get_by_role("status")).to_have_text("Thank you. $5.00 of credit added.")
    expect_outcome(page, "paid")
    expect_closed(page)


def test_it_can_all_be_done_by_keyboard(context: BrowserContext, world: World):
    page = context.new_page()
    page.goto(f"{world.app}/?url={world.link()}")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Keep going")).to_be_visible()
    expect(page.locator("iframe")).to_be_focused()
    page.keyboard.press("Tab")
    expect(frame.get_by_role("button", name="Starter")).to_be_focused()
    page.keyboard.press("Tab")
    with context.expect_page() as opened:
        page.keyboard.press("Enter")
    opened.value.get_by_role("button", name="Pay").wait_for()
    assert world.up.billing.requests[0].title == "Plus"
    expect(frame.get_by_role("link", name="Open the payment page")).to_be_visible()
    opened.value.close()
    page.keyboard.press("Escape")
    expect_outcome(page, "dismissed")
    expect_closed(page)


def test_the_whole_purchase_by_keyboard_alone(context: BrowserContext, world: World):
    page = context.new_page()
    page.goto(f"{world.app}/?url={world.link()}")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    frame = page.frame_locator("iframe")
    expect(page.locator("iframe")).to_be_focused()
    page.keyboard.press("Tab")
    with context.expect_page() as opened:
        page.keyboard.press("Enter")
    pay = opened.value.get_by_role("button", name="Pay")
    pay.wait_for()
    opened.value.keyboard.press("Tab")
    expect(pay).to_be_focused()
    opened.value.keyboard.press("Enter")
    opened.value.wait_for_event("close")
    expect(frame.get_by_role("heading", name="Waiting for your payment…")).to_be_focused()
    world.webhook()
    expect(frame.get_by_role("heading", name="Thank you")).to_be_focused()
    page.keyboard.press("Tab")
    expect(frame.get_by_role("link", name="Continue")).to_be_focused()
    page.keyboard.press("Enter")
    expect_outcome(page, "paid")
    expect_closed(page)


def test_the_focus_stays_within(context: BrowserContext, world: World):
    page = context.new_page()
    world.open(page)
    expect(page.locator("iframe")).to_be_focused()
    behind = "document.activeElement.closest('main') !== null"
    for key in ("Tab", "Shift+Tab"):
        for _ in range(12):
            page.keyboard.press(key)
            assert not page.evaluate(behind)


def test_a_canceled_payment_leads_back_to_the_offers(context: BrowserContext, world: World):
    page = context.new_page()
    frame = world.open(page)
    start_payment(context, frame).get_by_role("button", name="Cancel").click()
    expect(frame.get_by_role("heading", name="Keep going")).to_be_visible()
    start_payment(context, frame, "Pro").get_by_role("button", name="Pay").click()
    world.webhook()
    expect(frame.get_by_text("Pro is active now.", exact=True)).to_be_visible()


def test_a_closed_pop_up_can_be_opened_again_and_the_choice_taken_back(
    context: BrowserContext, world: World
):
    page = context.new_page()
    frame = world.open(page)
    start_payment(context, frame).close()
    with context.expect_page() as opened:
        frame.get_by_role("link", name="Open the payment page").click()
    opened.value.get_by_role("button", name="Pay").wait_for()
    frame.get_by_role("button", name="Choose something else").click()
    expect(frame.get_by_role("heading", name="Keep going")).to_be_focused()
    assert len(world.up.billing.requests) == 1


def test_the_payment_takes_the_tab_where_pop_ups_are_blocked(context: BrowserContext, world: World):
    context.add_init_script("window.open = () => null")
    page = context.new_page()
    choose(world.open(page))
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    expect(page.get_by_text("Waiting for the confirmation of your payment.")).to_be_visible()
    world.webhook()
    expect(page.get_by_text("$5.00 of credit added.", exact=True)).to_be_visible()
    page.get_by_role("link", name="Continue").click()
    page.wait_for_url(f"{world.app}/?url={world.link()}")  # the very place


def test_a_checkout_that_does_not_start_is_said_and_can_be_tried_again(
    context: BrowserContext, world: World
):
    page = context.new_page()
    frame = world.open(page)
    world.up.billing.down = True
    with context.expect_page() as opened:
        choose(frame)
    expect(frame.get_by_role("alert")).to_contain_text("Nothing was charged.")
    assert opened.value.is_closed() or opened.value.wait_for_event("close")
    world.up.billing.down = False
    start_payment(context, frame)
    expect(frame.get_by_role("alert")).to_be_hidden()


def test_a_ledger_that_is_away_for_a_moment_only_delays(context: BrowserContext, world: World):
    page = context.new_page()
    frame = world.open(page)
    start_payment(context, frame)
    world.up.ledger.down = True
    with page.expect_response(lambda answer: answer.status == 503):
        pass
    world.up.ledger.down = False
    world.webhook()
    expect(frame.get_by_role("heading", name="Thank you")).to_be_visible()


# -- Leaving ---------------------------------------------------------------------------------------


def test_every_way_out_leads_back_to_where_the_user_was(context: BrowserContext, world: World):
    page = context.new_page()
    leave = {
        "Escape in the app": lambda: (
            page.get_by_label("Close").focus(),
            page.keyboard.press("Escape"),
        ),
        "Escape in the page": lambda: page.keyboard.press("Escape"),
        "the close button": lambda: page.get_by_label("Close").click(),
        "the backdrop": lambda: page.mouse.click(5, 5),
    }
    for way, go in leave.items():
        frame = world.open(page)
        expect(frame.get_by_role("heading", name="Keep going")).to_be_visible()
        expect(page.locator("iframe")).to_be_focused()
        go()
        expect_outcome(page, "dismissed")
        expect_closed(page)
        assert way


def test_leaving_after_the_payment_is_still_paid(context: BrowserContext, world: World):
    page = context.new_page()
    frame = world.open(page)
    start_payment(context, frame)
    world.webhook()
    frame.get_by_role("link", name="Continue").click()
    expect_outcome(page, "paid")
    expect_closed(page)
    assert page.url.startswith(f"{world.app}/?url=")


# -- Misuse ----------------------------------------------------------------------------------------


def test_only_the_page_itself_is_heard(context: BrowserContext, world: World):
    page = context.new_page()
    frame = world.open(page)
    expect(frame.get_by_role("heading", name="Keep going")).to_be_visible()
    # "close" shows at once; "paid" would only do so once the thanks have been read.
    close = "window => window.postMessage({type: 'tollkeeper:close'}, '*')"

    # From the app's own window.
    page.evaluate(f"({close})(window)")
    # From a frame of the right origin that is not the overlay's.
    page.evaluate(
        """async (address) => {
          const other = document.body.appendChild(document.createElement("iframe"));
          other.src = address + "/upgrade?t=x";
          await new Promise((loaded) => other.addEventListener("load", loaded));
        }""",
        world.page,
    )
    (other,) = [f for f in page.frames if f.url.endswith("t=x")]
    other.evaluate(f"({close})(parent)")
    # From the overlay's own frame, once it shows another origin.
    (own,) = [f for f in page.frames if f.url.startswith(world.link())]
    own.goto("about:blank")
    own.evaluate(f"({close})(parent)")

    page.evaluate("new Promise((done) => setTimeout(done, 100))")
    expect(page.get_by_role("dialog", name="Upgrade")).to_be_visible()
    expect_outcome(page, "open")


def test_the_app_cannot_talk_the_page_into_anything(context: BrowserContext, world: World):
    page = context.new_page()
    frame = world.open(page)
    start_payment(context, frame)
    heading = frame.get_by_role("heading", name="Waiting for your payment…")
    expect(heading).to_be_visible()
    page.evaluate(
        """() => {
          const frame = document.querySelector("body > div").shadowRoot.querySelector("iframe");
          for (const type of ["canceled", "returned", "paid"])
            frame.contentWindow.postMessage({type: `tollkeeper:${type}`}, "*");
        }"""
    )
    with page.expect_response(lambda answer: "/upgrade/status" in answer.url):
        pass
    expect(heading).to_be_visible()
    expect_outcome(page, "open")


def test_the_page_tells_only_the_allowed_origin(context: BrowserContext, world: World):
    other = world.app.replace("127.0.0.1", "localhost")
    world.up.config.config = world.up.config.config.model_copy(
        update={
            "settings": world.up.config.config.settings.model_copy(
                update={"allowed_origins": [world.app, other]}
            )
        }
    )
    page = context.new_page()
    # The link is the other origin's: this app may frame the page, and hears nothing from it.
    frame = world.open(page, world.link(origin=other))
    start_payment(context, frame)
    world.webhook()
    expect(frame.get_by_role("heading", name="Thank you")).to_be_visible()
    page.evaluate("new Promise((done) => setTimeout(done, 100))")
    expect_outcome(page, "open")
    page.get_by_label("Close").click()
    expect_outcome(page, "dismissed")
    # Whoever frames it is told where the link names nobody and both are allowed.
    frame = world.open(page, world.link(), origin=other)
    expect_outcome(page, "paid")


def test_an_unlisted_origin_cannot_frame_it(context: BrowserContext, world: World):
    page = context.new_page()
    page.clock.install()
    other = world.app.replace("127.0.0.1", "localhost")
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    frame = world.open(page, origin=other)
    page.wait_for_timeout(200)
    page.clock.fast_forward(9_000)
    expect(page.get_by_text("This takes longer than it should.")).to_be_visible()
    expect(page.get_by_role("link", name="open it in a new tab")).to_be_visible()
    expect(frame.get_by_role("heading", name="Keep going")).to_have_count(0)
    assert any("frame-ancestors" in text for text in refused)


def test_what_cannot_be_opened_is_said(context: BrowserContext, world: World):
    page = context.new_page()
    page.goto(f"{world.app}/?url={world.link()}")
    attempt = (
        "(url) => Tollkeeper.open(url).then(String, (error) => `${error.name}: ${error.message}`)"
    )
    for url in (
        None,
        "",
        "/upgrade?t=x",
        "javascript:alert(1)//upgrade?t=x",
        "http://page.test/upgrade?t=x",
        "https://page.test/other?t=x",
        "https://page.test/upgrade",
        "data:text/html,/upgrade?t=x",
    ):
        assert page.evaluate(attempt, url).startswith("TypeError: Tollkeeper.open:")
        expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Upgrade").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert "open already" in page.evaluate(attempt, world.link())
    page.get_by_label("Close").click()
    expect_outcome(page, "dismissed")
