"""Every route against its document: no 5xx, no breach, no change by what is refused."""

import uuid
import zlib
from typing import Any

import pytest

from infra.local.stack import LocalStack
from infra.reference import openapi, openapi_pages
from tests.support.promises import QUEUE_QUIET_S, hold_to, operations
from tests.support.story import Story

API = operations(openapi.document())
PAGES = operations(openapi_pages.document())


def test_every_route_is_described() -> None:
    from functions.upgrade_page.site import create_site

    def unasked() -> Any:
        pytest.fail("no request was made")

    routes = create_site(unasked, unasked).routes
    served = {(r.path, m) for r in routes for m in r.methods - {"HEAD"}}  # type: ignore[attr-defined]
    assert served == set(PAGES)
    assert len(API) == 4


@pytest.mark.parametrize("operation", API, ids=" ".join)
def test_the_api_keeps_its_promise(stack: LocalStack, operation: tuple[str, str]) -> None:
    statuses = hold_to(
        openapi.document(),
        operation,
        stack.urls["intercept"],
        stack.redis_port,
        headers={"Authorization": f"Bearer {stack.api_key}"},
        examples=80,
        quiet_s=QUEUE_QUIET_S,
    )
    assert any(status < 300 for status in statuses), "nothing valid was tried"
    assert any(400 <= status < 500 for status in statuses), "nothing invalid was tried"


@pytest.mark.parametrize("operation", PAGES, ids=" ".join)
def test_the_pages_keep_their_promise(
    stack: LocalStack, story: Story, operation: tuple[str, str]
) -> None:
    story.user = f"visitor-{uuid.uuid4().hex[:8]}"
    token = story.check("0.06")["upgrade_url"].partition("?t=")[2]

    def prepare(case: Any) -> None:
        """Nobody guesses a token, or what is for sale: some of the requests get one."""
        drawn = f"{case.body} {case.query} {case.path_parameters}"
        number = zlib.crc32(drawn.encode("utf-8", "replace"))
        chance = number % 2
        case.headers["Accept"] = ("application/json", "text/html")[number // 2 % 2]
        if chance and "t" in (case.query or {}):
            case.query["t"] = token
        if chance and isinstance(case.body, dict) and "t" in case.body:
            case.body["t"] = token
            if operation[0] == "/upgrade/checkout" and number // 4 % 2:
                case.body = {"t": token, "pack": "starter"}
        if operation[0] == "/static/{name}" and chance:
            case.path_parameters["name"] = "page.css"

    statuses = hold_to(
        openapi_pages.document(),
        operation,
        stack.urls["upgrade_page"],
        stack.redis_port,
        headers={},
        examples=40,
        quiet_s=QUEUE_QUIET_S,  # the funnel hears of a page through the queue
        prepare=prepare,
    )
    # The portal is for who bought something; this visitor did not.
    if operation[0] != "/upgrade/portal":
        assert any(status < 400 for status in statuses), f"nothing valid was tried: {statuses}"
    if not operation[0].startswith(("/embed.", "/checkout.mjs")):
        assert any(400 <= status < 500 for status in statuses), "nothing invalid was tried"
