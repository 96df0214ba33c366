"""docs/openapi-webhook.json: what Stripe calls."""

import json
from pathlib import Path

from tollkeeper_core.services.stripe_events.event import Effect

from infra.reference.openapi import PROBLEM, Schema
from infra.setup.stripe_endpoint import EVENTS

PAGE = Path(__file__).parents[2] / "docs" / "openapi-webhook.json"

_TEXT: Schema = {"type": "string", "minLength": 1}
_REFUSED = {
    "400": "Not signed by Stripe with one of the stored secrets, or more than 300 s ago. "
    "Nothing of it was read.",
    "413": "The body is larger than 512 KiB.",
    "500": "Signed, and of no use: Stripe sends it again, and an alarm calls the owner.",
    "503": "Redis, the archive or Parameter Store is away: Stripe sends it again.",
}


def document() -> Schema:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tollkeeper's webhook",
            "version": "1",
            "description": "For Stripe alone. An event is applied once, however often it comes.",
        },
        "paths": {
            "/": {
                "post": {
                    "summary": "An event of Stripe's",
                    "parameters": [
                        {
                            "name": "Stripe-Signature",
                            "in": "header",
                            "description": "`t=<epoch seconds>,v1=<HMAC-SHA256 of t.body, hex>`",
                            "schema": {"type": "string"},
                        }
                    ],
                    "requestBody": {
                        "required": True,
                        "content": {"application/json": {"schema": _event()}},
                    },
                    "responses": {"200": _applied(), **_problems()},
                }
            }
        },
    }


def _event() -> Schema:
    return {
        "type": "object",
        "description": "docs.stripe.com/api/events/object. Types that are not asked for (below: "
        "those that are) are acknowledged and counted.",
        "properties": {
            "id": _TEXT,
            "type": {**_TEXT, "examples": sorted(EVENTS)},
            "created": {"type": "integer", "minimum": 0, "description": "epoch seconds"},
            "data": {
                "type": "object",
                "properties": {"object": {"type": "object"}},
                "required": ["object"],
            },
        },
        "required": ["id", "type", "created", "data"],
    }


def _applied() -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": {"event_id": _TEXT, "type": _TEXT, "effect": {"enum": sorted(Effect)}},
        "required": ["event_id", "type", "effect"],
        "additionalProperties": False,
    }
    return {
        "description": "Applied, and on record.",
        "content": {"application/json": {"schema": schema}},
    }


def _problems() -> dict[str, Schema]:
    content: Schema = {"application/problem+json": {"schema": PROBLEM}}
    return {status: {"description": why, "content": content} for status, why in _REFUSED.items()}


def main() -> None:
    """Write the document."""
    PAGE.write_text(json.dumps(document(), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
