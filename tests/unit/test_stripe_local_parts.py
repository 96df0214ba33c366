"""The parts of the local Stripe that need no server."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from stripe.params import SubscriptionUpdateParams
from stripe.params.checkout import SessionCreateParams

from infra.local.stripe_local.account import Account
from infra.local.stripe_local.api.forms import decode_form
from infra.local.stripe_local.api.params import check_params
from infra.local.stripe_local.clockwork import run_due, schedule
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.flows.periods import period_end
from infra.local.stripe_local.money import show_amount


def test_a_form_nests_by_its_brackets() -> None:
    assert decode_form("a[b][0][c]=1&a[b][1][c]=2&d=%C3%A4+b&e[]=x&e[]=y&f=") == {
        "a": {"b": {"0": {"c": "1"}, "1": {"c": "2"}}},
        "d": "ä b",
        "e": {"0": "x", "1": "y"},
        "f": "",
    }


@pytest.mark.parametrize("text", ["a[b=1", "[a]=1", "a]b=1", "a=1&a[b]=2", "a[b]=2&a=1", "a=%FF"])
def test_a_malformed_form_is_refused(text: str) -> None:
    with pytest.raises(StripeError):
        decode_form(text)


def test_a_form_of_bottomless_depth_is_refused() -> None:
    with pytest.raises(StripeError, match="too deeply"):
        decode_form("a" + "[b]" * 50 + "=1")


def test_strings_become_what_the_types_say() -> None:
    form = decode_form(
        "line_items[1][quantity]=2&line_items[0][quantity]=1&metadata[0]=x&allow_promotion_codes=true"
        "&line_items[0][price_data][currency]=usd&subscription_data[application_fee_percent]=1.5"
        "&custom_text[submit]="
    )
    assert check_params(form, SessionCreateParams) == {
        "line_items": [{"quantity": 1, "price_data": {"currency": "usd"}}, {"quantity": 2}],
        "metadata": {"0": "x"},
        "allow_promotion_codes": True,
        "subscription_data": {"application_fee_percent": 1.5},
        "custom_text": {"submit": ""},
    }


@pytest.mark.parametrize(
    ("value", "parsed"), [("1700000000", 1_700_000_000), ("min_period_end", "min_period_end")]
)
def test_a_union_takes_each_of_its_kinds(value: str, parsed: Any) -> None:
    assert check_params({"cancel_at": value}, SubscriptionUpdateParams) == {"cancel_at": parsed}


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ("expires_at=soon", "parameter_invalid_integer"),
        ("expires_at=", "parameter_invalid_integer"),
        ("expires_at=1.5", "parameter_invalid_integer"),
        ("nonsense=1", "parameter_unknown"),
        ("line_items[0][nonsense]=1", "parameter_unknown"),
        ("line_items[0][price_data][unit_amount]=1", "parameter_missing"),
        ("line_items[0][price_data][currency]=", "parameter_invalid_empty"),
        ("allow_promotion_codes=yes", None),
        ("line_items[a][quantity]=1", None),
        ("metadata=x", None),
        ("mode[a]=payment", None),
    ],
)
def test_a_mistyped_parameter_names_its_code(form: str, code: str | None) -> None:
    with pytest.raises(StripeError) as refused:
        check_params(decode_form(form), SessionCreateParams)
    assert refused.value.error.get("code") == code
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("start", "interval", "count", "end"),
    [
        ("2026-01-31T10:00:00", "month", 1, "2026-02-28T10:00:00"),
        ("2024-01-31T10:00:00", "month", 1, "2024-02-29T10:00:00"),
        ("2026-12-15T00:00:00", "month", 1, "2027-01-15T00:00:00"),
        ("2026-11-30T00:00:00", "month", 3, "2027-02-28T00:00:00"),
        ("2024-02-29T00:00:00", "year", 1, "2025-02-28T00:00:00"),
        ("2026-03-28T12:00:00", "week", 2, "2026-04-11T12:00:00"),
        ("2026-12-31T23:59:59", "day", 1, "2027-01-01T23:59:59"),
    ],
)
def test_a_billing_period_ends_where_the_calendar_says(
    start: str, interval: str, count: int, end: str
) -> None:
    begin, expected = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end))
    assert period_end(int(begin.timestamp()), interval, count) == int(expected.timestamp())


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (5, "usd", "$0.05"),
        (123_456_789, "usd", "$1,234,567.89"),
        (-500, "eur", "-€5.00"),
        (500, "jpy", "¥500"),
        (1500, "kwd", "1.500 KWD"),
        (1200, "chf", "12.00 CHF"),
    ],
)
def test_an_amount_is_shown_in_its_currency(amount: int, currency: str, shown: str) -> None:
    assert show_amount(amount, currency) == shown


def test_jobs_run_in_the_order_of_their_time_and_not_before() -> None:
    now = [1000.0]
    account = Account(clock=lambda: now[0])
    ran: list[str] = []
    jobs = {"note": lambda _, arguments: ran.append(arguments["id"])}
    schedule(account, 1010, "note", id="late")
    schedule(account, 1005, "note", id="early")
    assert run_due(account, jobs) == 5
    assert ran == []
    now[0] = 1020
    run_due(account, jobs)
    assert ran == ["early", "late"]
    assert account.state.jobs == []


def test_a_job_about_what_is_gone_does_not_stop_the_clock() -> None:
    account = Account(clock=lambda: 1000.0)
    ran: list[str] = []
    jobs: dict[str, Any] = {
        "read": lambda account, arguments: account.get("charge", arguments["id"]),
        "note": lambda _, arguments: ran.append(arguments["id"]),
    }
    schedule(account, 990, "read", id="ch_gone")
    schedule(account, 995, "note", id="later")
    run_due(account, jobs)
    assert ran == ["later"]
    assert account.state.jobs == []


def test_ids_are_never_used_twice(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    first = Account(seed=1, file=file)
    taken = first.add({"id": first.new_id("customer"), "object": "customer"})
    first.save()
    # The same seed begins the same row of ids again: what is taken is passed over.
    second = Account(seed=1, file=file)
    assert second.new_id("customer") != taken["id"]
    assert second.get("customer", taken["id"]) == taken
