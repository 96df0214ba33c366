"""The page's own tables against the browser's: money, grouping and plurals as CLDR has them."""

import pytest
from playwright.sync_api import BrowserContext, expect
from tollkeeper_core.domain.money import minor_digits

from functions.upgrade_page.words import CATALOGUES, Words, plural
from tests.browser.conftest import World

CURRENCIES = (
    *("usd", "eur", "gbp", "jpy", "inr", "krw", "aud", "cad", "brl", "nzd"),
    *("chf", "sek", "kwd"),
)
COUNTS = (*range(12), 99, 100, 1000, 1_000_000, 1_000_001, 2_000_000)


@pytest.mark.parametrize("code", CATALOGUES)
def test_money_and_plurals_are_the_browsers(context: BrowserContext, code: str):
    page = context.new_page()
    words = Words(code)
    cases = [
        (minor, currency)
        for currency in CURRENCIES
        for minor in (0, 1, 500, 99_999, 123_456, 1_234_567, 99_999_999)
    ]
    found = page.evaluate(
        """([locale, cases]) => cases.map(([value, currency, digits]) =>
             new Intl.NumberFormat(locale, {
               style: "currency", currency, minimumFractionDigits: digits,
               maximumFractionDigits: digits,
             }).format(value))""",
        [
            words.locale,
            [
                (minor / 10 ** minor_digits(currency), currency, minor_digits(currency))
                for minor, currency in cases
            ],
        ],
    )
    wrong = [
        (case, ours, theirs)
        for case, theirs in zip(cases, found, strict=True)
        if (ours := words.money(*case)) != theirs
    ]
    assert wrong == []
    forms = page.evaluate(
        "([locale, counts]) => counts.map((n) => new Intl.PluralRules(locale).select(n))",
        [words.locale, COUNTS],
    )
    assert [plural(code, count) for count in COUNTS] == forms


def test_the_language_stays_to_the_end(context: BrowserContext, world: World):
    page = context.new_page()
    page.goto(f"{world.link()}&lang=de")
    expect(page.get_by_text("Wird morgen um 01:00 zurückgesetzt")).to_be_visible()
    page.get_by_role("button", name="Starter").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Zahlung abgebrochen")).to_be_visible()
    page.get_by_role("link", name="Angebote noch einmal ansehen").click()
    page.get_by_role("button", name="Starter").click()
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("heading", name="Vielen Dank")).to_be_visible()
    world.webhook()
    expect(page.get_by_text("Dein Guthaben beträgt 5,00\u00a0$.")).to_be_visible()


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (11.25, "Resets in 45 minutes"),
        (11.99999, "Resets in 1 minute"),
        (9, "Resets in 3 hours"),
        (0.01, "Resets tomorrow at 01:00"),
        (-12, "Resets tomorrow at 01:00"),
        (-13.5, "Resets in 2 hours"),
        (13, "Resets tomorrow at 01:00"),
    ],
)
def test_when_it_resets(context: BrowserContext, world: World, hours: float, text: str):
    """The next midnight of UTC, seen from Berlin."""
    world.up.clock.now_ms += int(hours * 3_600_000)
    page = context.new_page()
    page.goto(world.link())
    assert page.locator(".resets").first.inner_text() == text


def test_what_is_days_away_has_its_date(context: BrowserContext, world: World):
    page = context.new_page()
    page.goto(world.link())
    assert page.locator(".resets").nth(1).inner_text() == "Resets on Mon 30 Nov, 01:00"
