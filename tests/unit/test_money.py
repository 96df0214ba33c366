from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tollkeeper_core.domain.money import (
    AMOUNT_NANO_MAX,
    format_minor,
    format_usd,
    parse_usd,
    usd_to_nano,
)


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("0", 0),
        ("0.50", 500_000_000),
        ("0.000000001", 1),
        ("1000000", AMOUNT_NANO_MAX),
        ("007.1", 7_100_000_000),
    ],
)
def test_parse_usd(text: str, nano: int) -> None:
    assert parse_usd(text) == nano


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1e3",
        "NaN",
        "inf",
        " 1",
        "1 ",
        "1.",
        ".5",
        "0.0000000001",
        "1000000.000000001",
        "99999999",
        "1,5",
        "٣",
        "1_000",
        "0x10",
        "1\n",
    ],
)
def test_parse_usd_refuses_all_but_a_plain_decimal(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_usd(text)


@given(st.integers(0, AMOUNT_NANO_MAX))
def test_format_and_parse_are_each_other_backwards(nano: int) -> None:
    assert parse_usd(format_usd(nano)) == nano


def test_format_usd_keeps_two_decimals_and_every_digit_that_counts() -> None:
    assert format_usd(500_000_000) == "0.50"
    assert format_usd(1) == "0.000000001"
    assert format_usd(-1_230_000_000) == "-1.23"


@pytest.mark.parametrize(
    ("usd", "nano"),
    [("0.0000000005", 0), ("0.0000000015", 2), ("0.0000000025", 2), ("0.00000000150001", 2)],
)
def test_prices_are_rounded_half_even_to_a_nano(usd: str, nano: int) -> None:
    assert usd_to_nano(Decimal(usd)) == nano


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (500, "usd", "$5.00"),
        (1, "eur", "€0.01"),
        (123_456, "usd", "$1,234.56"),
        (500, "jpy", "¥500"),
        (1234, "kwd", "1.234 KWD"),
        (500, "chf", "5.00 CHF"),
    ],
)
def test_format_minor(minor: int, currency: str, text: str) -> None:
    assert format_minor(minor, currency) == text
