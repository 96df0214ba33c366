"""checkov's part of `make check`: it bites, and each finding that is left out says why."""

import os
import subprocess
from pathlib import Path

from tests.infra.conftest import ROOT

CHECKOV = ROOT / ".venv-audit" / "bin" / "checkov"
CONFIG = ROOT / ".checkov.yaml"


def checkov(template: Path) -> subprocess.CompletedProcess[str]:
    lines = [line for line in CONFIG.read_text().splitlines() if not line.startswith("file:")]
    config = template.with_name("checkov.yaml")
    config.write_text("\n".join([*lines, f"file: [{template}]"]))
    return subprocess.run(
        [str(CHECKOV), "--config-file", str(config)],
        env={**os.environ, "LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_open_bucket_is_found(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text((ROOT / "template.yaml").read_text())
    assert checkov(template).returncode == 0

    template.write_text(
        template.read_text().replace("BlockPublicAcls: true", "BlockPublicAcls: false")
    )

    found = checkov(template)
    assert found.returncode == 1
    assert "CKV_AWS_53" in found.stdout


def test_each_finding_that_is_left_out_says_why() -> None:
    lines = CONFIG.read_text().splitlines()
    skipped = [number for number, line in enumerate(lines) if "- CKV" in line]

    assert skipped
    for number in skipped:
        assert lines[number - 1].lstrip().startswith("# "), lines[number]
