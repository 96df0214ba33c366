"""What the local cloud reads from a CloudFormation template."""

from pathlib import Path
from textwrap import dedent

import pytest

from infra.local.cloudformation import Deployment, Resolver, TemplateError, load
from infra.local.template import (
    Cors,
    Function,
    QueueSource,
    Schedule,
    function_url_ids,
    read_template,
    short_name,
)

ROOT = Path(__file__).parents[2]
AWS = "http://127.0.0.1:9"
TEMPLATE = """
    Parameters:
      Stage: {Type: String, Default: dev}
      Reserved: {Type: Number, Default: 0}
    Mappings:
      Sizes:
        dev: {Memory: 256}
        prod: {Memory: 1024}
    Conditions:
      IsProd: !Equals [!Ref Stage, prod]
      IsReserved: !Not [!Equals [!Ref Reserved, 0]]
      Both: !And [!Condition IsProd, !Condition IsReserved]
    Globals:
      Function:
        Timeout: 7
        MemorySize: !FindInMap [Sizes, !Ref Stage, Memory]
        LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: INFO}
        Environment:
          Variables:
            PREFIX: !Sub /app/${Stage}
            SHARED: global
    Resources:
      ReadFunction:
        Type: AWS::Serverless::Function
        Properties:
          Handler: package.read.handler
          CodeUri: package
          ReservedConcurrentExecutions: !If [IsReserved, !Ref Reserved, !Ref AWS::NoValue]
          LoggingConfig: {LogGroup: !Ref Group}
          Environment:
            Variables:
              SHARED: own
              QUEUE: !Ref Inbox
              PAGE: !GetAtt PageFunctionUrl.FunctionUrl
              BUCKET: !Ref Archive
              JOINED: !Join ["-", [a, !Select [1, !Split [",", "x,y"]]]]
              NESTED: !Sub ["${Name}/${Inbox.Arn}/${!Kept}", {Name: !Ref AWS::Region}]
          Events:
            Batch:
              Type: SQS
              Properties:
                Queue: !GetAtt Inbox.Arn
                BatchSize: 25
                MaximumBatchingWindowInSeconds: 3
                FunctionResponseTypes: [ReportBatchItemFailures]
            Changed:
              Type: EventBridgeRule
              Properties:
                Pattern: {source: [aws.ssm], detail: {name: [{prefix: !Sub "/app/${Stage}/"}]}}
            Often: {Type: Schedule, Properties: {Schedule: "rate(5 minutes)", Input: '{"a":1}'}}
            Never: {Type: Schedule, Properties: {Schedule: rate(1 day), Enabled: false}}
      PageFunction:
        Type: AWS::Serverless::Function
        Properties:
          Handler: page.handler
          FunctionName: !Sub page-${Stage}
          MemorySize: 128
          SnapStart: {ApplyOn: PublishedVersions}
          FunctionUrlConfig:
            AuthType: NONE
            Cors:
              AllowOrigins: ["https://a.example"]
              AllowMethods: [GET, POST]
              AllowHeaders: [content-type]
              MaxAge: 60
              AllowCredentials: true
      OnlyProd:
        Type: AWS::Serverless::Function
        Condition: IsProd
        Properties: {Handler: page.handler, Timeout: 20}
      Inbox:
        Type: AWS::SQS::Queue
        Properties:
          VisibilityTimeout: 42
          RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 2}
      Dead: {Type: AWS::SQS::Queue}
      Archive: {Type: AWS::S3::Bucket}
      Group: {Type: AWS::Logs::LogGroup}
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    package = tmp_path / "package"
    package.mkdir()
    (package / "read.py").write_text("")
    path = tmp_path / "template.yaml"
    path.write_text(dedent(TEMPLATE))
    return path


def deployment(**parameters: str) -> Deployment:
    return Deployment(
        aws_url=AWS,
        function_urls={"PageFunction": "http://127.0.0.1:8/"},
        stack_name="app",
        parameters=parameters,
    )


def function(template: Path, logical_id: str, **parameters: str) -> Function:
    return read_template(template, deployment(**parameters)).function(logical_id)


def test_references_become_local_addresses(template: Path) -> None:
    assert function(template, "ReadFunction").environment == {
        "PREFIX": "/app/dev",
        "SHARED": "own",
        "QUEUE": f"{AWS}/123456789012/app-Inbox",
        "PAGE": "http://127.0.0.1:8/",
        "BUCKET": "app-archive",
        "JOINED": "a-y",
        "NESTED": "us-east-1/arn:aws:sqs:us-east-1:123456789012:app-Inbox/${Kept}",
    }


def test_globals_are_merged_and_overridden(template: Path) -> None:
    read, page = function(template, "ReadFunction"), function(template, "PageFunction")
    assert (read.timeout_s, read.memory_mb) == (7, 256)
    assert (page.timeout_s, page.memory_mb) == (7, 128)
    assert (read.json_logs, read.log_level) == (True, "INFO")
    assert page.environment == {"PREFIX": "/app/dev", "SHARED": "global"}


def test_parameters_and_conditions_decide(template: Path) -> None:
    assert [f.logical_id for f in read_template(template, deployment()).functions] == [
        "ReadFunction",
        "PageFunction",
    ]
    prod = read_template(template, deployment(Stage="prod", Reserved="3"))
    assert prod.function("OnlyProd").timeout_s == 20
    assert prod.function("ReadFunction").memory_mb == 1024
    assert prod.function("ReadFunction").concurrency_max == 3
    assert function(template, "ReadFunction").concurrency_max is None
    resolver = Resolver(load(template), deployment(Stage="prod"))
    assert resolver.holds("IsProd")
    assert not resolver.holds("Both")


def test_event_sources_are_read(template: Path) -> None:
    read = function(template, "ReadFunction")
    assert read.queues == (
        QueueSource("arn:aws:sqs:us-east-1:123456789012:app-Inbox", 25, 3, True),
    )
    assert [rule.pattern for rule in read.rules] == [
        {"source": ["aws.ssm"], "detail": {"name": [{"prefix": "/app/dev/"}]}}
    ]
    assert read.schedules == (Schedule("ReadFunctionOften", 300, '{"a":1}'),)


def test_a_functions_url_and_names(template: Path) -> None:
    page = function(template, "page-dev")
    assert page.logical_id == "PageFunction"
    assert page.arn == "arn:aws:lambda:us-east-1:123456789012:function:page-dev"
    assert page.snap_start
    assert page.url is not None
    assert page.url.cors == Cors(
        allow_origins=("https://a.example",),
        allow_methods=("GET", "POST"),
        allow_headers=("content-type",),
        allow_credentials=True,
        max_age_s=60,
    )
    assert function(template, "ReadFunction").url is None
    assert function_url_ids(template) == ("PageFunction",)


def test_the_task_root_is_where_the_handler_can_be_imported(template: Path) -> None:
    assert function(template, "ReadFunction").task_root == template.parent


def test_queues_and_buckets(template: Path) -> None:
    stack = read_template(template, deployment())
    inbox, dead = stack.queues
    assert inbox.attributes == {
        "VisibilityTimeout": 42,
        "RedrivePolicy": {"deadLetterTargetArn": dead.arn, "maxReceiveCount": 2},
    }
    assert (inbox.dead_letter_arn, dead.dead_letter_arn) == (dead.arn, None)
    assert [bucket.name for bucket in stack.buckets] == ["app-archive"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("QUEUE: !Ref Missing", "no resource or parameter Missing"),
        ("QUEUE: !GetAtt Group.Arn", r"Group.Arn \(AWS::Logs::LogGroup\)"),
        ("QUEUE: !Base64 x", "Fn::Base64"),
    ],
)
def test_what_cannot_be_resolved_is_named(template: Path, broken: str, message: str) -> None:
    template.write_text(template.read_text().replace("QUEUE: !Ref Inbox", broken))
    with pytest.raises(TemplateError, match=message):
        read_template(template, deployment())


def test_unknown_parameters_schedules_and_files_are_refused(template: Path) -> None:
    with pytest.raises(TemplateError, match="no parameter Stag"):
        read_template(template, deployment(Stag="x"))
    template.write_text(template.read_text().replace("rate(5 minutes)", "cron(0 0 * * ? *)"))
    with pytest.raises(TemplateError, match="only rate"):
        read_template(template, deployment())
    template.write_text("a: 1\n")
    with pytest.raises(TemplateError, match="no Resources"):
        read_template(template, deployment())


def test_the_products_template_runs_here() -> None:
    path = ROOT / "template.yaml"
    urls = {name: f"http://127.0.0.1:1/{name}/" for name in function_url_ids(path)}
    stack = read_template(path, Deployment(aws_url=AWS, function_urls=urls))
    names = {short_name(f.logical_id) for f in stack.functions}
    assert {"intercept", "log_usage", "stripe_webhook", "upgrade_page", "sync_config"} <= names
    for item in stack.functions:
        assert item.task_root == ROOT
        module = ROOT.joinpath(*item.handler.split(".")[:-1]).with_suffix(".py")
        assert module.is_file(), f"{item.logical_id} has no code at {module}"
    (source,) = stack.function("LogUsageFunction").queues
    assert source.reports_item_failures
    assert stack.function("SyncConfigFunction").rules
