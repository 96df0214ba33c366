"""What a check's body must be, and what is said where it is not."""

from typing import Any

import pytest
from pydantic_core import ValidationError
from tollkeeper_core.domain.check_request import CheckRequest
from tollkeeper_core.services.validation import problems


def test_what_is_not_given_is_none_and_dollars_are_nano() -> None:
    given: dict[str, Any] = {"user_id": "ada", "amount_usd": "0.5", "model": None}
    assert CheckRequest.validate(given) == CheckRequest("ada", amount_usd=500_000_000)
    full = {"user_id": "ü" * 128, "tier": "pro-2", "provider": "p", "model": "m"}
    counts = {"input_tokens": 0, "max_output_tokens": 1_000_000_000}
    assert CheckRequest.validate({**full, **counts, "request_id": "r"}) == CheckRequest(
        "ü" * 128, "pro-2", "p", "m", 0, 1_000_000_000, None, "r"
    )
    assert (
        CheckRequest.validate({"user_id": "a", "input_tokens": 1, "amount_usd": "1"}).model is None
    )


@pytest.mark.parametrize(
    ("body", "field", "error"),
    [
        ([], "body", "Input should be a valid dictionary"),
        ({}, "user_id", "Field required"),
        ({"user_id": ""}, "user_id", "String should have at least 1 character"),
        ({"user_id": "a" * 129}, "user_id", "String should have at most 128 characters"),
        ({"user_id": 7}, "user_id", "Input should be a valid string"),
        ({"user_id": "a\x7f"}, "user_id", "must not contain control characters"),
        ({"user_id": "a", "request_id": "\n"}, "request_id", "must not contain control characters"),
        ({"user_id": "a", "tier": "Pro"}, "tier", "String should match pattern"),
        ({"user_id": "a", "tier": "pro\n"}, "tier", "String should match pattern"),
        ({"user_id": "a", "amout_usd": "1"}, "amout_usd", "Extra inputs are not permitted"),
        ({"user_id": "a", "amount_usd": 1}, "amount_usd", "must be a decimal string"),
        ({"user_id": "a", "amount_usd": "-1"}, "amount_usd", "must be a decimal string"),
        ({"user_id": "a", "model": "m", "input_tokens": True}, "input_tokens", "Input should be"),
        ({"user_id": "a", "model": "m", "input_tokens": 1.0}, "input_tokens", "Input should be"),
        ({"user_id": "a", "model": "m", "input_tokens": -1}, "input_tokens", "Input should be"),
        ({"user_id": "a", "input_tokens": 1}, "body", "tokens need a model to have a price"),
        ({"user_id": "a", "max_output_tokens": 0}, "body", "tokens need a model to have a price"),
    ],
)
def test_what_is_wrong_is_said_where_it_is(body: object, field: str, error: str) -> None:
    with pytest.raises(ValidationError) as refused:
        CheckRequest.validate(body)
    (found,) = problems(refused.value)
    assert found["field"] == field
    assert found["error"].startswith(error)
