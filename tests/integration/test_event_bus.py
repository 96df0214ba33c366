"""What the owner hears: through a rule of theirs, in the documented shape, and lost by nobody."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from tollkeeper_core.adapters.event_bus import EventBus
from tollkeeper_core.domain.announcements import (
    Announcement,
    AnnouncementError,
    limit_reached,
    threshold_crossed,
)
from tollkeeper_core.domain.funnel import Step, StepKind
from tollkeeper_core.domain.movements import Settlement

from tests.support.stage import REGION
from tests.support.upgrade import NOW_MS, STAGE
from tests.support.webhook import (
    COMPLETED,
    CREDIT_PLAN,
    Webhook,
    event,
    invoice,
    session,
    subscription,
)

DOCUMENT = (Path(__file__).parents[2] / "docs" / "events.md").read_text("utf-8")
SCHEMAS = {
    schema["$id"]: schema
    for schema in map(json.loads, re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL))
}


@pytest.fixture
def bus(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> EventBus:
    """The adapter, as a function of the stack has it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    return EventBus("default")


@pytest.fixture
def heard(bus: EventBus) -> Iterator[Any]:
    """What a rule of the owner's own sends to their queue."""
    events, sqs = boto3.client("events"), boto3.client("sqs")
    url = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    pattern = {"source": ["tollkeeper"], "detail": {"stage": [STAGE]}}
    events.put_rule(Name="tell-me", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="tell-me", Targets=[{"Id": "q", "Arn": arn["QueueArn"]}])

    def read() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while got := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in got:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    yield read
    events.remove_targets(Rule="tell-me", Ids=["q"])
    events.delete_rule(Name="tell-me")
    sqs.delete_queue(QueueUrl=url)


def every_kind() -> list[dict[str, Any]]:
    """Stripe's events of which the owner hears."""
    return [
        COMPLETED,
        event("checkout.session.async_payment_failed", session()),
        event("customer.subscription.updated", subscription()),
        event("customer.subscription.deleted", subscription(status="canceled")),
        event("invoice.paid", invoice(CREDIT_PLAN)),
        event("invoice.payment_failed", invoice(CREDIT_PLAN)),
    ]


def told() -> list[Announcement]:
    webhook = Webhook()
    for each in every_kind():
        webhook(each)
    limit = Step(
        kind=StepKind.LIMIT_REACHED,
        prompt_id="prm_1",
        user_id="ada",
        at_ms=NOW_MS,
        trigger="daily",
        tier="free",
        resets_ms=NOW_MS + 43_200_000,
    )
    settled = Settlement(
        user_id="ada",
        event_id="evt_1",
        cost_nano=1,
        allowance_nano=1,
        overrun_nano=0,
        lots_nano={},
        period_ids=("d", "w", "m"),
        tier="free",
        said_tier="",
        expired_nano={},
        settled_ms=NOW_MS,
        replayed=False,
        crossed={"daily": 80},
    )
    crossed = threshold_crossed(settled, "daily", 80)
    return [*webhook.bus.told, limit_reached(limit), crossed]


def test_a_rule_of_the_owners_hears_each_kind_in_its_documented_shape(
    bus: EventBus, heard: Any
) -> None:
    announcements = told()
    bus.publish(STAGE, announcements * 3)  # more than a request takes
    bus.publish("another-stage", announcements)

    got = heard()

    assert len(got) == 3 * len(announcements)
    assert {each["detail-type"] for each in got} == set(SCHEMAS)
    for each in got:
        Draft202012Validator(SCHEMAS[each["detail-type"]], format_checker=FormatChecker()).validate(
            each["detail"]
        )
        assert each["source"] == "tollkeeper"
    assert {each["detail"]["id"] for each in got} == {a.id for a in announcements}


def test_the_document_names_each_kind_and_its_schema_is_strict() -> None:
    for kind, schema in SCHEMAS.items():
        Draft202012Validator.check_schema(schema)
        assert f"| `{kind}` |" in DOCUMENT
        assert f"### {kind}\n" in DOCUMENT
        assert set(schema["required"]) == set(schema["properties"])
        assert schema["additionalProperties"] is False


def test_a_bus_that_refuses_or_is_away_is_an_error(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        def put_events(self, **_: Any) -> Any:
            codes = [{"EventId": "1"}, {"ErrorCode": "ThrottlingException"}]
            return {"FailedEntryCount": 1, "Entries": codes}

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(AnnouncementError, match="EndpointConnectionError"):
        bus.publish(STAGE, told())
    refused = EventBus("default")
    refused.__dict__["_client"] = Refusing()
    with pytest.raises(AnnouncementError, match="ThrottlingException"):
        refused.publish(STAGE, told())
