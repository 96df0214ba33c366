"""From the version that is deployed to this folder's: what it brings, and never back by a slip."""

import re
import tomllib
from pathlib import Path

from infra.setup.console import Console
from infra.setup.errors import SetupError
from infra.setup.stack import Stack

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+)\].*\n", re.MULTILINE)


def own_version(root: Path) -> str:
    """The version of what would be deployed."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    version: str = project["version"]
    return version


def prepare(console: Console, stack: Stack, *, force: bool) -> str | None:
    """Say what a deployment would change, before anything is; answer the deployed version.

    None where there is no stack. Raises SetupError when it must not be: CloudFormation is at work,
    or this is an older version and nobody forces it.
    """
    described = stack.describe()
    if described is None:
        return None
    console.step("Upgrade")
    _refuse_by_status(stack, str(described["StackStatus"]))
    deployed, own = stack.version(), own_version(stack.root)
    if deployed is None:
        console.note(f"{stack.name} is of a version without a number; this is {own}.")
        return ""
    if _order(deployed) > _order(own) and not force:
        raise SetupError(
            f"Nothing was changed. {stack.name} is at {deployed}, and this is {own}: an older one "
            "may not know what the newer has written. --force goes back all the same."
        )
    if deployed == own:
        console.note(f"{stack.name} is at {own}, as this is; what you changed is deployed.")
        return deployed
    console.note(f"{stack.name} goes from {deployed} to {own}.")
    for line in changes((stack.root / "CHANGELOG.md").read_text("utf-8"), deployed, own):
        console.note(line)
    if not console.confirm("Go on?"):
        raise SetupError("Nothing was changed.")
    return deployed


def way_back(stack: Stack, before: str | None) -> str:
    """What to type when the version that was deployed does not do what it is for."""
    if not before or before == own_version(stack.root):
        return "The stack is deployed as it is."
    back = f'git checkout v{before} && make deploy ARGS="--stage {stack.stage} --force"'
    return f"The stack is deployed as it is. Back to {before}: {back}"


def changes(changelog: str, after: str, upto: str) -> list[str]:
    """The lines of the releases above ``after``, up to ``upto``, the newest first."""
    parts = _HEADING.split(changelog)[1:]
    lines: list[str] = []
    for version, text in zip(parts[::2], parts[1::2], strict=True):
        if _order(after) < _order(version) <= _order(upto):
            lines += [f"{version}:", *(line for line in text.splitlines() if line.strip())]
    return lines


def _refuse_by_status(stack: Stack, status: str) -> None:
    if status.endswith("_IN_PROGRESS"):
        raise SetupError(f"CloudFormation is at work on {stack.name} ({status}): wait for its end.")
    if status in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}:
        raise SetupError(
            f"{stack.name} is {status}, which takes no update: "
            f'make remove ARGS="--stage {stack.stage}", then this again.'
        )


def _order(version: str) -> tuple[int, ...]:
    found = _VERSION.fullmatch(version)
    if found is None:
        raise SetupError(f"{version!r} is no version such as 1.2.3.")
    return tuple(int(part) for part in found.groups())
