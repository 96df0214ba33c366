"""A Debian in a folder, for the Python that it has. Making one needs root and a minute."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_FOLDER = Path(__file__).parents[2] / "build" / "pythons"


def can_make_debians() -> bool:
    """Whether this machine can; says on stderr what is missing."""
    able = os.geteuid() == 0 and shutil.which("debootstrap") is not None
    if not able:
        print("needs root and debootstrap (apt-get install debootstrap)", file=sys.stderr)
    return able


def debian(suite: str) -> Path:
    """A Debian with a Python and nothing else, made once."""
    root = _FOLDER / suite
    done = root / "site-made"
    if not done.exists():
        print(f"making {root} (a minute)")
        shutil.rmtree(root, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", "--include=python3", suite, str(root)]
        subprocess.run([*command, _mirror()], check=True, stdout=subprocess.DEVNULL)
        done.touch()
    return root


def _mirror() -> str:
    """The one that this machine's apt is set up with."""
    said = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return next(uri for uri in said if "security" not in uri)
