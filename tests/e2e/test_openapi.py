"""Every route against its document: no 5xx, no breach, no change by what is refused."""

import uuid
import zlib
from itertools import cycle
from typing import Any

import httpx
import pytest
from redis import Redis
from requests.auth import AuthBase

from infra.local.stack import LocalStack
from infra.reference import openapi, openapi_pages, openapi_webhook
from infra.setup.parameters import read_secrets
from infra.setup.stripe_endpoint import EVENTS
from tests.support.promises import QUEUE_QUIET_S, everything, hold_to, operations, when_quiet
from tests.support.signature import Signature
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


@pytest.fixture
def signature(stack: LocalStack) -> Signature:
    name = "stripe_webhook_secret"
    secrets = read_secrets(stack.ssm(), f"/tollkeeper/{stack.settings.stage}", [name])
    return Signature(secrets[name].split(",")[0])


def test_the_webhook_keeps_its_promise(stack: LocalStack, signature: Signature) -> None:
    """Signed are events of a kind that Stripe sends, of another stage; all else is forged."""
    ((path, method),) = operations(openapi_webhook.document())
    with Redis(port=stack.redis_port) as redis:
        before = when_quiet(redis, QUEUE_QUIET_S)
    signed: set[str] = set()
    kinds = cycle(sorted(EVENTS))

    def prepare(case: Any) -> None:
        number = zlib.crc32(f"{case.body}".encode("utf-8", "replace"))
        if not is_event(case.body) or number % 4 == 0:
            return
        kind = next(kinds)
        elsewhere = {"id": "any_1", "metadata": {"tollkeeper": "elsewhere"}}
        case.body |= {"type": kind, "data": {"object": elsewhere}}
        signed.add(kind)

    def auth(case: Any) -> AuthBase | None:
        return signature if is_event(case.body) and case.body["type"] in EVENTS else None

    statuses = hold_to(
        openapi_webhook.document(),
        (path, method),
        stack.urls["stripe_webhook"],
        stack.redis_port,
        headers={},
        examples=160,
        quiet_s=QUEUE_QUIET_S,
        prepare=prepare,
        auth=auth,
    )

    assert statuses == {200, 400}
    assert signed == set(EVENTS)
    with Redis(port=stack.redis_port) as redis:
        assert everything(redis) == before, "an event of another stage changed something"


def is_event(body: Any) -> bool:
    """As the document has them."""
    return (
        isinstance(body, dict)
        and all(isinstance(body.get(key), str) and body[key] for key in ("id", "type"))
        and type(body.get("created")) is int
        and body["created"] >= 0
        and isinstance(body.get("data"), dict)
    )


@pytest.mark.parametrize("body", [b"", b"[]", b'{"id": 5}', b'{"id": "evt_1", "type": ""}'])
def test_what_is_signed_and_no_event_is_asked_for_again(
    stack: LocalStack, signature: Signature, body: bytes
) -> None:
    """As the document says of 500; never 200, for somebody may have paid."""
    headers = {"Stripe-Signature": signature.of(body), "Content-Type": "application/json"}
    answer = httpx.post(stack.urls["stripe_webhook"], content=body, headers=headers)
    assert answer.status_code == 500
    assert answer.json()["code"] == "unusable_event"
