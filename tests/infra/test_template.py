"""What must hold of the stack, read from template.yaml and from what SAM makes of it."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tollkeeper_core.services import stripe_events

from infra.setup.stripe_endpoint import EVENTS
from infra.setup.upgrade import own_version
from tests.infra.conftest import ROOT, TEMPLATE, sam, translate

FUNCTIONS = {
    "InterceptFunction": "intercept",
    "LogUsageFunction": "log_usage",
    "StripeWebhookFunction": "stripe_webhook",
    "UpgradePageFunction": "upgrade_page",
    "SyncConfigFunction": "sync_config",
    "ReconcileFunction": "reconcile",
    "AutoTopUpFunction": "auto_topup",
}
WITH_URL = ("InterceptFunction", "StripeWebhookFunction", "UpgradePageFunction")
FOURTEEN_DAYS_S = 14 * 86_400

Resources = dict[str, Any]


def of_type(resources: Resources, kind: str) -> dict[str, Any]:
    return {name: item for name, item in resources.items() if item["Type"] == kind}


def properties(resources: Resources, name: str) -> dict[str, Any]:
    found: dict[str, Any] = resources[name]["Properties"]
    return found


def merged(template: dict[str, Any], name: str, key: str) -> dict[str, Any]:
    """A map of a function's, with that of Globals below it, as SAM merges them."""
    globals_ = template["Globals"]["Function"].get(key, {})
    own = properties(template["Resources"], name).get(key, {})
    if key == "Environment":
        return {**globals_["Variables"], **own.get("Variables", {})}
    return {**globals_, **own}


def test_sam_finds_nothing_to_object_to() -> None:
    assert "is a valid SAM Template" in sam("validate", "--lint")


def test_there_are_the_functions_that_have_code_and_no_others(resources: Resources) -> None:
    declared = of_type(resources, "AWS::Serverless::Function")
    coded = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}

    assert set(declared) == set(FUNCTIONS)
    assert coded == set(FUNCTIONS.values())
    for name, folder in FUNCTIONS.items():
        assert properties(resources, name)["Handler"] == f"functions.{folder}.app.handler"
        assert resources[name]["Metadata"]["BuildMethod"] == "makefile"


def test_everything_runs_on_arm_with_the_layers_python(
    template: dict[str, Any], resources: Resources
) -> None:
    function = template["Globals"]["Function"]
    layer = properties(resources, "CoreLayer")

    assert function["Runtime"] == "python3.13"
    assert function["Architectures"] == layer["CompatibleArchitectures"] == ["arm64"]
    assert layer["CompatibleRuntimes"] == ["python3.13"]
    makefile = (ROOT / "layers" / "core" / "Makefile").read_text()
    assert "LAYER_PLATFORM ?= manylinux2014_aarch64" in makefile
    assert "LAYER_PYTHON_VERSION ?= 3.13" in makefile


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("InterceptFunction", 10),
        ("UpgradePageFunction", 15),
        ("StripeWebhookFunction", 30),
        ("LogUsageFunction", 60),
        ("SyncConfigFunction", 60),
        ("ReconcileFunction", 900),
        ("AutoTopUpFunction", 30),
    ],
)
def test_each_function_has_its_time(resources: Resources, name: str, seconds: int) -> None:
    assert properties(resources, name)["Timeout"] == seconds


def test_a_slow_batch_does_not_come_again_while_it_is_settled(resources: Resources) -> None:
    queue = properties(resources, "UsageQueue")
    consumer = properties(resources, "LogUsageFunction")
    window_s = consumer["Events"]["Usage"]["Properties"]["MaximumBatchingWindowInSeconds"]

    # docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    assert queue["VisibilityTimeout"] >= 6 * consumer["Timeout"] + window_s - 1


def test_a_top_up_does_not_come_again_while_it_is_charged(resources: Resources) -> None:
    queue = properties(resources, "TopUpQueue")
    consumer = properties(resources, "AutoTopUpFunction")
    source = consumer["Events"]["RunningLow"]["Properties"]

    assert queue["VisibilityTimeout"] >= 6 * consumer["Timeout"]
    assert source["Queue"] == {"Fn::GetAtt": ["TopUpQueue", "Arn"]}
    assert source["BatchSize"] == 1
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


@pytest.mark.parametrize("kind", ["Usage", "TopUp"])
def test_what_is_queued_is_never_dropped(resources: Resources, kind: str) -> None:
    queue = properties(resources, f"{kind}Queue")
    dead = properties(resources, f"{kind}DeadLetterQueue")

    assert queue["RedrivePolicy"]["maxReceiveCount"] >= 5
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {
        "Fn::GetAtt": [f"{kind}DeadLetterQueue", "Arn"]
    }
    for each in (queue, dead):
        assert each["MessageRetentionPeriod"] == FOURTEEN_DAYS_S
        assert each["SqsManagedSseEnabled"] is True


def test_one_bad_event_does_not_repeat_its_batch(resources: Resources) -> None:
    source = properties(resources, "LogUsageFunction")["Events"]["Usage"]["Properties"]

    assert source["Queue"] == {"Fn::GetAtt": ["UsageQueue", "Arn"]}
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    # 25 at a time settle eight times as fast as one by one, and more (docs/bench/ledger.md).
    assert source["BatchSize"] == 25
    assert source["MaximumBatchingWindowInSeconds"] == 1
    assert source["ScalingConfig"]["MaximumConcurrency"] >= 2


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_logs_json_to_a_group_that_forgets(
    template: dict[str, Any], resources: Resources, name: str
) -> None:
    logging = merged(template, name, "LoggingConfig")
    group = properties(resources, logging["LogGroup"]["Ref"])

    assert logging["LogFormat"] == "JSON"
    assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert group["LogGroupName"] == {"Fn::Sub": f"/tollkeeper/${{Stage}}/{FUNCTIONS[name]}"}


def test_no_log_group_is_shared_or_left_over(
    template: dict[str, Any], resources: Resources
) -> None:
    used = [merged(template, name, "LoggingConfig")["LogGroup"]["Ref"] for name in FUNCTIONS]

    assert sorted(used) == sorted(of_type(resources, "AWS::Logs::LogGroup"))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_environment_is_whole(template: dict[str, Any], name: str) -> None:
    environment = merged(template, name, "Environment")

    common = {
        "TOLLKEEPER_PREFIX": {"Fn::Sub": "/tollkeeper/${Stage}"},
        "POWERTOOLS_METRICS_NAMESPACE": {"Fn::Sub": "Tollkeeper/${Stage}"},
        "POWERTOOLS_SERVICE_NAME": FUNCTIONS[name],
        "LOG_LEVEL": "INFO",
    }
    own = {
        "InterceptFunction": {
            "USAGE_QUEUE_URL": {"Ref": "UsageQueue"},
            "UPGRADE_PAGE_URL": {"Fn::GetAtt": ["UpgradePageFunctionUrl", "FunctionUrl"]},
        },
        "LogUsageFunction": {
            "ARCHIVE_BUCKET": {"Ref": "ArchiveBucket"},
            "EVENT_BUS": "default",
            "TOP_UP_QUEUE_URL": {"Ref": "TopUpQueue"},
        },
        "UpgradePageFunction": {
            "ARCHIVE_BUCKET": {"Ref": "ArchiveBucket"},
            "USAGE_QUEUE_URL": {"Ref": "UsageQueue"},
        },
        "AutoTopUpFunction": {
            "ARCHIVE_BUCKET": {"Ref": "ArchiveBucket"},
            "EVENT_BUS": "default",
        },
        "StripeWebhookFunction": {
            "ARCHIVE_BUCKET": {"Ref": "ArchiveBucket"},
            "EVENT_BUS": "default",
        },
        "ReconcileFunction": {
            "ARCHIVE_BUCKET": {"Ref": "ArchiveBucket"},
            "EVENT_BUS": "default",
        },
        "SyncConfigFunction": {"ARCHIVE_BUCKET": {"Ref": "ArchiveBucket"}},
    }
    assert environment == common | own.get(name, {})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_only_what_is_called_from_outside_has_a_url(resources: Resources, name: str) -> None:
    # Its callers cannot sign for IAM; each is known by a key, a signature or a signed link. None
    # of the three is read by another origin's page, hence no CORS.
    url = properties(resources, name).get("FunctionUrlConfig")

    assert url == ({"AuthType": "NONE"} if name in WITH_URL else None)


@pytest.mark.parametrize("name", WITH_URL)
def test_a_url_has_both_permissions_it_needs(translated: Resources, name: str) -> None:
    """Since October 2025 a function URL needs two (Lambda's guide, "Control access to URLs")."""
    target = properties(translated, f"{name}Url")["TargetFunctionArn"]
    granted = [
        permission["Properties"]
        for permission in of_type(translated, "AWS::Lambda::Permission").values()
        if permission["Properties"]["FunctionName"] == target
    ]

    assert {
        "Action": "lambda:InvokeFunctionUrl",
        "FunctionName": target,
        "Principal": "*",
        "FunctionUrlAuthType": "NONE",
    } in granted
    assert {
        "Action": "lambda:InvokeFunction",
        "FunctionName": target,
        "Principal": "*",
        "InvokedViaFunctionUrl": True,
    } in granted


def statements(translated: Resources) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, policy in of_type(translated, "AWS::IAM::ManagedPolicy").items():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            yield name, statement
    for name, role in of_type(translated, "AWS::IAM::Role").items():
        for policy in role["Properties"].get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_every_action_is_named_and_every_resource_is_narrow(translated: Resources) -> None:
    found = list(statements(translated))

    assert len(found) >= 5
    for name, statement in found:
        assert not [action for action in listed(statement["Action"]) if "*" in action], name
        if statement["Sid"] != "WriteTraces":  # X-Ray has no resources to name
            assert "*" not in listed(statement["Resource"]), name


def test_a_wildcard_says_why() -> None:
    lines = TEMPLATE.read_text().splitlines()
    wild = [
        number
        for number, line in enumerate(lines)
        if re.search(r"(Resource|Action|Principal|-)[^#]*[/:\s\"]\*\"?$", line)
    ]

    assert len(wild) >= 6
    for number in wild:
        assert any("# " in line for line in lines[max(0, number - 5) : number]), lines[number]


def actions_of(translated: Resources, role: str) -> set[str]:
    """What the stack's own policies let a role do."""
    policies = properties(translated, role).get("ManagedPolicyArns", [])
    attached = {policy["Ref"] for policy in policies if isinstance(policy, dict)}
    return {
        action
        for name, statement in statements(translated)
        if name == role or name in attached
        for action in listed(statement["Action"])
    }


READ = {"ssm:GetParameters", "ssm:GetParametersByPath", "kms:Decrypt"}


@pytest.mark.parametrize(
    ("role", "actions"),
    [
        ("InterceptFunctionRole", READ | {"sqs:SendMessage"}),
        (
            "LogUsageRole",
            READ
            | {"s3:PutObject", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
            | {"events:PutEvents", "logs:CreateLogStream", "logs:PutLogEvents"}
            | {"xray:PutTraceSegments", "xray:PutTelemetryRecords", "sqs:SendMessage"},
        ),
        (
            "AutoTopUpRole",
            READ
            | {"s3:PutObject", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
            | {"logs:CreateLogStream", "logs:PutLogEvents", "events:PutEvents"}
            | {"xray:PutTraceSegments", "xray:PutTelemetryRecords"},
        ),
        ("StripeWebhookFunctionRole", READ | {"s3:PutObject", "events:PutEvents"}),
        ("UpgradePageFunctionRole", READ | {"s3:PutObject", "sqs:SendMessage"}),
        ("ReconcileFunctionRole", READ | {"s3:PutObject", "events:PutEvents"}),
        ("SyncConfigFunctionRole", READ | {"s3:ListBucket"}),
    ],
)
def test_a_function_may_do_what_it_does(
    translated: Resources, role: str, actions: set[str]
) -> None:
    assert actions_of(translated, role) == actions


def test_the_only_policies_of_awss_own_are_for_logs_and_traces(translated: Resources) -> None:
    for name, role in of_type(translated, "AWS::IAM::Role").items():
        for policy in role["Properties"].get("ManagedPolicyArns", []):
            own = isinstance(policy, dict) and "Ref" in policy
            harmless = re.search("AWSLambdaBasicExecutionRole|AWSXrayWriteOnlyAccess", str(policy))
            assert own or harmless, name


def test_secrets_are_decrypted_only_through_parameter_store(resources: Resources) -> None:
    document = properties(resources, "ReadParametersPolicy")["PolicyDocument"]
    (decrypt,) = [s for s in document["Statement"] if s["Action"] == "kms:Decrypt"]

    condition = decrypt["Condition"]
    via = {"Fn::Sub": "ssm.${AWS::Region}.amazonaws.com"}
    assert condition["StringEquals"]["kms:ViaService"] == via
    assert condition["ForAnyValue:StringEquals"]["kms:ResourceAliases"] == "alias/aws/ssm"


def test_the_archive_outlives_the_stack_and_is_private(resources: Resources) -> None:
    bucket = resources["ArchiveBucket"]
    settings = bucket["Properties"]
    (tls,) = properties(resources, "ArchiveBucketPolicy")["PolicyDocument"]["Statement"]

    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    assert settings["VersioningConfiguration"]["Status"] == "Enabled"
    assert settings["BucketEncryption"]
    assert set(settings["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(settings["PublicAccessBlockConfiguration"]) == 4
    assert (tls["Effect"], tls["Condition"]) == (
        "Deny",
        {"Bool": {"aws:SecureTransport": "false"}},
    )
    for rule in settings["LifecycleConfiguration"]["Rules"]:
        # What is current is the record: it never expires.
        assert not {"ExpirationInDays", "ExpirationDate"} & set(rule)


def test_a_changed_parameter_and_the_clock_start_sync_config(resources: Resources) -> None:
    events = properties(resources, "SyncConfigFunction")["Events"]

    assert events["ParameterChanged"]["Properties"]["Pattern"] == {
        "source": ["aws.ssm"],
        "detail-type": ["Parameter Store Change"],
        "detail": {"name": [{"prefix": {"Fn::Sub": "/tollkeeper/${Stage}/"}}]},
    }
    assert events["Heal"]["Properties"]["Schedule"] == "rate(15 minutes)"


def test_money_is_booked_every_hour_and_the_rest_compared_every_day(resources: Resources) -> None:
    events = properties(resources, "ReconcileFunction")["Events"]

    assert events["Daily"]["Properties"]["Schedule"] == "rate(1 day)"
    assert "Input" not in events["Daily"]["Properties"]
    assert events["Hourly"]["Properties"]["Schedule"] == "rate(1 hour)"
    assert json.loads(events["Hourly"]["Properties"]["Input"]) == {"money_hours": 3}


def test_another_layer_publishes_other_versions(translated: Resources) -> None:
    """Or the alias, and so the URL, would go on with the code of the layer before."""
    versions = set(of_type(translated, "AWS::Lambda::Version"))
    after = set(of_type(translate("another"), "AWS::Lambda::Version"))

    assert len(versions) == len(after) == len(FUNCTIONS)
    assert not versions & after


def test_no_parameter_that_may_change_is_part_of_a_version(template: dict[str, Any]) -> None:
    """SAM publishes no version for it: the alias would keep the old value."""
    functions = of_type(template["Resources"], "AWS::Serverless::Function").values()
    published = [item["Properties"] for item in functions]
    changeable = set(template["Parameters"]) - {"Stage"}
    # Of the function, or of its deployment, whatever its versions; and Tracing says so itself.
    apart = {"ReservedConcurrentExecutions", "DeploymentPreference", "Tracing"}

    assert template["Globals"]["Function"]["AutoPublishAlias"] == "live"
    assert all(each["AutoPublishAliasAllProperties"] for each in published)
    for each in [template["Globals"]["Function"], *published]:
        kept = {key: value for key, value in each.items() if key not in apart}
        assert not [name for name in changeable if f"'Ref': '{name}'" in str(kept)]
        assert not [name for name in changeable if f"${{{name}}}" in str(kept)]


CANARIES = {
    "InterceptFunction": "InterceptErrorsAlarm",
    "LogUsageFunction": "LogUsageErrorsAlarm",
    "StripeWebhookFunction": "StripeWebhookErrorsAlarm",
    "UpgradePageFunction": "UpgradePageErrorsAlarm",
}


def test_a_safe_deployment_goes_back_when_the_alias_fails() -> None:
    resources = translate("layer", "SafeDeployments=true")
    groups = of_type(resources, "AWS::CodeDeploy::DeploymentGroup")

    for name, alarm in CANARIES.items():
        group = groups[f"{name}DeploymentGroup"]["Properties"]
        config = group["DeploymentConfigName"]["Fn::Sub"]
        dimensions = {d["Name"]: d["Value"] for d in properties(resources, alarm)["Dimensions"]}
        assert config == [
            "CodeDeployDefault.Lambda${ConfigName}",
            {"ConfigName": "Canary10Percent5Minutes"},
        ]
        assert group["AlarmConfiguration"] == {
            "Enabled": True,
            "Alarms": [{"Name": {"Ref": alarm}}],
        }
        assert group["AutoRollbackConfiguration"]["Enabled"] is True
        assert dimensions["Resource"] == {"Fn::Sub": f"${{{name}}}:live"}
        assert "CodeDeployLambdaAliasUpdate" in resources[f"{name}Aliaslive"]["UpdatePolicy"]


def test_a_deployment_in_dev_is_at_once(translated: Resources) -> None:
    assert not of_type(translated, "AWS::CodeDeploy::DeploymentGroup")


def test_set_up_finds_the_outputs_that_it_reads(template: dict[str, Any]) -> None:
    reader = (ROOT / "infra" / "setup" / "stack.py").read_text()
    read = set(re.findall(r'values\.get\("(\w+)"\)', reader))

    assert len(read) == 4
    assert read <= set(template["Outputs"])


def test_stripe_is_asked_for_every_event_that_is_acted_on() -> None:
    folder = Path(str(stripe_events.__file__)).parent
    text = "".join(path.read_text() for path in folder.glob("*.py"))
    kinds = "checkout|customer|charge|invoice|payment_intent|radar|refund"
    acted_on = set(re.findall(rf'"((?:{kinds})\.[\w.]+)"', text))

    assert len(acted_on) >= 10
    assert acted_on <= set(EVENTS)


def test_the_version_is_that_of_the_project(template: dict[str, Any]) -> None:
    core = tomllib.loads((ROOT / "layers/core/pyproject.toml").read_text())["project"]["version"]
    assert template["Outputs"]["Version"]["Value"] == own_version(ROOT) == core
