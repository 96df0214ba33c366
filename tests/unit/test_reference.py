"""The reference pages are what the code says now."""

import json

from infra.reference import configuration, openapi, openapi_pages, openapi_webhook


def test_the_configuration_page_is_up_to_date() -> None:
    assert configuration.PAGE.read_text("utf-8") == configuration.page(), "run make reference"


def test_every_field_is_on_the_page() -> None:
    page = configuration.page()
    for model, _ in configuration._PARAMETERS.values():
        for name, field in model.model_fields.items():
            assert f"| `{field.alias or name}` |" in page


def test_the_api_document_is_up_to_date() -> None:
    assert json.loads(openapi.PAGE.read_text("utf-8")) == openapi.document(), "run make reference"
    assert json.loads(openapi_pages.PAGE.read_text("utf-8")) == openapi_pages.document()
    assert json.loads(openapi_webhook.PAGE.read_text("utf-8")) == openapi_webhook.document()
