"""Event patterns, the events that this machine makes itself, and what a batch's answer means."""

import io
import json

import pytest

from infra.local.aws import ParameterEvents, parameter_event
from infra.local.lambdas.event_bridge import PatternError, matches, scheduled_event
from infra.local.lambdas.invocation import Result
from infra.local.lambdas.sqs_poller import build_event, failed_ids
from infra.local.template import QueueSource, Schedule

CHANGE = parameter_event(
    {"operation": "Update", "name": "/app/dev/tiers/free", "type": "String"}, "eu-west-1"
)


def test_a_parameter_change_has_the_real_shape() -> None:
    assert CHANGE["source"] == "aws.ssm"
    assert CHANGE["detail-type"] == "Parameter Store Change"
    assert CHANGE["resources"] == [
        "arn:aws:ssm:eu-west-1:123456789012:parameter/app/dev/tiers/free"
    ]
    assert CHANGE["detail"] == {
        "operation": "Update",
        "name": "/app/dev/tiers/free",
        "type": "String",
    }
    assert set(CHANGE) == {
        *("version", "id", "detail-type", "source", "account"),
        *("time", "region", "resources", "detail"),
    }


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"source": ["aws.ssm"]}, True),
        ({"source": ["aws.s3", "aws.ssm"], "account": ["123456789012"]}, True),
        ({"source": ["aws.ssm"], "account": ["1"]}, False),
        ({"detail": {"name": [{"prefix": "/app/dev/"}]}}, True),
        ({"detail": {"name": [{"prefix": "/app/prod/"}]}}, False),
        ({"detail": {"name": [{"suffix": "/free"}], "operation": ["Create", "Update"]}}, True),
        ({"detail": {"operation": ["Delete"]}}, False),
        ({"detail": {"operation": [{"anything-but": ["Delete"]}]}}, True),
        ({"detail": {"operation": [{"anything-but": "Update"}]}}, False),
        ({"detail": {"description": [{"exists": False}]}}, True),
        ({"detail": {"name": [{"exists": True}]}}, True),
        ({"detail": {"missing": ["x"]}}, False),
        ({"detail": {"missing": [{"anything-but": "x"}]}}, False),
        ({"resources": [{"prefix": "arn:aws:ssm"}]}, True),
        ({"detail": {"type": [{"equals-ignore-case": "string"}]}}, True),
        ({"detail": {"name": {"deeper": ["x"]}}}, False),
        ({"version": [0]}, False),
    ],
)
def test_patterns(pattern: dict[str, object], expected: bool) -> None:
    assert matches(pattern, CHANGE) is expected


def test_an_operator_that_is_not_known_is_no_silent_miss() -> None:
    with pytest.raises(PatternError, match="cidr"):
        matches({"source": [{"cidr": "10.0.0.0/8"}]}, CHANGE)


def test_a_schedule_sends_what_its_rule_does() -> None:
    event = scheduled_event(Schedule("Heal", 60, None), "us-east-1")
    assert event["detail-type"] == "Scheduled Event"
    assert event["resources"] == ["arn:aws:events:us-east-1:123456789012:rule/Heal"]
    assert event["detail"] == {}


def ssm_call(events: ParameterEvents, operation: str, body: dict[str, object]) -> None:
    raw = json.dumps(body).encode()
    environ = {
        "HTTP_X_AMZ_TARGET": f"AmazonSSM.{operation}",
        "CONTENT_LENGTH": str(len(raw)),
        "wsgi.input": io.BytesIO(raw),
    }
    assert list(events(environ, lambda _status, _headers, _error=None: lambda _data: None))


def test_only_changes_that_succeeded_are_published() -> None:
    published: list[dict[str, str]] = []
    answers = iter(
        [
            ("200 OK", {"Version": 1}),
            ("200 OK", {"Version": 2}),
            ("400 BAD REQUEST", {"__type": "ParameterAlreadyExists"}),
            ("200 OK", {"Parameters": []}),
            ("200 OK", {"DeletedParameters": ["/a"], "InvalidParameters": ["/b"]}),
            ("200 OK", {}),
        ]
    )

    def app(environ: dict[str, object], start_response: object) -> list[bytes]:
        assert json.loads(environ["wsgi.input"].read())  # type: ignore[attr-defined]
        status, answer = next(answers)
        start_response(status, [])  # type: ignore[operator]
        return [json.dumps(answer).encode()]

    events = ParameterEvents(app, lambda event: published.append(event["detail"]), "us-east-1")  # type: ignore[arg-type]
    ssm_call(events, "PutParameter", {"Name": "/a", "Type": "SecureString"})
    ssm_call(events, "PutParameter", {"Name": "/a", "Overwrite": True})
    ssm_call(events, "PutParameter", {"Name": "/a", "Type": "String"})
    ssm_call(events, "GetParameters", {"Names": ["/a"]})
    ssm_call(events, "DeleteParameters", {"Names": ["/a", "/b"]})
    ssm_call(events, "DeleteParameter", {"Name": "/c"})
    assert published == [
        {"operation": "Create", "name": "/a", "type": "SecureString"},
        {"operation": "Update", "name": "/a", "type": "SecureString"},
        {"operation": "Delete", "name": "/a", "type": "SecureString"},
        {"operation": "Delete", "name": "/c", "type": "String"},
    ]


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (b"null", set()),
        (b"{}", set()),
        (b'""', set()),
        (b'{"batchItemFailures": []}', set()),
        (b'{"batchItemFailures": null}', set()),
        (b'{"other": 1}', set()),
        (b'{"batchItemFailures": [{"itemIdentifier": "b"}]}', {"b"}),
        (b'{"batchItemFailures": [{"itemIdentifier": ""}]}', {"a", "b"}),
        (b'{"batchItemFailures": [{"itemIdentifier": null}]}', {"a", "b"}),
        (b'{"batchItemFailures": [{"id": "b"}]}', {"a", "b"}),
        (b'{"batchItemFailures": [{"itemIdentifier": "c"}]}', {"a", "b"}),
        (b'{"batchItemFailures": ["b"]}', {"a", "b"}),
        (b'{"batchItemFailures": 3}', {"a", "b"}),
        (b'"done"', {"a", "b"}),
        (b"not json", {"a", "b"}),
    ],
)
def test_which_messages_of_a_batch_stay(answer: bytes, failed: set[str]) -> None:
    assert failed_ids(Result(answer), ["a", "b"], reports_item_failures=True) == failed
    # Without ReportBatchItemFailures the answer says nothing; an error always fails the batch.
    assert failed_ids(Result(answer), ["a", "b"], reports_item_failures=False) == set()
    error = Result(answer, is_error=True)
    assert failed_ids(error, ["a", "b"], reports_item_failures=True) == {"a", "b"}


def test_a_record_has_the_real_shape() -> None:
    source = QueueSource("arn:aws:sqs:us-east-1:123456789012:q", 10, 0, True)
    message = {
        "MessageId": "m",
        "ReceiptHandle": "r",
        "Body": "{}",
        "MD5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
        "Attributes": {"ApproximateReceiveCount": "1"},
        "MessageAttributes": {"k": {"StringValue": "v", "DataType": "String"}},
    }
    assert build_event([message], source) == {  # type: ignore[list-item]
        "Records": [
            {
                "messageId": "m",
                "receiptHandle": "r",
                "body": "{}",
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {
                    "k": {
                        "stringValue": "v",
                        "stringListValues": [],
                        "binaryListValues": [],
                        "dataType": "String",
                    }
                },
                "md5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:q",
                "awsRegion": "us-east-1",
            }
        ]
    }
