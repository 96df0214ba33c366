"""Alarms and dashboard: each watches something that exists, and calls somebody."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from infra.local.cloudformation import load
from tests.infra.conftest import ROOT

MONITORING = ROOT / "infra" / "monitoring" / "template.yaml"
#: A metric of ours: its name, the service that counts it.
Own = tuple[str, str]


@pytest.fixture(scope="module")
def monitoring() -> dict[str, Any]:
    return load(MONITORING)


def alarms(*templates: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: resource["Properties"]
        for template in templates
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def widgets(monitoring: dict[str, Any]) -> list[dict[str, Any]]:
    body = monitoring["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    found: list[dict[str, Any]] = json.loads(body)["widgets"]
    return found


def metrics_of(alarm: dict[str, Any]) -> Iterator[tuple[Any, str, dict[str, Any]]]:
    for one in [
        alarm,
        *(m["MetricStat"]["Metric"] for m in alarm.get("Metrics", []) if "MetricStat" in m),
    ]:
        if "MetricName" in one:
            dimensions = {d["Name"]: d["Value"] for d in one["Dimensions"]}
            yield one["Namespace"], one["MetricName"], dimensions


def counted() -> set[Own]:
    """What the code counts: of a function's own folder its service, of the core any."""
    found = set()
    for path in [*(ROOT / "functions").rglob("*.py"), *(ROOT / "layers/core/src").rglob("*.py")]:
        service = path.relative_to(ROOT).parts[1] if "functions" in path.parts else "*"
        named = re.findall(r'count\(\s*"(\w+)"|Effect\.\w+: "(\w+)"', path.read_text())
        found |= {(one or other, service) for one, other in named}
    return found


def is_counted(metric: Own) -> bool:
    name, service = metric
    return bool({(name, service), (name, "*")} & counted())


def test_every_alarm_calls_somebody(template: dict[str, Any], monitoring: dict[str, Any]) -> None:
    found = alarms(template, monitoring)

    assert len(found) >= 12
    for name, alarm in found.items():
        topics = {"AlarmTopic", "AlarmTopicArn"}
        assert {ref["Ref"] for ref in alarm["AlarmActions"]} <= topics, name
        assert alarm["OKActions"] == alarm["AlarmActions"], name
        assert alarm["TreatMissingData"] == "notBreaching", name


def test_what_must_not_go_unseen_has_an_alarm(
    template: dict[str, Any], monitoring: dict[str, Any]
) -> None:
    watched = {
        metric
        for alarm in alarms(template, monitoring).values()
        for _, metric, _ in metrics_of(alarm)
    }

    assert watched >= {
        *("Errors", "Throttles", "Url5xxCount"),
        *("ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"),
        *("ConfigError", "UnpricedModel", "LedgerUnavailable", "WebhookRejected"),
    }


def test_an_alarm_of_ours_watches_what_the_code_counts(monitoring: dict[str, Any]) -> None:
    own = [
        (metric, dimensions["service"])
        for alarm in alarms(monitoring).values()
        for namespace, metric, dimensions in metrics_of(alarm)
        if namespace == {"Fn::Sub": "Tollkeeper/${Stage}"}
    ]

    assert len(own) >= 6
    assert [metric for metric in own if not is_counted(metric)] == []


def test_the_dashboard_shows_all_that_the_code_counts(monitoring: dict[str, Any]) -> None:
    shown = {
        (metric[1], metric[3])
        for widget in widgets(monitoring)
        for metric in widget["properties"]["metrics"]
        if metric[0] == "Tollkeeper/${Stage}"
    }

    assert [metric for metric in shown if not is_counted(metric)] == []
    assert {name for name, _ in counted()} <= {name for name, _ in shown}


def test_the_dashboard_is_laid_out_without_overlap(monitoring: dict[str, Any]) -> None:
    places = [(w["x"], w["y"]) for w in widgets(monitoring)]

    assert len(places) == len(set(places)) >= 9
    for widget in widgets(monitoring):
        assert widget["x"] + widget["width"] <= 24
        assert widget["properties"]["title"]


def test_monitoring_is_given_every_function_and_queue(
    template: dict[str, Any], monitoring: dict[str, Any]
) -> None:
    given = template["Resources"]["Monitoring"]["Properties"]["Parameters"]
    kinds = ("AWS::Serverless::Function", "AWS::SQS::Queue")
    there = {name for name, r in template["Resources"].items() if r["Type"] in kinds}

    assert set(given) == set(monitoring["Parameters"])
    assert there <= set(given)


def test_every_alarm_is_explained(template: dict[str, Any], monitoring: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()

    assert [name for name in alarms(template, monitoring) if f"`{name}`" not in text] == []


def test_a_function_that_runs_once_an_hour_is_watched_by_the_hour(
    monitoring: dict[str, Any],
) -> None:
    """Of a failure an hour, three minutes of five never fail."""
    alarm = alarms(monitoring)["ReconcileErrorsAlarm"]

    assert list(metrics_of(alarm)) == [
        ("AWS/Lambda", "Errors", {"FunctionName": {"Ref": "ReconcileFunction"}})
    ]
    assert (alarm["Period"], alarm["DatapointsToAlarm"]) == (3_600, 2)
