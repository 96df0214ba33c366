"""What an app sends, as a model: by the function URL and by the SDK's direct mode alike."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TypeVar

from pydantic_core import ValidationError, from_json

from tollkeeper_core.domain.problems import Problem, invalid

_T = TypeVar("_T")


def parse(body: bytes, validate: Callable[[object], _T]) -> _T:
    """The body's JSON as ``validate`` reads it. Raises Problem 400 where it is no JSON, 422 where
    ``validate`` raises ValidationError.
    """
    try:
        # Python's own parser would take NaN and Infinity for numbers.
        raw = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Problem(
            HTTPStatus.BAD_REQUEST, "bad_json", f"The body is not JSON: {error}."
        ) from None
    try:
        return validate(raw)
    except ValidationError as error:
        found = problems(error)
        raise invalid(f"{found[0]['field']}: {found[0]['error']}", found) from None


def problems(error: ValidationError) -> Sequence[Mapping[str, str]]:
    """pydantic's findings as {"field", "error"}; never the input itself."""
    return [
        {
            "field": ".".join(str(part) for part in item["loc"]) or "body",
            "error": item["msg"].removeprefix("Value error, "),
        }
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
