"""The page's languages: each says everything, and says it as the language does."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError
from tollkeeper_core.domain.page_style import TEXT_KEYS, PageStyle, contrast, on

from functions.upgrade_page.words import CATALOGUES, Words, plural, words_for

#: CLDR's categories for whole numbers. tests/browser holds them, and money, against a browser's.
FORMS = {
    "de": {"one", "other"},
    "en": {"one", "other"},
    "es": {"one", "many", "other"},
    "fr": {"one", "many", "other"},
    "ja": {"other"},
    "pt": {"one", "many", "other"},
}


def names(text: Any) -> list[set[str]]:
    forms = text.values() if isinstance(text, dict) else [text]
    return [set(re.findall(r"\{(\w+)\}", form)) for form in forms]


def test_the_six_languages_are_there():
    assert set(CATALOGUES) == set(FORMS)


@pytest.mark.parametrize("code", CATALOGUES)
def test_every_text_is_in_every_language_with_the_same_names(code: str):
    texts, english = CATALOGUES[code]["texts"], CATALOGUES["en"]["texts"]
    assert set(texts) == set(english) == TEXT_KEYS
    for key, text in texts.items():
        expected = names(english[key])[0]
        assert all(found == expected for found in names(text)), key
        assert all(form.strip() for form in (text.values() if isinstance(text, dict) else [text]))
        if isinstance(english[key], dict):
            assert set(text) == FORMS[code], key


@pytest.mark.parametrize("code", sorted(set(CATALOGUES) - {"en"}))
def test_nothing_was_left_in_english(code: str):
    texts, english = CATALOGUES[code]["texts"], CATALOGUES["en"]["texts"]
    same = {key for key in texts if texts[key] == english[key]}
    assert same <= {"on_date", "at_time"}


@pytest.mark.parametrize(
    ("code", "count", "form"),
    [
        *(("en", n, form) for n, form in ((0, "other"), (1, "one"), (2, "other"))),
        *(("fr", n, form) for n, form in ((0, "one"), (1, "one"), (2, "other"))),
        *(("pt", n, form) for n, form in ((0, "one"), (1_000_000, "many"))),
        *(("es", n, form) for n, form in ((0, "other"), (2_000_000, "many"))),
        ("ja", 1, "other"),
        ("de", 1_000_000, "other"),
    ],
)
def test_plurals(code: str, count: int, form: str):
    assert plural(code, count) == form


@pytest.mark.parametrize(
    ("code", "days"),
    [("en", "1 day"), ("de", "1 Tag"), ("fr", "1 jour"), ("pt", "1 dia"), ("ja", "1日間")],
)
def test_one_day_is_one_day(code: str, days: str):
    assert Words(code).say("days", count=1) == days
    assert Words("de").say("days", count=30) == "30 Tage"


@pytest.mark.parametrize(
    ("code", "minor", "currency", "text"),
    [
        ("en", 123456, "usd", "$1,234.56"),
        ("en", 500, "chf", "CHF\u00a05.00"),
        ("de", 123456, "eur", "1.234,56\u00a0€"),
        ("es", 123456, "eur", "1234,56\u00a0€"),
        ("es", 1234567, "eur", "12.345,67\u00a0€"),
        ("fr", 123456, "usd", "1\u202f234,56\u00a0$US"),
        ("pt", 500, "brl", "R$\u00a05,00"),
        ("ja", 1234, "jpy", "￥1,234"),
        ("de", 1500, "kwd", "1,500\u00a0KWD"),
        ("en", -500, "usd", "-$5.00"),
    ],
)
def test_money(code: str, minor: int, currency: str, text: str):
    assert Words(code).money(minor, currency) == text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", "1 Mar 2026, 09:05 UTC"),
        ("de", "1. März 2026, 09:05 UTC"),
        ("ja", "2026年3月1日 09:05 UTC"),
        ("pt", "1 de mar. de 2026, 09:05 UTC"),
    ],
)
def test_dates_without_a_script(code: str, text: str):
    assert Words(code).date(datetime(2026, 3, 1, 9, 5, tzinfo=UTC)) == text


@pytest.mark.parametrize(
    ("asked", "accept", "code"),
    [
        (None, "", "en"),
        (None, "de-CH,de;q=0.9,en;q=0.8", "de"),
        (None, "xx, fr;q=0.3, ja;q=0.7", "ja"),
        (None, "fr;q=0, es", "es"),
        (None, "fr;q=broken, es;q=0.1", "es"),
        (None, "*", "en"),
        (None, "PT_br", "pt"),
        ("ja", "de", "ja"),
        ("ja-JP", "de", "ja"),
        ("xx", "de", "de"),
        ("<script>", "", "en"),
        (None, "," * 10_000, "en"),
    ],
)
def test_which_language(asked: str | None, accept: str, code: str):
    assert words_for(PageStyle(), asked, accept).code == code


def test_the_owners_own_language_and_texts():
    style = PageStyle.model_validate(
        {
            "language": "de",
            "texts": {"de": {"secure": "Sicher bei {Stripe}."}, "ar": {"continue": "متابعة"}},
        }
    )
    assert words_for(style, None, "xx").say("secure") == "Sicher bei {Stripe}."
    arabic = words_for(style, "ar", "")
    assert (arabic.locale, arabic.direction) == ("ar", "rtl")
    assert arabic.say("continue") == "متابعة"
    assert arabic.money(500, "usd") == "\u2068$5.00\u2069"
    assert arabic.say("back") == "Choose something else"
    # Without texts of its own it would be English written from the right.
    assert words_for(PageStyle(), "ar", "").direction == "ltr"


def test_an_owners_text_is_no_format_string():
    words = Words("en", {"used": "{percent.__class__} {0} {percent}%"})
    assert words.say("used", percent=5) == "{percent.__class__} {0} 5%"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"accent": "#ffee00", "accent_dark": "#ffee00"}, "hard to read in the light scheme"),
        ({"accent": "#4338ca", "accent_dark": "#4338ca"}, "hard to read in the dark scheme"),
        ({"accent": "#4338ca"}, "go together"),
        ({"accent": "red", "accent_dark": "red"}, "pattern"),
        ({"radius": 25}, "less than or equal to 24"),
        ({"font": "x; } body { display: none"}, "pattern"),
        ({"logo": "http://logo.test/a.png"}, "pattern"),
        ({"logo": 'https://logo.test/"onerror='}, "pattern"),
        ({"logo": "javascript:alert(1)"}, "pattern"),
        ({"texts": {"en": {"titel": "x"}}}, "the page has no text 'titel'"),
        ({"texts": {"en": {"title": "x" * 401}}}, "at most 400"),
        ({"texts": {"English": {}}}, "pattern"),
    ],
)
def test_what_the_page_does_not_take(settings: dict[str, Any], said: str):
    with pytest.raises(ValidationError, match=re.escape(said)):
        PageStyle.model_validate_json(json.dumps(settings))


def test_contrast():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert on("#4338ca") == "#ffffff"
    assert on("#a5a6ff") == "#15171c"
