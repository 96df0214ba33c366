"""The local Lambda service with small functions: AWS's runtime client, URLs, queue and events."""

import base64
import json
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any, TypeVar

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.local.clients import LocalAws
from infra.local.cloudformation import Deployment
from infra.local.guardian import Guardian
from infra.local.parts import Part, RunningPart
from infra.local.ports import choose_ports
from infra.local.resources import create_resources
from infra.local.template import Stack, read_template

T = TypeVar("T")

DEADLINE_S = 20.0
TEMPLATE = """
    Globals:
      Function: {CodeUri: ., Timeout: 10}
    Resources:
      EchoFunction:
        Type: AWS::Serverless::Function
        Properties:
          Handler: fns.echo.handler
          Timeout: 2
          Environment: {Variables: {OWN: !Ref Inbox}}
          LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: INFO}
          FunctionUrlConfig: {AuthType: NONE}
      BrowserFunction:
        Type: AWS::Serverless::Function
        Properties:
          Handler: fns.echo.handler
          FunctionUrlConfig:
            AuthType: NONE
            Cors: {AllowOrigins: ["https://a.example"], AllowMethods: [POST]}
      SlowFunction:
        Type: AWS::Serverless::Function
        Properties:
          Handler: fns.echo.slow
          FunctionUrlConfig: {AuthType: NONE}
      BrokenFunction:
        Type: AWS::Serverless::Function
        Properties: {Handler: fns.missing.handler}
      RestoredFunction:
        Type: AWS::Serverless::Function
        Properties: {Handler: fns.restored.handler, SnapStart: {ApplyOn: PublishedVersions}}
      BatchFunction:
        Type: AWS::Serverless::Function
        Properties:
          Handler: fns.batch.handler
          Environment: {Variables: {SEEN: !Ref Seen}}
          Events:
            Inbox:
              Type: SQS
              Properties:
                Queue: !GetAtt Inbox.Arn
                BatchSize: 11
                MaximumBatchingWindowInSeconds: 1
                FunctionResponseTypes: [ReportBatchItemFailures]
      ChangedFunction:
        Type: AWS::Serverless::Function
        Properties:
          Handler: fns.batch.record
          Environment: {Variables: {SEEN: !Ref Seen}}
          Events:
            Changed:
              Type: EventBridgeRule
              Properties:
                Pattern: {source: [aws.ssm], detail: {name: [{prefix: /app/}]}}
      Inbox:
        Type: AWS::SQS::Queue
        Properties:
          VisibilityTimeout: 3
          RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 2}
      Dead: {Type: AWS::SQS::Queue}
      Seen: {Type: AWS::S3::Bucket}
"""
ECHO = """
    import json, os, time

    def handler(event, context):
        if event.get("headers", {}).get("content-type") != "application/json":
            return {"statusCode": 200, "body": json.dumps(event)}
        do = json.loads(event["body"])
        print(do.get("say", "working"))
        time.sleep(do.get("sleep", 0))
        if do.get("crash"):
            os._exit(3)
        if do.get("raise"):
            raise ValueError(do["raise"])
        if "answer" in do:
            return do["answer"]
        if "size" in do:
            return "x" * do["size"]
        about = {
            "env": dict(os.environ),
            "cwd": os.getcwd(),
            "pid": os.getpid(),
            "request_id": context.aws_request_id,
            "arn": context.invoked_function_arn,
            "memory": context.memory_limit_in_mb,
            "left_ms": context.get_remaining_time_in_millis(),
            "event": event,
        }
        return {"statusCode": 200, "body": json.dumps(about)}

    def slow(event, context):
        time.sleep(1)
        return {"statusCode": 200, "body": str(os.getpid())}
"""
BATCH = """
    import json, os, uuid
    import boto3

    s3 = boto3.client("s3")

    def record(event, context):
        key = f"{context.function_name.rpartition('-')[2]}/{uuid.uuid4()}"
        s3.put_object(Bucket=os.environ["SEEN"], Key=key, Body=json.dumps(event))

    def handler(event, context):
        record(event, context)
        bad = [r["messageId"] for r in event["Records"] if r["body"] == "bad"]
        return {"batchItemFailures": [{"itemIdentifier": i} for i in bad]}
"""
RESTORED = """
    from snapshot_restore_py import register_after_restore, register_before_snapshot

    happened = []
    register_before_snapshot(lambda: happened.append("snapshot"))
    register_after_restore(lambda: happened.append("restore"))

    def handler(event, context):
        return happened
"""


@dataclass
class Service:
    """A running service, and the lines that its functions wrote."""

    stack: Stack
    aws: LocalAws
    url: str
    urls: dict[str, str]
    lines: list[tuple[str, str]] = field(default_factory=list)

    def invoke(self, name: str, payload: Any = None, **headers: str) -> httpx.Response:
        return httpx.post(
            f"{self.url}/2015-03-31/functions/{name}/invocations",
            content=b"" if payload is None else json.dumps(payload),
            headers=headers,
            timeout=DEADLINE_S,
        )

    def call(self, name: str, do: Any, **options: Any) -> httpx.Response:
        return httpx.post(self.urls[name], json=do, timeout=DEADLINE_S, **options)

    def seen_by(self, name: str) -> list[dict[str, Any]]:
        s3, bucket = self.aws.s3(), self.stack.buckets[0].name
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{name}/").get("Contents", [])
        bodies = [s3.get_object(Bucket=bucket, Key=item["Key"])["Body"] for item in listed]
        return [json.loads(body.read()) for body in bodies]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("app")
    (root / "fns").mkdir()
    for name, code in {"echo": ECHO, "batch": BATCH, "restored": RESTORED}.items():
        (root / "fns" / f"{name}.py").write_text(dedent(code))
    template = root / "template.yaml"
    template.write_text(dedent(TEMPLATE))
    names = ["EchoFunction", "BrowserFunction", "SlowFunction"]
    ports = choose_ports(dict.fromkeys(["aws", "lambda", *names], 0))
    urls = {name: f"http://127.0.0.1:{ports[name]}/" for name in names}
    aws_url, url = (f"http://127.0.0.1:{ports[name]}" for name in ("aws", "lambda"))
    stack = read_template(template, Deployment(aws_url, urls, stack_name="t"))
    running = Service(stack, LocalAws(aws_url, "us-east-1"), url, urls)

    with ExitStack() as cleanup:
        guardian = Guardian()
        cleanup.callback(guardian.close)

        def launch(name: str, *arguments: str, ports: list[int]) -> None:
            part = RunningPart(
                Part(name, arguments, ports, tagged=True),
                root=Path(__file__).parents[2],
                guardian=guardian,
                on_line=lambda *line: running.lines.append(line),
            )
            cleanup.callback(part.wait_stopped)
            cleanup.callback(part.ask_to_stop)
            part.wait_ready()

        bus = f"{url}/event-bus"
        launch(
            "aws", "infra.local.aws", f"--port={ports['aws']}", "--event-bus", bus,
            ports=[ports["aws"]],
        )  # fmt: skip
        create_resources(stack, running.aws)
        launch(
            "lambda", "infra.local.lambdas", f"--template={template}", f"--port={ports['lambda']}",
            f"--aws-url={aws_url}", "--stack-name=t", "--queue-wait=1.5",
            *(f"--url={name}={ports[name]}" for name in names),
            ports=[ports[name] for name in ("lambda", *names)],
        )  # fmt: skip
        httpx.get(f"{url}/warm", timeout=DEADLINE_S)
        yield running


def eventually(look: Callable[[], T], until: Callable[[T], bool]) -> T:
    deadline = time.monotonic() + DEADLINE_S
    while not until(value := look()):
        assert time.monotonic() < deadline, f"still {value!r}"
        time.sleep(0.05)
    return value


def test_a_url_round_trip_with_cookies_and_binary(service: Service) -> None:
    answer = service.call(
        "EchoFunction",
        {
            "answer": {
                "statusCode": 201,
                "headers": {"X-Own": "1", "content-type": "image/png"},
                "cookies": ["a=1", "b=2"],
                "body": base64.b64encode(b"\x89PNG\x00").decode(),
                "isBase64Encoded": True,
            }
        },
    )
    assert (answer.status_code, answer.content) == (201, b"\x89PNG\x00")
    assert answer.headers["x-own"] == "1"
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_a_request_reaches_the_function_as_it_was_sent(service: Service) -> None:
    answer = httpx.put(
        f"{service.urls['EchoFunction']}v1/a%2Fb?x=1&x=2",
        content=b"\xff\x00",
        headers={"cookie": "c=1; d=2"},
    )
    event = answer.json()
    assert event["rawPath"] == "/v1/a%2Fb"
    assert event["queryStringParameters"] == {"x": "1,2"}
    assert event["cookies"] == ["c=1", "d=2"]
    assert event["requestContext"]["http"]["method"] == "PUT"
    assert event["isBase64Encoded"]
    assert base64.b64decode(event["body"]) == b"\xff\x00"
    assert event["requestContext"]["requestId"] == answer.headers["x-amzn-requestid"]


def test_a_function_lives_in_lambdas_environment(service: Service) -> None:
    about = service.call("EchoFunction", {}).json()
    env = about["env"]
    assert env["OWN"] == service.stack.queues[0].url
    assert env["AWS_ENDPOINT_URL"] == service.aws.url
    assert env["AWS_LAMBDA_FUNCTION_NAME"] == "t-EchoFunction"
    assert env["AWS_LAMBDA_LOG_FORMAT"] == "JSON"
    assert env["TZ"] == ":UTC"
    assert env["LAMBDA_TASK_ROOT"] == about["cwd"]
    # Nothing of the developer's own environment, where credentials of a real account may be.
    assert "HOME" not in env
    assert (about["arn"], about["memory"]) == (service.stack.function("EchoFunction").arn, "128")
    assert 0 < about["left_ms"] <= 2000
    assert about["request_id"] == about["event"]["requestContext"]["requestId"]


@pytest.mark.parametrize(
    ("do", "logged"),
    [
        ({"raise": "on purpose"}, "on purpose"),
        ({"crash": True}, "Runtime exited with error: exit status 3"),
        ({"sleep": 30}, "Task timed out after 2.00 seconds"),
        ({"answer": {"statusCode": "x"}}, None),
    ],
)
def test_a_function_that_fails_is_a_bad_gateway_and_comes_back(
    service: Service, do: Any, logged: str | None
) -> None:
    failed = service.call("EchoFunction", do)
    assert (failed.status_code, failed.text) == (502, "Internal Server Error")
    if logged is not None:
        eventually(
            lambda: [line for source, line in service.lines if source == "echo"],
            lambda lines: any(logged in line for line in lines),
        )
    assert service.call("EchoFunction", {}).status_code == 200


def test_a_warm_call_is_not_held_up_by_nagles_algorithm(service: Service) -> None:
    took_s = []
    with httpx.Client() as client:
        for _ in range(15):
            began = time.perf_counter()
            assert client.get(service.urls["EchoFunction"]).status_code == 200
            took_s.append(time.perf_counter() - began)
    # Two milliseconds on an idle machine; a delayed acknowledgement alone would be 40.
    assert statistics.median(took_s) < 0.03


def test_one_worker_has_one_call_and_two_have_two(service: Service) -> None:
    url = service.urls["SlowFunction"]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: httpx.get(url, timeout=DEADLINE_S), range(6)))
    good = [answer.text for answer in answers if answer.status_code == 200]
    # Two workers of 1 s each, and nobody waits over 1.5 s for one: the third round is refused.
    assert 3 <= len(good) <= 4
    assert len(set(good)) == 2
    throttled = [answer for answer in answers if answer.status_code == 429]
    assert len(throttled) == 6 - len(good)
    assert throttled[0].json() == {"Message": "Rate Exceeded."}


def test_a_call_that_waits_survives_the_crash_of_every_worker(service: Service) -> None:
    crash = {"say": "both busy", "sleep": 0.9, "crash": True}
    with ThreadPoolExecutor(3) as pool:
        crashing = [pool.submit(service.call, "EchoFunction", crash) for _ in range(2)]
        eventually(lambda: service.lines.count(("echo", "both busy")), lambda count: count == 2)
        waiting = pool.submit(service.call, "EchoFunction", {})
        assert [call.result().status_code for call in crashing] == [502, 502]
        assert waiting.result().status_code == 200


def test_bodies_over_six_megabytes_are_refused_both_ways(service: Service) -> None:
    url = service.urls["EchoFunction"]
    assert httpx.post(url, content=b"x" * (6 * 1024 * 1024 + 1)).status_code == 413
    # In base64 it is a third longer than it came.
    assert httpx.post(url, content=b"x" * (5 * 1024 * 1024)).status_code == 413
    assert service.call("EchoFunction", {"size": 6 * 1024 * 1024 + 200}).status_code == 502
    assert service.call("EchoFunction", {"size": 6 * 1024 * 1024 - 2}).status_code == 200


def test_cors_is_answered_by_the_url_itself(service: Service) -> None:
    url = service.urls["BrowserFunction"]
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    preflight = httpx.options(url, headers=asked)
    assert preflight.status_code == 200
    assert preflight.content == b""
    assert preflight.headers["access-control-allow-origin"] == "https://a.example"
    assert preflight.headers["access-control-allow-methods"] == "POST"
    answer = httpx.get(url, headers={"Origin": "https://a.example"})
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert answer.json()["rawPath"] == "/"
    assert "access-control-allow-origin" not in httpx.get(url, headers={"Origin": "null"}).headers
    # Without CORS settings an OPTIONS request is the function's.
    assert httpx.options(service.urls["EchoFunction"], headers=asked).json()["version"] == "2.0"


def test_invoke_is_lambdas_own_api(service: Service) -> None:
    client = boto3.client(
        "lambda",
        endpoint_url=service.url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )
    answer = client.invoke(FunctionName="RestoredFunction", Payload=b"{}")
    assert json.loads(answer["Payload"].read()) == ["snapshot", "restore"]
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    broken = client.invoke(FunctionName="t-BrokenFunction")
    assert broken["FunctionError"] == "Unhandled"
    assert json.loads(broken["Payload"].read())["errorType"] == "Runtime.ImportModuleError"
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName="Nobody")
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName="RestoredFunction", Payload=b"{")


def test_a_batch_partly_fails_and_its_rest_ends_in_the_dead_letter_queue(service: Service) -> None:
    sqs, (inbox, dead) = service.aws.sqs(), service.stack.queues
    sqs.send_message(
        QueueUrl=inbox.url,
        MessageBody="good",
        MessageAttributes={"kind": {"DataType": "String", "StringValue": "late"}},
    )
    sqs.send_message_batch(
        QueueUrl=inbox.url,
        Entries=[{"Id": str(n), "MessageBody": "bad" if n == 3 else "good"} for n in range(10)],
    )

    def dead_letters() -> list[Any]:
        return sqs.receive_message(QueueUrl=dead.url, VisibilityTimeout=0).get("Messages", [])

    (letter,) = eventually(dead_letters, lambda letters: len(letters) == 1)
    assert letter["Body"] == "bad"

    batches = [event["Records"] for event in service.seen_by("BatchFunction")]
    # The window put eleven messages, more than one receive answers, into one batch.
    assert sorted(len(batch) for batch in batches) == [1, 11]
    again, first = sorted(batches, key=len)
    assert [record["body"] for record in again] == ["bad"]
    assert again[0]["attributes"]["ApproximateReceiveCount"] == "2"
    assert {record["eventSourceARN"] for record in first} == {inbox.arn}
    assert next(r["messageAttributes"] for r in first if r["messageAttributes"])["kind"] == {
        "stringValue": "late",
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "String",
    }
    counts = sqs.get_queue_attributes(QueueUrl=inbox.url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == "0"
    assert counts["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_a_parameter_change_reaches_the_function_with_the_matching_rule(service: Service) -> None:
    ssm = service.aws.ssm()
    ssm.put_parameter(Name="/other/x", Value="1", Type="String")
    ssm.put_parameter(Name="/app/x", Value="1", Type="String")
    ssm.put_parameter(Name="/app/x", Value="2", Overwrite=True)
    with pytest.raises(ClientError):
        ssm.put_parameter(Name="/app/x", Value="3", Type="String")
    ssm.delete_parameter(Name="/app/x")
    events = eventually(lambda: service.seen_by("ChangedFunction"), lambda seen: len(seen) >= 3)
    changes = sorted((e["detail"]["operation"], e["detail"]["name"]) for e in events)
    assert changes == [("Create", "/app/x"), ("Delete", "/app/x"), ("Update", "/app/x")]


def test_an_asynchronous_invocation_is_answered_at_once(service: Service) -> None:
    event = {"detail": {"operation": "Direct"}}
    headers = {"x-amz-invocation-type": "Event"}
    assert service.invoke("ChangedFunction", event, **headers).status_code == 202
    eventually(lambda: service.seen_by("ChangedFunction"), lambda seen: event in seen)
