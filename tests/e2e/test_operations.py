"""docs/operations.md, lived through: every command on it, in the order of the page."""

import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from redis import Redis

from infra.local.cloudformation import load
from infra.local.layout import REGION, ROOT, Settings
from infra.local.stack import LocalStack
from tests.support.deployed import outputs_of, put_stack
from tests.support.redis_stack import redis_stack
from tests.support.runbook import AWS, Terminal, commands_of, sections
from tests.support.signature import Signature
from tests.support.story import Story, until

STAGE = "prod"
BLOCKS = sections()


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalStack]:
    with LocalStack(Settings(stage=STAGE, chat=False, token_delay_ms=0)) as stack:
        yield stack


@pytest.fixture(scope="module")
def terminal(cloud: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """In an account that has what the local cloud leaves out: the stack, its topic and logs."""
    assert AWS.exists(), "run make setup: the AWS CLI is missing"
    terminal = Terminal(cloud, tmp_path_factory.mktemp("prod"))
    outputs = {
        **outputs_of(cloud),
        "UsageQueueUrl": cloud.queue_url("UsageQueue"),
        "UsageDeadLetterQueueUrl": cloud.queue_url("UsageDeadLetterQueue"),
        "TopUpDeadLetterQueueUrl": cloud.queue_url("TopUpDeadLetterQueue"),
        "ArchiveBucketName": cloud.bucket(),
        "AlarmTopicArn": client(cloud, "sns").create_topic(Name="alarms")["TopicArn"],
        "DashboardUrl": "https://eu-west-1.console.aws.amazon.com/cloudwatch/home",
        "Version": "0.1.0",
    }
    assert set(outputs) == set(load(ROOT / "template.yaml")["Outputs"])
    put_stack(client(cloud, "cloudformation"), STAGE, outputs)
    return terminal


@pytest.fixture
def story(cloud: LocalStack, terminal: Terminal) -> Iterator[Story]:
    with Story(cloud) as told:
        told.api.headers["Authorization"] = f"Bearer {terminal.environment['TOLLKEEPER_API_KEY']}"
        yield told


def client(cloud: LocalStack, service: str) -> Any:
    login = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, endpoint_url=cloud.urls["aws"], region_name=REGION, **login)


def end_functions(cloud: LocalStack) -> None:
    """As new versions do: whoever is asked next begins cold."""
    mine = f"AWS_ENDPOINT_URL={cloud.urls['aws']}".encode()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            found = environ.read_bytes().split(b"\0")
        except OSError:
            continue
        if mine in found and any(v.startswith(b"AWS_LAMBDA_RUNTIME_API=") for v in found):
            os.kill(int(environ.parent.name), signal.SIGKILL)
    for url in (f"{cloud.urls['intercept']}/v1/check", f"{cloud.urls['upgrade_page']}/embed.js"):
        # Whoever was asked just then, died of it.
        until(lambda url=url: httpx.get(url, timeout=30).status_code, lambda seen: seen < 500)


def test_every_section_with_commands_is_tried() -> None:
    """A new one comes with its test."""
    assert {heading for heading, blocks in BLOCKS.items() if blocks} == {
        *("", "Deploy", "Raise a limit", "Alarms", "Reconcile with Stripe"),
        *("Redrive the dead-letter queue", "Rotate keys", "Back up and restore"),
        *("Move to another Redis", "Remove it"),
    }


def test_outputs(terminal: Terminal) -> None:
    table, functions = BLOCKS[""]
    assert "InterceptUrl" in terminal.type(table)
    assert functions.startswith("output()")


def test_deploy_and_smoke(terminal: Terminal) -> None:
    upgrade, back, smoke = BLOCKS["Deploy"]
    assert "Every function knows it" in terminal.type(upgrade)
    terminal.type(back)
    key = terminal.environment["TOLLKEEPER_API_KEY"]
    assert "The stack does what it is for" in terminal.type(smoke.replace("tk_...", key))


def test_raise_a_limit(terminal: Terminal, story: Story) -> None:
    put, invoke = BLOCKS["Raise a limit"]
    assert story.check("0.07")["decision"] == "block"
    assert json.loads(terminal.type(put.splitlines()[0]))["label"] == "Free"
    terminal.type(put)
    until(lambda: story.check("0.07")["decision"], lambda decision: decision == "allow")
    assert '"published"' in terminal.type(invoke)


@pytest.mark.parametrize("page", ["README.md", "docs/experiments.md"])
def test_what_other_pages_put_is_published(
    cloud: LocalStack, terminal: Terminal, page: str
) -> None:
    (_, invoke) = BLOCKS["Raise a limit"]
    (put,) = commands_of(ROOT / page)
    terminal.type(put)
    assert json.loads(terminal.type(invoke).partition("}")[0] + "}").keys() == {"published"}
    cloud.ssm().delete_parameters(Names=[f"/tollkeeper/{STAGE}/experiment"])


def test_no_page_with_commands_is_forgotten() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    found = {str(page.relative_to(ROOT)) for page in pages if commands_of(page)}
    assert found == {"README.md", "docs/experiments.md", "docs/operations.md"}


def test_alarms(cloud: LocalStack, terminal: Terminal) -> None:
    subscribe, tail = BLOCKS["Alarms"]
    assert "SubscriptionArn" in terminal.type(subscribe)
    logs, group = client(cloud, "logs"), f"/tollkeeper/{STAGE}/stripe_webhook"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="one")
    line = {"timestamp": int(time.time() * 1000), "message": '{"level": "ERROR", "code": "x"}'}
    logs.put_log_events(logGroupName=group, logStreamName="one", logEvents=[line])
    assert "ERROR" in terminal.type(tail)


def test_reconcile(terminal: Terminal) -> None:
    (command,) = BLOCKS["Reconcile with Stripe"]
    terminal.type(command)


def test_redrive(cloud: LocalStack, terminal: Terminal, story: Story) -> None:
    redrive, look = BLOCKS["Redrive the dead-letter queue"]
    event = story.event("0.02")
    body = {"received_ms": int(time.time() * 1000), "event": event}
    dead = cloud.queue_url("UsageDeadLetterQueue")
    cloud.sqs().send_message(QueueUrl=dead, MessageBody=json.dumps(body))
    assert event["event_id"] in terminal.type(look)

    terminal.type(redrive)

    until(story.percent, lambda percent: percent > 0)
    attributes = cloud.sqs().get_queue_attributes(QueueUrl=dead, AttributeNames=["All"])
    assert attributes["Attributes"]["ApproximateNumberOfMessages"] == "0"


def test_rotate_an_api_key(terminal: Terminal, cloud: LocalStack, story: Story) -> None:
    new_key, _ = BLOCKS["Rotate keys"]

    def status(key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        body = {"user_id": story.user, "amount_usd": "0.001"}
        return httpx.post(
            f"{cloud.urls['intercept']}/v1/check", json=body, headers=headers
        ).status_code

    made = [next(w for w in terminal.type(new_key).split() if w.startswith("tk_")) for _ in "12"]
    until(lambda: [status(key) for key in made], lambda seen: seen == [200, 200])
    # The first is the third newest now.
    until(lambda: status(cloud.api_key), lambda seen: seen == 401)
    terminal.environment["TOLLKEEPER_API_KEY"] = made[-1]


def test_rotate_the_key_of_links(cloud: LocalStack, terminal: Terminal) -> None:
    _, rotate = BLOCKS["Rotate keys"]
    key = terminal.environment["TOLLKEEPER_API_KEY"]

    def link() -> str:
        answer = httpx.post(
            f"{cloud.urls['intercept']}/v1/upgrade-links",
            json={"user_id": f"user-{uuid.uuid4()}"},
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
        )
        url: str = answer.raise_for_status().json()["upgrade_url"]
        return url

    before = link()
    terminal.type(rotate)
    end_functions(cloud)  # a day later all are cold
    after = until(link, bool)
    assert [httpx.get(url, timeout=30).status_code for url in (before, after)] == [200, 200]
    new, _ = secret(cloud, f"/tollkeeper/{STAGE}/secrets/link_key").split(",")
    cloud.ssm().put_parameter(
        Name=f"/tollkeeper/{STAGE}/secrets/link_key", Value=new, Type="SecureString", Overwrite=True
    )
    end_functions(cloud)
    assert [httpx.get(url, timeout=30).status_code for url in (before, after)] == [403, 200]


def a_buyer(story: Story) -> tuple[int, str]:
    """Who used a part of a limit, and has credits: (percent, balance)."""
    story.report(story.event("0.02"))
    until(story.percent, lambda percent: percent > 0)
    story.buy(story.check("1000")["upgrade_url"], pack="starter")
    until(lambda: story.usage()["credits"], bool)
    return story.percent(), story.balance()


def test_roll_the_webhooks_secret(cloud: LocalStack, terminal: Terminal) -> None:
    """`<new>,<old>`, and a day later the new one alone."""
    name = f"/tollkeeper/{STAGE}/secrets/stripe_webhook_secret"
    old = secret(cloud, name).split(",")[0]
    new = "whsec_" + "n" * 32

    def answers() -> list[int]:
        end_functions(cloud)  # warm ones read it again within five minutes
        body = b'{"id": "evt_1", "type": "none.of.ours", "created": 1, "data": {"object": {}}}'
        url = cloud.urls["stripe_webhook"]
        until(
            lambda: httpx.post(url, content=b"{}", timeout=30).status_code, lambda seen: seen == 400
        )
        headers = [{"Stripe-Signature": Signature(each).of(body)} for each in (old, new)]
        return [httpx.post(url, content=body, headers=h, timeout=30).status_code for h in headers]

    put = f"aws ssm put-parameter --overwrite --type SecureString --name {name} --value"
    assert answers() == [200, 400]
    terminal.type(f"{put} {new},{old}")
    assert answers() == [200, 200]
    terminal.type(f"{put} {new}")
    assert answers() == [400, 200]
    terminal.type(f"{put} {new},{old}")  # the local Stripe knows the old one only
    assert answers() == [200, 200]


def test_roll_stripes_key(cloud: LocalStack, terminal: Terminal, story: Story) -> None:
    """`make deploy` takes and tries it; who buys next does so with the new one."""
    rolled = "sk_test_" + "r" * 32
    upgrade, *_ = BLOCKS["Deploy"]
    terminal.type(upgrade, STRIPE_SECRET_KEY=rolled)
    assert secret(cloud, f"/tollkeeper/{STAGE}/secrets/stripe_secret_key") == rolled
    end_functions(cloud)
    assert a_buyer(story)


def secret(cloud: LocalStack, name: str) -> str:
    return cloud.ssm().get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]


def waiting(cloud: LocalStack) -> int:
    """Messages of usage that nobody has settled."""
    url = cloud.queue_url("UsageQueue")
    found = cloud.sqs().get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    counts = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    return sum(int(found[name]) for name in counts)


def test_back_up_and_restore(cloud: LocalStack, terminal: Terminal, story: Story) -> None:
    verify, rebuild, copy = BLOCKS["Back up and restore"]
    before = a_buyer(story)
    terminal.type(verify)
    with Redis(port=cloud.redis_port) as redis:
        redis.flushall()
    refused = story.api.post("/v1/check", json={"user_id": story.user, "amount_usd": "0.001"})
    assert refused.status_code == 503
    end_functions(cloud)
    story.report(story.event("0.01"))  # of what runs on: taken by a function that begins now
    until(lambda: waiting(cloud), bool)

    terminal.type(rebuild)

    until(lambda: story.check("0.001")["decision"], lambda decision: decision == "allow")
    assert story.balance() == before[1]
    late = story.percent() - before[0]
    assert late == 10 or (late == 0 and waiting(cloud))  # for its visibility time-out
    terminal.type(copy)
    copied = "".join(
        path.read_text() for path in (terminal.folder / "tollkeeper-archive").rglob("*.jsonl*")
    )
    assert story.user in copied


def test_move_to_another_redis(cloud: LocalStack, terminal: Terminal, story: Story) -> None:
    deploy, build = BLOCKS["Move to another Redis"]
    before = a_buyer(story)
    with redis_stack() as another:
        new = {"UPSTASH_REDIS_REST_URL": another.url, "UPSTASH_REDIS_REST_TOKEN": another.token}
        # Here a function may be warm when it publishes; deployed anew, as it really is, it is not.
        terminal.type(f"{deploy.strip()} || true", **new)
        end_functions(cloud)
        (_, publish) = BLOCKS["Raise a limit"]
        assert "Run tollkeeper rebuild" in terminal.type(publish)

        terminal.type(build)

        until(lambda: story.check("0.001")["decision"], lambda decision: decision == "allow")
        assert (story.percent(), story.balance()) == before
        assert any(story.user.encode() in key for key in another.direct.scan_iter("*"))
        (*_, smoke) = BLOCKS["Deploy"]
        terminal.type(smoke.replace("TOLLKEEPER_API_KEY=tk_... ", ""))


def test_remove(cloud: LocalStack, terminal: Terminal) -> None:
    """Last of all."""
    (remove,) = BLOCKS["Remove it"]
    said = terminal.type(remove, TOLLKEEPER_BACKUP="copy")
    assert f"the bucket {cloud.bucket()}" in said
    assert (terminal.folder / "copy" / "config" / "tiers" / "free.json").exists()
    left = cloud.ssm().get_parameters_by_path(Path=f"/tollkeeper/{STAGE}", Recursive=True)
    assert left["Parameters"] == []
