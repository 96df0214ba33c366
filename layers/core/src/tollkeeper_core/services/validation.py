"""What an app sends, as a model: by the function URL and by the SDK's direct mode alike."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from tollkeeper_core.domain.problems import Problem, invalid

_Model = TypeVar("_Model", bound=BaseModel)


def parse(body: bytes, model: type[_Model]) -> _Model:
    """The body as ``model``. Raises Problem 400 where it is no JSON, 422 where it is wrong."""
    try:
        # Python's own parser would take NaN and Infinity for numbers.
        raw = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Problem(
            HTTPStatus.BAD_REQUEST, "bad_json", f"The body is not JSON: {error}."
        ) from None
    try:
        return model.model_validate(raw)
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
