"""The commands of docs/operations.md, typed as they stand there, against the local cloud.

`aws` is the real AWS CLI, `tollkeeper` the real program, `make` runs what the Makefile would. Three
things stand in: what moto has not got, questions that nobody is there to answer, and the waiting.
Each program begins anew, so that what it does not need is not imported here.
"""

import os
import re
import shlex
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.local.stack import LocalStack

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"
AWS = ROOT / ".venv-aws" / "bin" / "aws"
#: (language, text): those without a language are commands.
_BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
#: Of version 2 alone, or not in moto: the real CLI judges the options, the rest is done beside it.
_WITHOUT_SERVER = {"start-message-move-task", "list-message-move-tasks"}


def sections() -> dict[str, list[str]]:
    """Heading -> its blocks of commands. "" is what stands before the first."""
    parts = ["", *_SECTION.split(PAGE.read_text("utf-8"))]
    return {heading: _commands(text) for heading, text in zip(parts[::2], parts[1::2], strict=True)}


def commands_of(page: Path) -> list[str]:
    """The blocks of another page that begin with the AWS CLI."""
    return [block for block in _commands(page.read_text("utf-8")) if block.startswith("aws ")]


def _commands(text: str) -> list[str]:
    return [textwrap.dedent(body) for language, body in _BLOCK.findall(text) if not language]


@dataclass
class Terminal:
    """Somebody who types from the page. ``folder`` is where they stand."""

    cloud: "LocalStack"
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from infra.local.layout import REGION

        self.environment = {
            **os.environ,
            "PATH": f"{self._programs()}:{os.environ['PATH']}",
            "AWS_ENDPOINT_URL": self.cloud.urls["aws"],
            "AWS_ENDPOINT_URL_LAMBDA": self.cloud.urls["lambda"],
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "STRIPE_API_BASE": self.cloud.urls["stripe"],
            "NO_PROXY": "127.0.0.1",
            "RUNBOOK_ROOT": str(self.folder),
            "TOLLKEEPER_API_KEY": self.cloud.api_key,
        }
        for name in ("AWS_PROFILE", "AWS_CONFIG_FILE", "TOLLKEEPER_STAGE", "STRIPE_SECRET_KEY"):
            self.environment.pop(name, None)

    def type(self, block: str, **more: str) -> str:
        """Run a block as it stands, with what the page's first section defines; its output."""
        functions = "\n".join(b for b in sections()[""] if b.startswith("output()"))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{functions}\n{block}"],
            cwd=self.folder,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _programs(self) -> Path:
        folder = self.folder / "bin"
        folder.mkdir()
        (self.folder / ".venv-sam").symlink_to(ROOT / ".venv-sam")
        for name in ("aws", "make", "git", "tollkeeper"):
            program = folder / name
            arguments = f'{sys.executable} -m tests.support.runbook {name} "$@"'
            program.write_text(f"#!/bin/sh\nPYTHONPATH={ROOT} exec {arguments}\n")
            program.chmod(0o755)
        return folder


def aws(arguments: list[str]) -> int:
    """The real one, version 1; `logs tail` is version 2's."""
    if arguments[:2] == ["logs", "tail"]:
        group, *options = arguments[2:]
        given = dict(zip(options[::2], options[1::2], strict=True))
        assert re.fullmatch(r"\d+[smhdw]", given.pop("--since")), arguments
        arguments = ["logs", "filter-log-events", "--log-group-name", group, "--filter-pattern"]
        arguments += [given.pop("--filter-pattern")]
        assert not given, given
    if arguments[:2] == ["s3", "sync"]:
        arguments = [*arguments, "--only-show-errors"]
    if arguments[0] == "sqs":  # Where version 1 would go by an address of its own.
        arguments = [*arguments, "--endpoint-url", os.environ["AWS_ENDPOINT_URL"]]
    if arguments[1] in _WITHOUT_SERVER:
        done = subprocess.run([AWS, *arguments, "--generate-cli-skeleton", "output"], check=False)
        if arguments[1].startswith("start-") and done.returncode == 0:
            _move(arguments[arguments.index("--source-arn") + 1])
        return done.returncode
    return subprocess.run([AWS, *arguments], check=False).returncode


def _move(source_arn: str) -> None:
    """What SQS does of a StartMessageMoveTask, which moto has not got."""
    import boto3

    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=source_arn.rpartition(":")[2])["QueueUrl"]
    (source, *_) = sqs.list_dead_letter_source_queues(QueueUrl=url)["queueUrls"]
    while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in found:
            sqs.send_message(QueueUrl=source, MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def make(arguments: list[str]) -> int:
    """What the target runs, in the typist's folder in place of the repository's."""
    from infra.setup import __main__ as deploy
    from infra.setup import remove, smoke

    printed = subprocess.run(
        ["make", "--no-print-directory", "-n", *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": os.environ["PATH"].partition(":")[2]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    words = shlex.split(printed.splitlines()[-1])
    module, given = words[words.index("-m") + 1], words[words.index("-m") + 2 :]
    folder = Path(os.environ["RUNBOOK_ROOT"])
    match module:
        case "infra.setup":
            deploy.ROOT = folder
            return deploy.main([*given, "--non-interactive", "--skip-deploy"])
        case "infra.setup.smoke":
            smoke.ROOT = folder
            return smoke.main(given)
        case "infra.setup.remove":
            remove.ROOT = folder
            return remove.main([*given, "--non-interactive", "--confirm", "prod"])
        case _:
            raise AssertionError(printed)


def tollkeeper(arguments: list[str]) -> int:
    """With a yes to what it asks, and nobody waited for who is not there."""
    from infra.cli.__main__ import main as command

    more = ["--yes", "--grace", "0"] if arguments[0] == "rebuild" else []
    return command([*arguments, *more])


def git(arguments: list[str]) -> int:
    """Takes what the page types, and changes nothing."""
    return 0 if arguments in (["pull"], ["checkout", "v0.1.0"]) else 1


if __name__ == "__main__":
    programs = {"aws": aws, "make": make, "git": git, "tollkeeper": tollkeeper}
    sys.exit(programs[sys.argv[1]](sys.argv[2:]))
