"""docs/openapi-pages.json: what end users' browsers call."""

import json
from pathlib import Path

from infra.reference.openapi import PROBLEM, Schema, or_null, usage_schemas

PAGE = Path(__file__).parents[2] / "docs" / "openapi-pages.json"

_LINK: Schema = {
    "name": "t",
    "in": "query",
    "required": True,
    "description": "the token of an upgrade link",
    "schema": {"type": "string", "maxLength": 4096},
}
_TEXT: Schema = {"type": "string"}
_URL: Schema = {"type": "string", "format": "uri"}
_HTML: Schema = {"text/html": {"schema": _TEXT}}
#: Where the payment is made in the app's own page: what Stripe's script needs.
_EMBEDDED: Schema = {
    "type": "object",
    "properties": {"secret": _TEXT, "key": _TEXT, "script": _URL},
    "required": ["secret", "key", "script"],
    "additionalProperties": False,
}
_REFUSED = {
    "403": "No link of ours, or one that was cut off.",
    "410": "The link has expired.",
    "503": "Redis is away, or nothing is published: try again.",
}
_NO_FORM = {
    "413": "The form is larger than 8 KiB.",
    "422": "The form is wrong.",
}
_NOT_SOLD = {
    "402": "The card was refused.",
    "404": "This is not for sale, or nothing was bought yet.",
    "409": "What this link began is paid.",
    "429": "That is all that can be bought in one day.",
    "502": "Stripe did not answer.",
}


def document() -> Schema:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tollkeeper's pages",
            "version": "1",
            "description": "Errors are pages, or problems (RFC 9457) for who accepts JSON.",
        },
        "paths": {
            "/upgrade": {"get": _page("Where the user stands, and what is for sale")},
            "/upgrade/done": {"get": _page("Where a payer comes back to")},
            "/upgrade/status": {
                "get": {
                    "summary": "What became of the purchase that this link began",
                    "parameters": [_LINK],
                    "responses": {
                        "200": _answer({"application/json": {"schema": _status()}}),
                        **_problems(_REFUSED),
                    },
                }
            },
            "/upgrade/checkout": {
                "post": _form(
                    "Begin a purchase",
                    {
                        "t": _TEXT,
                        "pack": _TEXT,
                        "plan": _TEXT,
                        "lang": _TEXT,
                        "back": _TEXT,
                        "embedded": _TEXT,
                    },
                    {"anyOf": [_url("checkout_url"), _EMBEDDED]},
                )
            },
            "/upgrade/dismissed": {
                "post": {
                    "summary": "The page was closed and nothing bought: the page tells it itself",
                    "requestBody": _body({"t": _TEXT}),
                    "responses": {
                        "204": {"description": "Done."},
                        **_problems({**_REFUSED, **_NO_FORM}),
                    },
                }
            },
            "/upgrade/portal": {
                "post": _form(
                    "To invoices, card and plan at Stripe", {"t": _TEXT}, _url("portal_url")
                )
            },
            "/upgrade/auto-topup/end": {
                "post": _form(
                    "Nothing is charged automatically any more",
                    {"t": _TEXT},
                    {"type": "object", "properties": {"auto_topup": {"const": "off"}}},
                    "back to the page",
                )
            },
            "/embed.js": {"get": _file("The overlay, for the app's page")},
            "/embed.mjs": {"get": _file("The same as a module")},
            "/checkout.mjs": {"get": _file("A payment in the app's page; embed.js loads it")},
            "/embed.d.ts": {"get": _file("Their types")},
            "/theme.css": {
                "get": {
                    **_file("The owner's look, as the page's address says it"),
                    "parameters": [
                        {"name": name, "in": "query", "schema": _TEXT}
                        for name in ("accent", "accent_dark", "radius", "font")
                    ],
                }
            },
            "/static/{name}": {
                "get": {
                    **_file("The page's own files, by name and digest"),
                    "parameters": [
                        {
                            "name": "name",
                            "in": "path",
                            "required": True,
                            "schema": {"type": "string", "minLength": 1},
                        }
                    ],
                }
            },
        },
        "components": {"schemas": usage_schemas()},
    }


def _page(summary: str) -> Schema:
    return {
        "summary": summary,
        "parameters": [_LINK],
        "responses": {"200": _answer(_HTML), **_problems(_REFUSED)},
    }


def _file(summary: str) -> Schema:
    kinds = ("text/javascript", "text/css", "text/plain")
    found = _answer({kind: {"schema": _TEXT} for kind in kinds})
    return {"summary": summary, "responses": {"200": found, **_problems({"404": "No such file."})}}


def _form(
    summary: str, fields: dict[str, Schema], answer: Schema, then: str = "on to Stripe"
) -> Schema:
    return {
        "summary": summary,
        "requestBody": _body(fields),
        "responses": {
            "200": _answer({"application/json": {"schema": answer}}),
            "303": {"description": f"For a browser: {then}."},
            **_problems({**_REFUSED, **_NO_FORM, **_NOT_SOLD}),
        },
    }


def _body(fields: dict[str, Schema]) -> Schema:
    schema: Schema = {"type": "object", "properties": fields, "required": ["t"]}
    return {
        "required": True,
        "content": {"application/x-www-form-urlencoded": {"schema": schema}},
    }


def _url(name: str) -> Schema:
    return {
        "type": "object",
        "properties": {name: _URL},
        "required": [name],
        "additionalProperties": False,
    }


def _status() -> Schema:
    return {
        "type": "object",
        "properties": {
            "state": {"enum": ["open", "paid"]},
            "balance": _TEXT,
            "usage": or_null({"$ref": "#/components/schemas/Usage"}),
        },
        "required": ["state"],
        "additionalProperties": False,
    }


def _answer(content: Schema) -> Schema:
    return {"description": "Done.", "content": content}


def _problems(why: dict[str, str]) -> Schema:
    content = {**_HTML, "application/problem+json": {"schema": PROBLEM}}
    return {status: {"description": text, "content": content} for status, text in why.items()}


def main() -> None:
    """Write the document."""
    PAGE.write_text(json.dumps(document(), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
