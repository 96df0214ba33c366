"""Bad input: a clear problem+json, nothing changed, nothing secret in a log."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from redis import Redis

from infra.local.stack import LocalStack
from tests.support.promises import QUEUE_QUIET_S, everything, when_quiet
from tests.support.story import Story, until

BIG = "x" * 1024 * 1024
SECRET_KEY = "tk_k1_" + "Wr0ngS3cret" * 4
CHECK = {"user_id": "u-bad", "amount_usd": "0.01"}
EVENT = {"event_id": "e-bad", "user_id": "u-bad", "cost_usd": "0.01"}


@pytest.fixture(scope="module", autouse=True)
def nothing_is_on_its_way(stack: LocalStack) -> None:
    """What earlier tests have put into the queue is in Redis by now."""
    with Redis(port=stack.redis_port) as redis:
        when_quiet(redis, QUEUE_QUIET_S)


@pytest.fixture
def nothing_changes(stack: LocalStack) -> Iterator[None]:
    """Every key in Redis is after the test what it was before."""
    with Redis(port=stack.redis_port) as redis:
        before = everything(redis)
        yield
        after = everything(redis)
    assert after == before


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"] == f"urn:tollkeeper:problem:{code}"
    assert body["title"]
    assert body["detail"]
    return body


@pytest.mark.usefixtures("nothing_changes")
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", f"Bearer {SECRET_KEY}", "Basic dGs6eA==", "Bearer tk_", "Bearer ä"],
)
def test_a_wrong_key(story: Story, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode()}
    for method, path, body in (
        ("POST", "/v1/check", CHECK),
        ("POST", "/v1/usage", {"events": [EVENT]}),
        ("POST", "/v1/upgrade-links", {"user_id": "u-bad"}),
        ("GET", "/v1/users/u-bad/usage", None),
    ):
        answer = httpx.request(
            method,
            story.stack.urls["intercept"] + path,
            json=body,
            headers=headers,
            trust_env=False,
        )
        problem(answer, 401, "unauthorized")
        assert "Bearer" in answer.headers["www-authenticate"]


@pytest.mark.usefixtures("nothing_changes")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**CHECK, "amount_usd": "-0.01"}, "amount_usd"),
        ({**CHECK, "amount_usd": "1000000.01"}, "amount_usd"),
        ({**CHECK, "amount_usd": "1e3"}, "amount_usd"),
        ({**CHECK, "amount_usd": "NaN"}, "amount_usd"),
        ({**CHECK, "amount_usd": 0.01}, "amount_usd"),
        ({"user_id": "u-bad", "model": "gpt-4o", "input_tokens": -1}, "input_tokens"),
        ({"user_id": "u-bad", "model": "gpt-4o", "input_tokens": 10**12}, "input_tokens"),
        ({"user_id": "u-bad", "model": "gpt-4o", "input_tokens": True}, "input_tokens"),
        ({"user_id": "u-bad", "input_tokens": 1}, "model"),
        ({**CHECK, "user_id": ""}, "user_id"),
        ({**CHECK, "user_id": "x" * 129}, "user_id"),
        ({**CHECK, "user_id": "a\nb"}, "user_id"),
        ({**CHECK, "user_id": 7}, "user_id"),
        ({"amount_usd": "1"}, "user_id"),
        ({**CHECK, "tier": "gold"}, "tiers/gold"),
        ({**CHECK, "tier": "no such tier"}, "tier"),
        ({**CHECK, "amout_usd": "1"}, "amout_usd"),
        ([], "dictionary"),
        ("text", "dictionary"),
    ],
)
def test_a_wrong_check(story: Story, body: Any, field: str) -> None:
    found = problem(story.api.post("/v1/check", json=body), 422, "invalid_request")
    assert field in json.dumps(found)


@pytest.mark.usefixtures("nothing_changes")
@pytest.mark.parametrize(
    "raw",
    ['{"user_id": "u-bad", "amount_usd": NaN}', '{"user_id": Infinity}', "{", "", "\xff", "{}{}"],
)
def test_what_is_no_json(story: Story, raw: str) -> None:
    problem(story.api.post("/v1/check", content=raw.encode("latin-1")), 400, "bad_json")


@pytest.mark.usefixtures("nothing_changes")
def test_a_body_of_a_mebibyte(stack: LocalStack, story: Story) -> None:
    for path in ("/v1/check", "/v1/usage", "/v1/upgrade-links"):
        problem(story.api.post(path, json={**CHECK, "user_id": BIG}), 413, "too_large")
    answer = story.browser.post(
        f"{stack.urls['upgrade_page']}/upgrade/checkout", data={"t": BIG, "pack": "starter"}
    )
    assert answer.status_code == 413
    problem(
        httpx.post(stack.urls["stripe_webhook"], content=BIG, trust_env=False), 413, "too_large"
    )


@pytest.mark.usefixtures("nothing_changes")
def test_routes_and_methods(story: Story) -> None:
    problem(story.api.get("/"), 404, "not_found")
    problem(story.api.get("/v1/users/a/b/usage"), 404, "not_found")
    found = story.api.get("/v1/check")
    problem(found, 405, "method_not_allowed")
    assert found.headers["allow"] == "POST"


@pytest.mark.usefixtures("nothing_changes")
def test_an_unknown_model_is_never_free(stack: LocalStack, story: Story) -> None:
    body = {"user_id": "u-bad", "provider": "openai", "model": "mystery-9", "input_tokens": 5}
    answer = story.api.post("/v1/check", json=body)
    assert answer.status_code == 200
    blocked = answer.json()
    assert blocked["decision"] == "block"
    assert blocked["reason"]["code"] == "unknown_model"
    assert blocked["upgrade_url"] is None


@pytest.mark.usefixtures("nothing_changes")
def test_each_event_of_a_batch_is_judged_by_itself(story: Story) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({**EVENT, "cost_usd": "-1"}, "cost_usd"),
        ({**EVENT, "cost_usd": "1000001"}, "cost_usd"),
        ({**EVENT, "event_id": ""}, "event_id"),
        ({**EVENT, "usage": {"prompt_tokens": 1}}, "not both"),
        ({"event_id": "e", "user_id": "u", "usage": {"prompt_tokens": 1}}, "model"),
        (
            {"event_id": "e", "user_id": "u", "model": "m", "usage": {"prompt_tokens": -1}},
            "below 0",
        ),
        ({"event_id": "e", "user_id": "u", "model": "m", "usage": {"a": {"b": 1e300}}}, "above"),
        ({"event_id": "e", "user_id": "u"}, "cost_usd"),
        ({**EVENT, "at": "2020-01-01T00:00:00Z"}, "14 days"),
        ({**EVENT, "at": "2090-01-01T00:00:00Z"}, "future"),
        ({**EVENT, "at": "2026-01-01T00:00:00"}, "time zone"),
        ({**EVENT, "status": "maybe"}, "status"),
    ]
    verdicts = story.report(*(event for event, _ in wrong))
    for verdict, (_, says) in zip(verdicts, wrong, strict=True):
        assert verdict["status"] == "rejected"
        assert says in verdict["error"]
    for envelope in ({"events": []}, {"events": [EVENT] * 101}, {}, {"events": [1]}):
        problem(story.api.post("/v1/usage", json=envelope), 422, "invalid_request")


@pytest.mark.usefixtures("nothing_changes")
def test_a_forged_upgrade_token(stack: LocalStack, story: Story) -> None:
    answer = story.api.post("/v1/upgrade-links", json={"user_id": story.user})
    base, _, token = answer.json()["upgrade_url"].partition("?t=")
    changed = token[:20] + ("A" if token[20] != "A" else "B") + token[21:]
    for forged in (changed, token[:-1], token + "A", "", "x", "../../etc"):
        page = story.browser.get(base, params={"t": forged})
        assert page.status_code == 403, forged
        assert "does not work" in page.text
        for method, path in (("GET", "/upgrade/status"), ("POST", "/upgrade/checkout")):
            answer = story.browser.request(
                method,
                base.removesuffix("/upgrade") + path,
                params={"t": forged} if method == "GET" else None,
                data={"t": forged, "pack": "starter"} if method == "POST" else None,
                headers={"Accept": "application/json"},
            )
            problem(answer, 403, "link_invalid")


@pytest.mark.usefixtures("nothing_changes")
def test_an_unsigned_webhook(stack: LocalStack) -> None:
    event = {
        "id": "evt_1",
        "object": "event",
        "type": "checkout.session.completed",
        "created": int(time.time()),
        "data": {"object": {"id": "cs_1", "mode": "payment", "payment_status": "paid"}},
    }
    for signature in (None, "", "t=1,v1=00", f"t={int(time.time())},v1={'0' * 64}"):
        headers = {"Stripe-Signature": signature} if signature is not None else {}
        answer = httpx.post(
            stack.urls["stripe_webhook"], json=event, headers=headers, trust_env=False
        )
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"


def test_nothing_secret_is_in_the_logs(
    stack: LocalStack, story: Story, lines: list[str], secrets: Callable[[], dict[str, str]]
) -> None:
    link = story.check("0.06")["upgrade_url"]
    story.buy(link, pack="starter")
    story.api.post("/v1/check", json=CHECK, headers={"Authorization": f"Bearer {SECRET_KEY}"})
    story.browser.get(link + "x")
    story.report({**story.event("0.01"), "user_id": story.user})
    until(story.balance, bool)
    # A function's metrics are written after its answer: the balance can be seen before the line.
    until(lambda: [line for line in lines if "CreditsGranted" in line], bool)
    printed = [line for line in lines if not line.startswith("chat ")]
    token = link.partition("?t=")[2]
    values = {**secrets(), "api key": stack.api_key, "wrong key": SECRET_KEY, "link": token}
    for name, secret in values.items():
        assert not [line for line in printed if secret in line], f"{name} is in the log"
    functions = ("intercept", "log_usage", "stripe_webhook", "upgrade_page", "sync_config")
    logged = [line for line in printed if line.startswith(functions) and "{" in line]
    assert any("CreditsGranted" in line for line in logged)  # what functions log is there to see
    assert not [line for line in logged if story.user in line]


@pytest.fixture
def secrets(stack: LocalStack) -> Callable[[], dict[str, str]]:
    """The stage's secrets as they stand in Parameter Store."""

    def read() -> dict[str, str]:
        names = ("upstash_token", "link_key", "stripe_webhook_secret")
        return {
            name: stack.ssm().get_parameter(
                Name=f"{stack.prefix}/secrets/{name}", WithDecryption=True
            )["Parameter"]["Value"]
            for name in names
        }

    return read
