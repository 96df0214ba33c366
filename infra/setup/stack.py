"""The stack in CloudFormation: built and deployed by the SAM CLI, read by boto3."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra.setup.errors import SetupError

#: An output, and what waits in that queue.
_QUEUES = {
    "UsageQueueUrl": "reported usage that is not settled",
    "UsageDeadLetterQueueUrl": "usage that could not be settled",
    "TopUpDeadLetterQueueUrl": "automatic top-ups that could not be worked on",
}


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the later steps need of a deployed stack. None: it is not there (yet)."""

    api_url: str | None = None
    webhook_url: str | None = None
    upgrade_page_url: str | None = None
    sync_config_function: str | None = None
    queues: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stack:
    """One stage's stack."""

    root: Path
    stage: str
    region: str

    @property
    def name(self) -> str:
        """The stack's name in CloudFormation."""
        return f"tollkeeper-{self.stage}"

    def build(self) -> None:
        """Run ``sam build``. Raises SetupError."""
        self._sam("build")

    def deploy(self) -> None:
        """Run ``sam deploy``, with the settings of the stage's section in samconfig.toml, if any.

        Raises SetupError.
        """
        arguments = ["--stack-name", self.name, "--s3-prefix", self.name, "--region", self.region]
        if self.stage in tomllib.loads((self.root / "samconfig.toml").read_text()):
            arguments += ["--config-env", self.stage]
        else:
            arguments += ["--parameter-overrides", f"Stage={self.stage}"]
            arguments += ["--tags", f"project=tollkeeper stage={self.stage}"]
        self._sam("deploy", *arguments)

    def delete(self) -> None:
        """Run ``sam delete``, which waits for the end; nothing to do where there is no stack.

        What the template retains stays: the archive's bucket. Raises SetupError.
        """
        if self.describe() is None:
            return
        self._sam("delete", "--no-prompts", "--stack-name", self.name, "--region", self.region)
        if stack := self.describe():
            why = stack.get("StackStatusReason", "CloudFormation's console tells more.")
            raise SetupError(f"{self.name} is still there ({stack['StackStatus']}): {why}")

    def describe(self) -> dict[str, Any] | None:
        """What CloudFormation says of the stack; None when there is none."""
        client = boto3.client("cloudformation", region_name=self.region)
        try:
            found: dict[str, Any] = client.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                return None
            raise
        return found

    def version(self) -> str | None:
        """What is deployed; None without a stack, or with one that does not say."""
        return self._values().get("Version")

    def outputs(self) -> Outputs:
        """Read the stack's outputs; all None when there is no stack."""
        values = self._values()
        return Outputs(
            api_url=values.get("InterceptUrl"),
            webhook_url=values.get("StripeWebhookUrl"),
            upgrade_page_url=values.get("UpgradePageUrl"),
            sync_config_function=values.get("SyncConfigFunctionName"),
            queues={name: values[key] for key, name in _QUEUES.items() if key in values},
        )

    def _values(self) -> dict[str, str]:
        described = self.describe()
        listed = described.get("Outputs", []) if described else []
        return {entry["OutputKey"]: entry["OutputValue"] for entry in listed}

    def _sam(self, *arguments: str) -> None:
        command = [self._sam_path(), *arguments]
        # The layer's build needs a Python with pip, which this one has for certain.
        environment = {"SAM_CLI_TELEMETRY": "0", "BUILD_PYTHON": sys.executable, **os.environ}
        code = subprocess.run(command, cwd=self.root, env=environment, check=False).returncode
        if code != 0:
            raise SetupError(f"sam {arguments[0]} failed ({code}); its own words are above.")

    def _sam_path(self) -> str:
        own = self.root / ".venv-sam" / "bin" / "sam"
        path = str(own) if own.exists() else shutil.which("sam")
        if path is None:
            raise SetupError("The SAM CLI is missing: run make setup.")
        return path
