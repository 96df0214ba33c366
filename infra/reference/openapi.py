"""docs/openapi.json: the API that app code calls, from the models that validate it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from tollkeeper_core.domain.api import EVENTS_MAX, LinkRequest, UsageBatch, UsageEvent
from tollkeeper_core.domain.check_request import SCHEMA, CheckRequest
from tollkeeper_core.domain.periods import Window

PAGE = Path(__file__).parents[2] / "docs" / "openapi.json"

Schema = dict[str, Any]
_Model = type[BaseModel] | type[CheckRequest]

_USD: Schema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$", "description": "US dollars"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_TEXT: Schema = {"type": "string"}


def _object(properties: Mapping[str, Schema], *optional: str, **more: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": dict(properties),
        "required": required,
        "additionalProperties": False,
        **more,
    }


def or_null(schema: Schema) -> Schema:
    """It, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_WINDOWS = {str(window): _ref("Window") for window in Window}
PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457",
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "code": _TEXT,
        "detail": _TEXT,
        "errors": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["type", "title", "status", "code", "detail"],
}
_SCHEMAS: dict[str, Schema] = {
    "Window": _object(
        {"percent": {"type": "integer", "minimum": 0, "maximum": 100}, "resets_at": _TIME}
    ),
    "Credit": _object(
        {
            "currency": {"type": "string", "pattern": "^[a-z]{3}$"},
            "balance_minor": {"type": "integer", "minimum": 0},
            "display": _TEXT,
            "on_hold_minor": {"type": "integer", "minimum": 1},
            "on_hold_display": _TEXT,
            "checking_minor": {"type": "integer", "minimum": 1},
            "checking_display": _TEXT,
            "checking_until": _TIME,
        },
        *("on_hold_minor", "on_hold_display"),
        *("checking_minor", "checking_display", "checking_until"),
    ),
    "Usage": _object(
        {
            "tier": _TEXT,
            "windows": _object(_WINDOWS, *_WINDOWS),
            "credits": {"type": "array", "items": _ref("Credit")},
        }
    ),
    "Warning": _object(
        {
            "code": {"const": "limit_near"},
            "window": {"enum": [str(window) for window in Window]},
            "percent": {"type": "integer", "minimum": 0, "maximum": 100},
            "threshold": {"enum": [50, 80, 100]},
            "resets_at": _TIME,
        }
    ),
    "Allowed": _object(
        {
            "decision": {"const": "allow"},
            "degraded": {"const": True},
            "reservation_id": _TEXT,
            "reserved_usd": _USD,
            "expires_at": _TIME,
            "warnings": {"type": "array", "items": _ref("Warning")},
            "usage": or_null(_ref("Usage")),
        },
        "degraded",
    ),
    "Blocked": _object(
        {
            "decision": {"const": "block"},
            "reason": _object(
                {
                    "code": {"enum": ["limit_reached", "hard_limit_reached", "unknown_model"]},
                    "window": or_null({"enum": [str(window) for window in Window]}),
                    "resets_at": or_null(_TIME),
                }
            ),
            "affordable_usd": _USD,
            "upgrade_message": _TEXT,
            "upgrade_url": or_null({"type": "string", "format": "uri"}),
            "usage": _ref("Usage"),
        }
    ),
    "Verdict": {
        "type": "object",
        "properties": {"event_id": or_null(_TEXT), "status": {"enum": ["accepted", "rejected"]}},
        "required": ["status"],
    },
    "Problem": PROBLEM,
}
_PROBLEMS = {
    "400": "The body is not JSON.",
    "401": "No valid API key.",
    "413": "The body is larger than 64 KiB.",
    "422": "The request is wrong; `errors` says where.",
    "503": "Redis is away, or nothing is published: try again.",
}


def usage_schemas() -> dict[str, Schema]:
    """Where a user stands, with what that is made of."""
    return {name: _SCHEMAS[name] for name in ("Window", "Credit", "Usage")}


def document() -> Schema:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tollkeeper",
            "version": "1",
            "description": "What app code asks before and reports after each AI call.",
        },
        "security": [{"key": []}],
        "paths": {
            "/v1/check": {
                "post": _operation(
                    "Ask whether a call may run, and reserve what it may cost",
                    CheckRequest,
                    "200",
                    {"oneOf": [_ref("Allowed"), _ref("Blocked")]},
                )
            },
            "/v1/usage": {
                "post": _operation(
                    "Report what calls used",
                    UsageBatch,
                    "202",
                    _object({"results": {"type": "array", "items": _ref("Verdict")}}),
                )
            },
            "/v1/upgrade-links": {
                "post": _operation(
                    "A link to the upgrade page, for a button",
                    LinkRequest,
                    "200",
                    _object({"upgrade_url": {"type": "string", "format": "uri"}}),
                )
            },
            "/v1/users/{user_id}/usage": {
                "get": {
                    "summary": "Where a user stands: what end users may see",
                    "parameters": [
                        {
                            "name": "user_id",
                            "in": "path",
                            "required": True,
                            "schema": {"type": "string", "minLength": 1, "maxLength": 128},
                        }
                    ],
                    "responses": _responses("200", _ref("Usage")),
                }
            },
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {**_SCHEMAS, "UsageEvent": _request(UsageEvent)},
        },
    }


def _operation(summary: str, model: _Model, status: str, answer: Schema) -> Schema:
    content = {"application/json": {"schema": _request(model)}}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": _responses(status, answer),
    }


def _responses(status: str, answer: Schema) -> Schema:
    problem = {"application/problem+json": {"schema": _ref("Problem")}}
    return {
        status: {"description": "Done.", "content": {"application/json": {"schema": answer}}},
        **{code: {"description": why, "content": problem} for code, why in _PROBLEMS.items()},
    }


def _request(model: _Model) -> Schema:
    """What pydantic says of a model; amounts are texts, whatever they become inside."""
    if issubclass(model, BaseModel):
        schema = model.model_json_schema()
    else:
        schema = GenerateJsonSchema().generate(SCHEMA)
    for name, found in schema["properties"].items():
        found.pop("title", None)
        if name.endswith("_usd"):
            schema["properties"][name] = or_null(_USD)
        if name == "events":
            schema["properties"][name] = {
                "type": "array",
                "items": _ref("UsageEvent"),
                "minItems": 1,
                "maxItems": EVENTS_MAX,
            }
    schema["title"] = model.__name__
    schema["description"] = (model.__doc__ or "").replace("``", "`")
    return schema


def main() -> None:
    """Write the document."""
    PAGE.write_text(json.dumps(document(), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
