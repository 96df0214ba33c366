"""What is promised in numbers: requests, admissions, and everything once."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from infra.local.stack import LocalStack
from tests.support.story import Story, until


def test_a_warm_check_is_exactly_one_request_to_redis(stack: LocalStack, story: Story) -> None:
    # Both workers warm: a process reads secrets and configuration once.
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: story.check("0.0001"), range(24)))
    stack.reset_gateway_stats()
    for _ in range(5):
        assert story.check("0.0001")["decision"] == "allow"
    assert stack.gateway_stats()["http_requests"] == 5


def test_a_batch_of_ten_events_is_exactly_one_request_to_redis(
    stack: LocalStack, story: Story
) -> None:
    def settle(events: int) -> int:
        before = story.usage()["windows"]["monthly"]["percent"]
        stack.reset_gateway_stats()
        records = [
            {"messageId": str(n), "body": _queued(story.event("0.005"))} for n in range(events)
        ]
        answer = stack.invoke("LogUsageFunction", {"Records": records})
        assert answer == {"batchItemFailures": []}
        requests = int(stack.gateway_stats()["http_requests"])
        assert story.usage()["windows"]["monthly"]["percent"] == before + events
        return requests

    for _ in range(3):  # the workers' first: secrets, configuration, the script's text
        settle(1)
    assert settle(10) == 1


def _queued(event: dict[str, object]) -> str:
    return json.dumps({"received_ms": time.time_ns() // 1_000_000, "event": event})


def test_200_checks_at_once_admit_exactly_the_50_that_fit(story: Story) -> None:
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: story.check("0.001")["decision"], range(200)))
    assert (answers.count("allow"), answers.count("block")) == (50, 150)


def test_events_twice_and_webhooks_three_times_count_once(stack: LocalStack, story: Story) -> None:
    link = story.check("0.06")["upgrade_url"]
    checkout = story.choose(link, pack="starter")
    story.pay(checkout)
    until(lambda: story.state(link), lambda state: state == "paid")
    stripe = stack.urls["stripe"]
    session = story.session_id(checkout)
    events = httpx.get(f"{stripe}/_local/events", trust_env=False).json()
    ours = [e["id"] for e in events["data"] if e["data"]["object"]["id"] == session]
    assert ours
    for event_id in ours:
        again = httpx.post(f"{stripe}/_local/events/{event_id}/resend?times=2", trust_env=False)
        assert again.status_code in (200, 202, 303)

    allowed = story.check("1.05")
    events_sent = [
        story.event("1.05", allowed["reservation_id"]),
        *(story.event("0.25") for _ in range(4)),
    ]
    for _ in range(2):
        verdicts = story.report(*events_sent)
        assert [v["status"] for v in verdicts] == ["accepted"] * 5

    # 5 cents of allowance, then 2.00 of the 4.00 that the pack's 5 dollars bought.
    until(story.balance, lambda balance: balance == "$2.50")
    marker = story.event("0.04")
    story.report(marker)
    until(story.balance, lambda balance: balance == "$2.45")
    deliveries = until(
        lambda: httpx.get(f"{stripe}/_local/events", trust_env=False).json(),
        lambda found: all(
            len(entry["deliveries"]) >= 3 for entry in found["data"] if entry["id"] in ours
        ),
    )
    assert deliveries
    assert story.balance() == "$2.45"


def test_the_same_request_id_gets_the_same_answer(story: Story) -> None:
    first = story.check("0.03", request_id="r1")
    assert story.check("0.03", request_id="r1") == first
    assert story.check("0.03", request_id="r2")["decision"] == "block"
    third = story.check("0.01", request_id="r3")
    assert third["decision"] == "allow"
    assert story.check("0.03", request_id="r1") == first
