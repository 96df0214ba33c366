"""Which Python the functions run on: this one, or one that is lent, such as the runtime's own."""

import atexit
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

#: A folder with an executable `python`, `packages` (AWS's runtime client for it) and `version`.
#: Only what was built for that version can run on it (tests/lambda_python).
LENT = "TOLLKEEPER_LAMBDA_PYTHON"

#: What Lambda's Python has of its own (boto3, which it has as well, is in the layer).
RUNTIME_PACKAGES = ("awslambdaric", "simplejson", "snapshot-restore-py")


@dataclass(frozen=True, slots=True)
class Python:
    """``version`` as "3.13"; ``packages`` holds AWS's runtime client and nothing else."""

    executable: Path
    packages: Path
    version: str


@cache
def lambda_python() -> Python:
    """As long as this process lives."""
    if lent := os.environ.get(LENT):
        folder = Path(lent)
        version = (folder / "version").read_text("utf-8").strip()
        return Python(folder / "python", folder / "packages", version)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Python(Path(sys.executable), _packages_of_this_one(), version)


def _packages_of_this_one() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tollkeeper-runtime-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in RUNTIME_PACKAGES:
        for file in {path.parts[0] for path in distribution(name).files or ()}:
            (folder / file).symlink_to(str(distribution(name).locate_file(file)))
    return folder
