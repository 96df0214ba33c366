"""`make deploy` over a stack that is there: told before, never backwards by a slip, tried after."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from infra.local.layout import REGION, Settings
from infra.local.stack import LocalStack
from infra.setup import __main__ as setup
from infra.setup.errors import SetupError
from infra.setup.stack import Stack
from infra.setup.upgrade import changes
from tests.support.deployed import outputs_of, put_stack

if TYPE_CHECKING:
    from types_boto3_ssm import SSMClient

STAGE = "local"
CHANGELOG = """# Changelog

## [Unreleased]

- Half done.

## [0.10.0] - 2026-12-02

### Added

- Ten.

## [0.9.0] - 2026-12-01

- Nine: run this first.

## [0.1.0] - 2026-11-01

- One.
"""
#: Takes the place of the SAM CLI: writes down what it was asked, and deploys the new version.
SAM = """#!{python}
import json, os, sys
import boto3
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1] == "deploy":
    template = json.loads(open({template!r}).read())
    template["Outputs"]["Version"] = {{"Value": "0.10.0"}}
    boto3.client("cloudformation").update_stack(
        StackName=sys.argv[sys.argv.index("--stack-name") + 1], TemplateBody=json.dumps(template)
    )
"""


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalStack]:
    with LocalStack(Settings(stage=STAGE, chat=False)) as stack:
        yield stack


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of 0.10.0, with a SAM that works in no time."""
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.10.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    (tmp_path / "samconfig.toml").write_text("version = 0.1\n")
    sam = tmp_path / ".venv-sam" / "bin" / "sam"
    sam.parent.mkdir(parents=True)
    log, template = str(tmp_path / "asked"), str(tmp_path / "template.json")
    sam.write_text(SAM.format(python=sys.executable, log=log, template=template))
    sam.chmod(0o755)
    return tmp_path


@pytest.fixture
def ssm(cloud: LocalStack, monkeypatch: pytest.MonkeyPatch) -> "SSMClient":
    """The account of the local cloud, which is set up already."""
    for name, value in {
        "AWS_ENDPOINT_URL": cloud.urls["aws"],
        "AWS_ENDPOINT_URL_LAMBDA": cloud.urls["lambda"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "STRIPE_API_BASE": cloud.urls["stripe"],
        "TOLLKEEPER_API_KEY": cloud.api_key,
    }.items():
        monkeypatch.setenv(name, value)
    return cloud.ssm()


def deployed(cloud: LocalStack, root: Path, version: str | None) -> None:
    """The stack as CloudFormation knows it."""
    outputs = {**outputs_of(cloud), **({"Version": version} if version else {})}
    cloudformation = boto3.client("cloudformation", region_name=REGION)
    (root / "template.json").write_text(put_stack(cloudformation, STAGE, outputs))


def asked(root: Path) -> list[list[str]]:
    """Of SAM."""
    log = root / "asked"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def versions(ssm: "SSMClient") -> dict[str, int]:
    pages = ssm.get_paginator("get_parameters_by_path").paginate(
        Path=f"/tollkeeper/{STAGE}", Recursive=True
    )
    return {entry["Name"]: entry["Version"] for page in pages for entry in page["Parameters"]}


def run(*arguments: str) -> int:
    return setup.main(["--non-interactive", "--stage", STAGE, *arguments])


def test_an_upgrade_is_told_made_and_tried(
    cloud: LocalStack, root: Path, ssm: "SSMClient", capsys: pytest.CaptureFixture[str]
) -> None:
    deployed(cloud, root, "0.1.0")

    assert run() == 0

    said = capsys.readouterr().out
    assert said.index("goes from 0.1.0 to 0.10.0") < said.index("Upstash Redis")
    assert said.index("- Ten.") < said.index("- Nine: run this first.")
    assert "- One." not in said
    assert "Half done" not in said
    build, deploy = asked(root)
    assert build == ["build"]
    assert deploy[: deploy.index("--region")] == [
        *("deploy", "--stack-name", "tollkeeper-local", "--s3-prefix", "tollkeeper-local")
    ]
    assert Stack(root, STAGE, REGION).version() == "0.10.0"
    assert said.index("Every function knows it") < said.index("✓ the webhook takes nothing unsig")
    assert "tk_" not in said


@pytest.mark.usefixtures("ssm")
def test_an_upgrade_that_does_not_do_its_job_says_the_way_back(
    cloud: LocalStack,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    deployed(cloud, root, "0.9.0")
    monkeypatch.setenv("TOLLKEEPER_API_KEY", "tk_none_" + "0" * 32)

    assert run() == 1

    said = capsys.readouterr().err
    assert "401" in said
    assert 'git checkout v0.9.0 && make deploy ARGS="--stage local --force"' in said


def test_the_way_back_is_refused_unless_it_is_forced(
    cloud: LocalStack, root: Path, ssm: "SSMClient", capsys: pytest.CaptureFixture[str]
) -> None:
    deployed(cloud, root, "0.11.0")
    before = versions(ssm)

    assert run() == 1

    assert "is at 0.11.0, and this is 0.10.0" in capsys.readouterr().err
    assert asked(root) == []
    assert versions(ssm) == before
    assert run("--force") == 0
    assert Stack(root, STAGE, REGION).version() == "0.10.0"


@pytest.mark.usefixtures("ssm")
@pytest.mark.parametrize(
    ("version", "said"), [("0.10.0", "is at 0.10.0, as this is"), (None, "without a number")]
)
def test_the_same_version_and_one_without_a_number_are_deployed(
    cloud: LocalStack,
    root: Path,
    capsys: pytest.CaptureFixture[str],
    version: str | None,
    said: str,
) -> None:
    deployed(cloud, root, version)

    assert run() == 0
    assert said in capsys.readouterr().out
    assert len(asked(root)) == 2


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("UPDATE_IN_PROGRESS", "wait for its end"),
        ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "wait for its end"),
        ("ROLLBACK_COMPLETE", "takes no update: make remove"),
    ],
)
def test_a_stack_that_takes_no_update_is_left_alone(
    root: Path,
    ssm: "SSMClient",
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: str,
    said: str,
) -> None:
    monkeypatch.setattr(Stack, "describe", lambda _self: {"StackStatus": status})
    before = versions(ssm)

    assert run() == 1

    assert said in capsys.readouterr().err
    assert asked(root) == []
    assert versions(ssm) == before


def test_changes_are_those_between() -> None:
    assert changes(CHANGELOG, "0.9.0", "0.10.0") == ["0.10.0:", "### Added", "- Ten."]
    assert changes(CHANGELOG, "0.10.0", "0.10.0") == []
    assert changes(CHANGELOG, "0.0.1", "0.1.0") == ["0.1.0:", "- One."]
    with pytest.raises(SetupError, match="no version"):
        changes(CHANGELOG, "latest", "0.10.0")
