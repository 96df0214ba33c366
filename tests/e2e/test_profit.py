"""Profit through the whole stack: a call, a purchase, an hour of reconcile, and the books."""

import json

from redis import Redis

from infra.local.stack import LocalStack
from tests.support.story import Story, until

#: Nobody's page or answer says it: what the user cost, however it is written.
SPEND = ("0.0312345", "0.031", "31234500", "3.12345")


def books(stack: LocalStack, user: str) -> dict[str, int]:
    """The user's entries, of whatever month."""
    with Redis(port=stack.redis_port, decode_responses=True) as redis:
        found: dict[str, int] = {}
        for month in redis.keys("tk:books:*"):
            for field, amount in redis.hgetall(month).items():
                if field.endswith(f"|{user}"):
                    found[field.rpartition("|")[0]] = int(amount)
        return found


def test_what_a_user_cost_and_brought_in_is_in_the_books(stack: LocalStack, story: Story) -> None:
    held = story.check("0.04")["reservation_id"]
    story.report(story.event("0.0312345", held))
    until(lambda: books(stack, story.user), bool)
    blocked = story.check("0.06")
    story.buy(blocked["upgrade_url"], pack="starter")

    booked = stack.invoke("ReconcileFunction", {"money_hours": 1})["money"]

    assert booked["booked"] >= 1
    assert booked["unclear"] == []
    assert books(stack, story.user) == {"cost|free": 31_234_500, "paid|usd": 500, "fee|usd": 45}
    assert stack.invoke("ReconcileFunction", {"money_hours": 1})["money"]["booked"] == 0
    told = (
        json.dumps(story.usage()),
        story.browser.get(blocked["upgrade_url"]).text,
        story.browser.get(story.check("5")["upgrade_url"]).text,
    )
    for text in told:
        assert not [figure for figure in SPEND if figure in text]
