"""What set-up types at the SAM CLI. A script that notes its arguments stands in for `sam`."""

import json
import sys
import tomllib
from pathlib import Path

import pytest

from infra.setup.errors import SetupError
from infra.setup.stack import Stack

NOTE = """#!{python}
import json, os, sys
with open("calls", "a") as calls:
    print(json.dumps([sys.argv[1:], os.environ["BUILD_PYTHON"]]), file=calls)
sys.exit({code})
"""
CONFIG = """
[default.deploy.parameters]
stack_name = "tollkeeper-dev"
[prod.deploy.parameters]
parameter_overrides = "Stage=prod LogRetentionDays=90"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "samconfig.toml").write_text(CONFIG)
    return tmp_path


def give_sam(root: Path, code: int = 0) -> None:
    sam = root / ".venv-sam" / "bin" / "sam"
    sam.parent.mkdir(parents=True)
    sam.write_text(NOTE.format(python=sys.executable, code=code))
    sam.chmod(0o755)


def calls(root: Path) -> list[list[str]]:
    return [json.loads(line)[0] for line in (root / "calls").read_text().splitlines()]


def test_a_stage_with_a_section_takes_it(root: Path) -> None:
    give_sam(root)

    Stack(root, "prod", "eu-west-1").deploy()

    (words,) = calls(root)
    assert words[0] == "deploy"
    assert words[words.index("--stack-name") + 1] == "tollkeeper-prod"
    assert words[words.index("--region") + 1] == "eu-west-1"
    assert words[words.index("--config-env") + 1] == "prod"
    # They would take the place of the section's.
    assert "--parameter-overrides" not in words


def test_any_other_stage_is_named_to_the_template(root: Path) -> None:
    give_sam(root)

    Stack(root, "trial", "eu-west-1").deploy()

    (words,) = calls(root)
    assert words[words.index("--stack-name") + 1] == "tollkeeper-trial"
    assert words[words.index("--parameter-overrides") + 1] == "Stage=trial"
    assert words[words.index("--tags") + 1] == "project=tollkeeper stage=trial"  # not the default's
    assert "--config-env" not in words


def test_the_build_is_given_a_python_that_has_pip(root: Path) -> None:
    give_sam(root)

    Stack(root, "dev", "eu-west-1").build()

    assert json.loads((root / "calls").read_text()) == [["build"], sys.executable]


def test_a_failure_of_sam_ends_the_set_up(root: Path) -> None:
    give_sam(root, code=3)

    with pytest.raises(SetupError, match=r"sam build failed \(3\)"):
        Stack(root, "dev", "eu-west-1").build()


def test_a_missing_sam_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(root))

    with pytest.raises(SetupError, match="make setup"):
        Stack(root, "dev", "eu-west-1").build()


def test_the_real_configuration_has_what_deploy_leaves_to_it() -> None:
    config = tomllib.loads((Path(__file__).parents[2] / "samconfig.toml").read_text())
    for section in ("default", "prod"):
        deploy = config[section]["deploy"]["parameters"]
        assert deploy["resolve_s3"] is True, section
        assert deploy["capabilities"] == "CAPABILITY_IAM", section
        assert deploy["confirm_changeset"] is False, section
        assert deploy["fail_on_empty_changeset"] is False, section
    assert "Stage=prod" in config["prod"]["deploy"]["parameters"]["parameter_overrides"]
