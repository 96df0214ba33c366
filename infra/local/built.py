"""The stack as `sam build` makes it, for this machine: what is deployed, but for the processor."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from infra.local.lambdas.python import lambda_python
from infra.local.layout import ROOT
from infra.local.parts import PartError


def build_for_this_machine(folder: Path) -> Path:
    """Run `sam build` into `folder`, which is emptied first; the template that it wrote there.

    The same build as for Lambda, but with wheels for this processor and for the Python that runs
    functions here (`lambdas/python.py`). Raises PartError with the build's own last words.
    """
    sam = ROOT / ".venv-sam" / "bin" / "sam"
    if not sam.exists():
        raise PartError("`sam build` is not installed here: run make setup first")
    shutil.rmtree(folder, ignore_errors=True)
    environment = {
        **os.environ,
        "SAM_CLI_TELEMETRY": "0",
        "AWS_REGION": "us-east-1",
        "BUILD_PYTHON": sys.executable,
        "LAYER_PLATFORM": f"manylinux2014_{platform.machine()}",
        "LAYER_PYTHON_VERSION": lambda_python().version,
    }
    done = subprocess.run(
        [str(sam), "build", "--build-dir", str(folder)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise PartError("sam build failed:\n" + "\n".join(done.stdout.splitlines()[-20:]))
    return folder / "template.yaml"
