"""The main job over HTTP alone: check, block, pay, continue."""

import json
from typing import Any

import httpx
from tollkeeper_core.domain.money import parse_usd

from infra.local.stack import LocalStack
from tests.support.story import Story, until


def archived(stack: LocalStack, user: str) -> list[dict[str, Any]]:
    """The user's postings in the archive, by id."""
    s3, found = stack.s3(), {}
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=stack.bucket(), Prefix="postings/")
    for item in (item for page in pages for item in page.get("Contents", ())):
        assert item["Key"].startswith("postings/dt=20")
        body = s3.get_object(Bucket=stack.bucket(), Key=item["Key"])["Body"].read().decode()
        for line in body.splitlines():
            posting = json.loads(line)
            if posting["user_id"] == user:
                found[posting["id"]] = posting
    return list(found.values())


def test_check_block_pay_continue(stack: LocalStack, story: Story) -> None:
    # A call with the real price list: 100,000 tokens in and out of gpt-4o-mini are 7.5 cents.
    first = story.check(
        provider="openai", model="gpt-4o-mini", input_tokens=100_000, max_output_tokens=30_000
    )
    assert (first["decision"], first["reserved_usd"]) == ("allow", "0.033")
    event = {
        **story.event("0", first["reservation_id"]),
        "provider": "openai",
        "model": "gpt-4o-mini-2024-07-18",
        "usage": {"prompt_tokens": 100_000, "completion_tokens": 30_000, "total_tokens": 130_000},
    }
    del event["cost_usd"]
    assert story.report(event)[0]["status"] == "accepted"
    until(story.percent, lambda percent: percent == 66)

    blocked = story.check("0.02")
    assert blocked["decision"] == "block"
    assert blocked["reason"]["code"] == "limit_reached"
    assert blocked["reason"]["window"] == "daily"
    assert blocked["reason"]["resets_at"].endswith("T00:00:00Z")
    assert blocked["affordable_usd"] == "0.017"
    assert "reserved_usd" not in blocked

    link = blocked["upgrade_url"]
    page = story.browser.get(link).text
    assert "66" in page
    assert "$5.00" in page
    assert "$20.00" in page
    assert "$12.00" in page
    assert story.state(link) == "open"
    story.buy(link, pack="starter")

    assert story.balance() == "$5.00"
    allowed = story.check("2.017")
    assert allowed["decision"] == "allow"
    story.report(story.event("2.017", allowed["reservation_id"]))
    until(story.balance, lambda balance: balance != "$5.00")
    # 2 of the pack's 4 dollars of AI spend are gone: half of what was paid.
    assert story.balance() == "$2.50"
    assert story.percent() == 100

    postings = until(lambda: archived(stack, story.user), lambda found: len(found) == 10)
    # Who bought is on record too, and moves no money.
    assert [p["amount"] for p in postings if p["kind"] == "customer"] == [0]
    for asset in ("usd_nano", "usd_minor"):
        assert sum(p["amount"] for p in postings if p["asset"] == asset) == 0
    lot = [p for p in postings if ":lot:" in p["account"]]
    assert sum(p["amount"] for p in lot) == parse_usd("2.00")
    usage = [p for p in postings if p["account"].endswith(":usage")]
    assert sum(p["amount"] for p in usage) == parse_usd("0.033") + parse_usd("2.017")


def test_a_plan_gives_its_tier_at_once_and_its_end_takes_it(
    stack: LocalStack, story: Story
) -> None:
    link = story.api.post("/v1/upgrade-links", json={"user_id": story.user}).json()["upgrade_url"]
    assert story.check("0.90")["decision"] == "block"
    story.buy(link, plan="pro_monthly")
    assert story.usage()["tier"] == "pro"
    assert story.check("0.90")["decision"] == "allow"

    events = httpx.get(f"{stack.urls['stripe']}/_local/events", trust_env=False).json()
    [sub] = [
        e["data"]["object"]["id"]
        for e in events["data"]
        if e["type"] == "customer.subscription.created"
        and e["data"]["object"]["metadata"].get("user_id") == story.user
    ]
    answer = httpx.post(
        f"{stack.urls['stripe']}/_local/subscriptions/{sub}/cancel", trust_env=False
    )
    assert answer.status_code in (200, 303)
    until(lambda: story.usage()["tier"], lambda tier: tier == "free")


def test_a_declined_card_grants_nothing_and_a_cancelled_checkout_leaves_the_link_usable(
    story: Story,
) -> None:
    link = story.check("0.06")["upgrade_url"]
    checkout = story.choose(link, pack="starter")
    declined = story.browser.post(
        checkout, data={"action": "decline", "email": "a@example.com", "name": "A"}
    )
    assert "declined" in declined.text
    assert story.state(link) == "open"
    assert story.usage()["credits"] == []
    story.pay(checkout)
    until(lambda: story.state(link), lambda state: state == "paid")
    assert story.balance() == "$5.00"
