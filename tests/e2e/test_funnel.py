"""The funnel through the whole stack: from a block to the record, by way of queue and webhook."""

import json
from typing import Any

import pytest

from infra.local.stack import LocalStack
from tests.support.story import Story, until


def steps(stack: LocalStack, user: str) -> dict[str, dict[str, Any]]:
    """The user's steps on record, by kind."""
    s3, found = stack.s3(), {}
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=stack.bucket(), Prefix="steps/")
    for item in (item for page in pages for item in page.get("Contents", ())):
        body = s3.get_object(Bucket=stack.bucket(), Key=item["Key"])["Body"].read().decode()
        for line in map(json.loads, body.splitlines()):
            if line["user_id"] == user:
                assert found.setdefault(line["step"], line) == line
    return found


@pytest.mark.parametrize(
    ("offer", "minor"), [({"pack": "starter"}, 500), ({"plan": "pro_monthly"}, 1200)]
)
def test_each_step_of_a_purchase_is_on_record_once(
    stack: LocalStack, story: Story, offer: dict[str, str], minor: int
) -> None:
    story.check("0.01")
    blocked = story.check("0.06")
    assert blocked["decision"] == "block"
    story.buy(blocked["upgrade_url"], **offer)

    kinds = {"limit_reached", "prompt_shown", "option_clicked", "checkout_opened", "paid"}
    found = until(lambda: steps(stack, story.user), lambda seen: set(seen) == kinds)

    assert len({step["prompt_id"] for step in found.values()}) == 1
    assert {(step["trigger"], step["tier"]) for step in found.values()} == {("daily", "free")}
    assert (found["paid"]["minor"], found["paid"]["currency"]) == (minor, "usd")
    (name,) = offer.values()
    assert [found[k]["offer"] for k in ("checkout_opened", "paid", "limit_reached")] == [
        name,
        name,
        "",
    ]


def test_turned_back_then_bought_then_used(stack: LocalStack, story: Story) -> None:
    """A prompt may be dismissed and paid after all; what it sold is used by one call first."""
    link = story.check("0.06")["upgrade_url"]
    base, _, token = link.partition("/upgrade?t=")
    for _ in range(2):
        told = story.browser.post(f"{base}/upgrade/dismissed", data={"t": token})
        assert (told.status_code, told.content) == (204, b"")
    kinds = {"limit_reached", "dismissed"}
    found = until(lambda: steps(stack, story.user), lambda seen: set(seen) >= kinds)
    assert set(found) == kinds

    story.buy(link, pack="starter")
    told = story.browser.post(f"{base}/upgrade/dismissed", data={"t": token})
    assert told.status_code == 204
    first = story.event("0.06")
    story.report(first, story.event("0.01"))
    story.report(first)
    kinds |= {"prompt_shown", "option_clicked", "checkout_opened", "paid", "credits_used"}
    # A step that the page tells waits in the queue; what is settled and paid is counted at once.
    found = until(lambda: steps(stack, story.user), lambda seen: set(seen) >= kinds)
    assert set(found) == kinds
    used, bought = found["credits_used"], found["paid"]
    assert (used["prompt_id"], used["trigger"], used["offer"]) == (
        bought["prompt_id"],
        "daily",
        "starter",
    )
    assert found["dismissed"]["at_ms"] < bought["at_ms"] + 1000
