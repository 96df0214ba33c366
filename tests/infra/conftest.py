"""The template, as it is written and as SAM hands it to CloudFormation."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.local.cloudformation import load

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"
SAM_BIN = ROOT / ".venv-sam" / "bin"


def sam(*arguments: str, **environment: str) -> str:
    """Run the SAM CLI at the project's root; its output, once it has succeeded."""
    done = subprocess.run(
        [str(SAM_BIN / "sam"), *arguments],
        cwd=ROOT,
        env={**os.environ, "SAM_CLI_TELEMETRY": "0", "AWS_REGION": "eu-west-1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def translate(layer: str, *parameters: str) -> dict[str, Any]:
    """The resources that CloudFormation gets, the layer's content being the one named."""
    program = ROOT / "tests" / "infra" / "translate.py"
    done = subprocess.run(
        [str(SAM_BIN / "python"), str(program), TEMPLATE, layer, *parameters],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    resources: dict[str, Any] = json.loads(done.stdout)["Resources"]
    return resources


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    return load(TEMPLATE)


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"]
    return found


@pytest.fixture(scope="session")
def translated() -> dict[str, Any]:
    return translate("layer")
