"""An automatic top-up as it happens: agreed to on the page, and paid when credits run low."""

import json
from collections.abc import Iterator

import pytest
from redis import Redis

from infra.local.stack import LocalStack
from tests.support.story import Story, until


@pytest.fixture
def offered(stack: LocalStack) -> Iterator[None]:
    """The owner lets users agree."""
    name = f"{stack.prefix}/settings"
    before = stack.ssm().get_parameter(Name=name)["Parameter"]["Value"]
    rules = {"thresholds_percent": [50], "monthly_max": 3, "cooldown_minutes": 60}

    def put(value: str) -> None:
        stack.ssm().put_parameter(Name=name, Value=value, Type="String", Overwrite=True)

    with Redis(port=stack.redis_port, decode_responses=True) as redis:
        version = redis.hget("tk:config", "version")
        put(json.dumps({**json.loads(before), "auto_topup": rules}))
        until(lambda: redis.hget("tk:config", "version"), lambda now: now != version)
        yield
        put(before)
        until(lambda: redis.hget("tk:config", "version"), lambda now: now == version)


@pytest.mark.usefixtures("offered")
def test_agreed_run_low_paid_once_and_ended(stack: LocalStack, story: Story) -> None:
    link = story.check("0.06")["upgrade_url"]
    assert "Automatic top-up" in story.browser.get(link).text
    story.buy(link, pack="starter", auto_topup="agreed", threshold="50", monthly="2")
    assert story.balance() == "$5.00"

    # Of the pack's four dollars of AI spend, more than half is used: another is bought, by itself.
    story.report(*(story.event("0.5") for _ in range(5)))
    until(story.balance, lambda balance: balance.startswith("$6."))
    story.report(*(story.event("0.5") for _ in range(6)))
    until(story.balance, lambda balance: balance.startswith("$3."))  # the cool-down: no third

    link = story.check("5")["upgrade_url"]
    page = story.browser.get(link).text
    assert "at most 2 times a month" in page
    base, _, token = link.partition("/upgrade?t=")
    ended = story.browser.post(f"{base}/upgrade/auto-topup/end", data={"t": token})
    assert ended.status_code == 303
    assert "Buy now and turn on" in story.browser.get(link).text
