"""The terms of a purchase: what a payer may choose, and what travels with it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.offers import Choice, ChoiceError, PackTerms, PlanTerms, TermsError

NANO = 10**9
USERS = st.text(min_size=1, max_size=128).filter(lambda text: text.isprintable())
CREDITS = st.integers(1, 10**15)


def config(currency: str = "usd", fraud: dict[str, Any] | None = None, **pack: Any) -> Config:
    known = {"label": "P", "price_minor": 500, "credit_usd": "4.00", "currency": currency}
    return Config.model_validate(
        {
            "settings": {"fraud": fraud or {}},
            "tiers": {"free": {"limits": {}}},
            "packs": {"p": {**known, **pack}},
        }
    )


def terms(found: Config, choice: Choice | None = None) -> tuple[PackTerms, int]:
    return PackTerms.of(found, "p", choice or Choice(), "ada", "prm_1")


def test_a_pack_costs_what_it_says() -> None:
    one, quantity = terms(config())
    assert (one.price_minor, one.credit_nano, quantity) == (500, 4 * NANO, 1)
    assert (one.fresh_hours, one.fresh_nano) == (0, 0)


def test_several_are_the_sum_of_each() -> None:
    three, quantity = terms(config(max_quantity=3), Choice(3))
    assert (three.price_minor, three.credit_nano, quantity) == (1500, 12 * NANO, 3)
    for wrong in (0, 4):
        with pytest.raises(ChoiceError, match="1 to 3"):
            terms(config(max_quantity=3), Choice(wrong))
    with pytest.raises(ChoiceError, match="1 to 1"):
        terms(config(), Choice(2))


@pytest.mark.parametrize(
    ("currency", "typed", "price", "credit"),
    [
        ("usd", "7.50", 750, 6 * NANO),
        ("usd", "3", 300, 2_400_000_000),
        ("usd", "3.01", 301, 2_408_000_000),
        ("jpy", "333", 333, 2_664_000_000),
    ],
)
def test_a_chosen_amount_gives_credit_at_the_packs_rate(
    currency: str, typed: str, price: int, credit: int
) -> None:
    found = config(currency, amount={"min_minor": 300, "max_minor": 5000})
    chosen, _ = terms(found, Choice(amount_text=typed))
    assert (chosen.price_minor, chosen.credit_nano) == (price, credit)


@pytest.mark.parametrize(
    ("pack", "typed", "says"),
    [
        ({"amount": {"min_minor": 300, "max_minor": 5000}}, "2.99", r"\$3.00 to \$50.00"),
        ({"amount": {"min_minor": 300, "max_minor": 5000}}, "50.01", r"\$3.00 to \$50.00"),
        ({"amount": {"min_minor": 300, "max_minor": 5000}}, "3.001", "decimal places"),
        ({}, "7", "price of this pack is fixed"),
    ],
)
def test_what_may_not_be_chosen_is_said(pack: dict[str, Any], typed: str, says: str) -> None:
    with pytest.raises(ChoiceError, match=says):
        terms(config(**pack), Choice(amount_text=typed))


@pytest.mark.parametrize(
    ("fraud", "pack", "hours", "nano"),
    [
        ({"fresh_hours": 24, "fresh_percent": 25}, {}, 24, NANO),
        ({"fresh_hours": 24, "fresh_percent": 25}, {"fresh_percent": 0}, 24, 0),
        ({"fresh_hours": 24, "fresh_percent": 25}, {"fresh_percent": 100}, 0, 0),
        ({"fresh_hours": 24, "fresh_percent": 25}, {"fresh_hours": 0}, 0, 0),
        ({}, {"fresh_hours": 2, "fresh_percent": 50}, 2, 2 * NANO),
    ],
)
def test_how_fast_new_credit_opens_is_the_packs_or_the_stages(
    fraud: dict[str, Any], pack: dict[str, Any], hours: int, nano: int
) -> None:
    found, _ = terms(config(fraud=fraud, **pack))
    assert (found.fresh_hours, found.fresh_nano) == (hours, nano)


@pytest.mark.parametrize("pack", [{}, {"fresh_hours": 2, "fresh_percent": 0}])
def test_for_who_is_trusted_all_is_open_at_once(pack: dict[str, Any]) -> None:
    found = config(fraud={"fresh_hours": 24, "fresh_percent": 25, "trusted_days": 30}, **pack)
    trusted, _ = PackTerms.of(found, "p", Choice(), "ada", "prm_1", trusted=True)
    assert (trusted.fresh_hours, trusted.fresh_nano) == (0, 0)
    assert "fresh_hours" not in trusted.metadata("prod")
    assert terms(found)[0].fresh_hours > 0


@pytest.mark.parametrize(
    ("days", "first_ms", "trusted"),
    [(30, 0, True), (30, 1, False), (31, 0, False), (None, 0, False), (1, None, False)],
)
def test_trust_begins_so_many_days_after_the_first_payment(
    days: int | None, first_ms: int | None, trusted: bool
) -> None:
    fraud = config(fraud={"trusted_days": days}).settings.fraud
    assert fraud.trusts(first_ms, 30 * 86_400_000) is trusted


@pytest.mark.parametrize(
    ("pack", "says"),
    [
        ({"amount": {"min_minor": 5, "max_minor": 4}}, "min_minor is more than max_minor"),
        ({"amount": {"min_minor": 5, "max_minor": 9}, "max_quantity": 2}, "not both"),
        ({"price_minor": 50_000_000, "max_quantity": 2}, "more than Stripe takes"),
    ],
)
def test_a_pack_that_makes_no_sense_is_refused(pack: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        config(**pack)


def test_nothing_rolls_over_where_nothing_is_included() -> None:
    plan = {"label": "L", "tier": "free", "price_minor": 5, "rollover": True}
    with pytest.raises(ValidationError, match="rollover without included_credit_usd"):
        Config.model_validate({"tiers": {"free": {"limits": {}}}, "plans": {"m": plan}})


@given(
    user=USERS,
    credit=CREDITS,
    price=st.integers(1, 99_999_999),
    days=st.one_of(st.none(), st.integers(1, 3650)),
    fresh=st.one_of(st.just((0, 0)), st.tuples(st.integers(1, 720), st.integers(0, 10**15))),
)
def test_a_packs_terms_come_back_as_they_went(
    user: str, credit: int, price: int, days: int | None, fresh: tuple[int, int]
) -> None:
    went = PackTerms(user, "prm_1", "p", credit, price, "usd", days, *fresh)
    fits_stripe(went.metadata("prod"))
    assert PackTerms.read(went.metadata("prod")) == went


@given(user=USERS, price=st.integers(1, 99_999_999), credit=CREDITS, rollover=st.booleans())
def test_a_plans_terms_come_back_as_they_went(
    user: str, price: int, credit: int, rollover: bool
) -> None:
    went = PlanTerms(user, "prm_1", "m", "pro", price, "eur", credit, rollover)
    fits_stripe(went.metadata("prod"))
    assert PlanTerms.read(went.metadata("prod")) == went


def fits_stripe(metadata: dict[str, str]) -> None:
    """docs.stripe.com/api/metadata: 50 keys, 40 characters of a name, 500 of a value."""
    assert len(metadata) <= 50
    assert all(len(name) <= 40 and len(value) <= 500 for name, value in metadata.items())


def test_terms_that_were_tampered_with_are_refused() -> None:
    good = PackTerms("ada", "prm_1", "p", 5, 500, "usd", None, 24, 0).metadata("prod")
    for name, value in (("fresh_hours", "721"), ("fresh_nano", "-1"), ("credit_nano", "0")):
        with pytest.raises(TermsError, match=name):
            PackTerms.read({**good, name: value})
