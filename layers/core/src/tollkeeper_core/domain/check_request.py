"""What an app sends for a check, validated before anything else happens."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import PydanticCustomError, SchemaValidator, core_schema

from tollkeeper_core.domain.values import ID, TIER_NAME, TOKENS, USD_NANO


class CheckRequest(NamedTuple):
    """``POST /v1/check``. The amount is ``amount_usd``, or comes from model and tokens.

    With neither, anything that is left will do: the call is admitted while something is.
    """

    user_id: str
    tier: str | None = None
    provider: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    max_output_tokens: int | None = None
    amount_usd: int | None = None
    request_id: str | None = None

    @classmethod
    def validate(cls, raw: object) -> "CheckRequest":
        """From JSON as Python has it. Raises pydantic_core.ValidationError."""
        request: CheckRequest = _VALIDATOR.validate_python(raw)
        return request


def _request(fields: Mapping[str, Any]) -> CheckRequest:
    request = CheckRequest(**fields)
    tokens = request.input_tokens is not None or request.max_output_tokens is not None
    if tokens and request.model is None and request.amount_usd is None:
        raise PydanticCustomError(
            "model_missing", "tokens need a model to have a price: send model, or amount_usd"
        )
    return request


def _optional(schema: core_schema.CoreSchema) -> core_schema.TypedDictField:
    nullable = core_schema.nullable_schema(schema)
    return core_schema.typed_dict_field(
        core_schema.with_default_schema(nullable, default=None), required=False
    )


#: ``amount_usd`` is a string of dollars there and nano-dollars here.
SCHEMA = core_schema.no_info_after_validator_function(
    _request,
    core_schema.typed_dict_schema(
        {
            "user_id": core_schema.typed_dict_field(ID),
            "tier": _optional(TIER_NAME),
            "provider": _optional(ID),
            "model": _optional(ID),
            "input_tokens": _optional(TOKENS),
            "max_output_tokens": _optional(TOKENS),
            "amount_usd": _optional(USD_NANO),
            "request_id": _optional(ID),
        },
        extra_behavior="forbid",
    ),
)
_VALIDATOR = SchemaValidator(SCHEMA)
