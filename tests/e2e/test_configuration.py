"""``aws ssm put-parameter`` is all it takes."""

import json

from redis import Redis

from infra.local.stack import LocalStack
from infra.setup.keys import new_api_key
from tests.support.story import Story, until


def test_a_raised_limit_holds_for_the_next_check_and_a_wrong_one_for_none(
    stack: LocalStack, story: Story
) -> None:
    assert story.check("0.06")["decision"] == "block"
    name = f"{stack.prefix}/tiers/free"
    before = stack.ssm().get_parameter(Name=name)["Parameter"]["Value"]
    raised = json.loads(before)
    raised["limits"]["daily"]["limit_usd"] = "0.07"
    with Redis(port=stack.redis_port, decode_responses=True) as redis:
        try:
            version = redis.hget("tk:config", "version")
            stack.ssm().put_parameter(
                Name=name, Value=json.dumps(raised), Type="String", Overwrite=True
            )
            until(lambda: redis.hget("tk:config", "version"), lambda now: now != version)
            assert story.check("0.06")["decision"] == "allow"

            raised["limits"]["daily"]["limit_usd"] = "-1"
            stack.ssm().put_parameter(
                Name=name, Value=json.dumps(raised), Type="String", Overwrite=True
            )
            error = until(lambda: redis.get("tk:config:error"), bool)
            assert "tiers/free: limits.daily.limit_usd" in str(error)
            assert story.check("0.01")["decision"] == "allow"
            assert story.check("0.06")["decision"] == "block"
        finally:
            stack.ssm().put_parameter(Name=name, Value=before, Type="String", Overwrite=True)
            until(lambda: redis.hget("tk:config", "version"), lambda now: now == version)
    until(lambda: stack.invoke("SyncConfigFunction"), lambda answer: answer == {"published": True})


def test_a_new_api_key_works_at_once_beside_the_old_one(stack: LocalStack, story: Story) -> None:
    name = f"{stack.prefix}/secrets/api_keys"
    before = stack.ssm().get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    fresh = new_api_key()
    both = {**json.loads(before), fresh.key_id: fresh.sha256}

    def put(value: str) -> None:
        stack.ssm().put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)

    def status(key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        body = {"user_id": story.user, "amount_usd": "0"}
        return story.api.post("/v1/check", json=body, headers=headers).status_code

    try:
        put(json.dumps(both))
        until(lambda: status(fresh.key), lambda seen: seen == 200)
        assert status(stack.api_key) == 200
    finally:
        put(before)
    until(lambda: status(fresh.key), lambda seen: seen == 401)
    assert status(stack.api_key) == 200
