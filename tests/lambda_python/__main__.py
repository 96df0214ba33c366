"""``python -m tests.lambda_python``: the built stack's story on the Python that Lambda runs.

`sam build` takes the layer's wheels for that version, and every function's process is that Python:
Debian's own, started through Debian's own loader and libraries, so that nothing of this machine's
Python is in it. The local cloud and the tests stay what they are.
"""

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from infra.local.lambdas.python import LENT, RUNTIME_PACKAGES
from tests.support.debian import can_make_debians, debian

ROOT = Path(__file__).parents[2]
SUITE, VERSION = "trixie", "3.13"
STORY = "tests/e2e/test_built_story.py"


def main(arguments: list[str]) -> int:
    """Run the story; pytest's own exit code."""
    if not can_make_debians():
        return 1
    folder = ROOT / "build" / "lambda-python"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _lend_python(folder, debian(SUITE))
    _install_runtime(folder / "packages")
    command = [sys.executable, "-m", "pytest", "--timeout", "0", STORY, *arguments]
    environment = {**os.environ, LENT: str(folder)}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _lend_python(folder: Path, root: Path) -> None:
    """A program that is Debian's Python, and its version as it says itself."""
    (loader,) = (root / "usr/lib").glob("*/ld-linux-*.so.*")
    python = folder / "python"
    python.write_text(
        "#!/bin/sh\n"
        f'PYTHONHOME="{root}/usr" exec "{loader}" --library-path "{loader.parent}" '
        f'"{root}/usr/bin/python{VERSION}" "$@"\n',
        "utf-8",
    )
    python.chmod(0o755)
    asked = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
    done = subprocess.run([python, "-S", "-c", asked], capture_output=True, text=True, check=True)
    (folder / "version").write_text(done.stdout, "utf-8")


def _install_runtime(folder: Path) -> None:
    """AWS's runtime client in the locked versions, for that Python and this processor."""
    wanted = [f"{name}=={version(name)}" for name in RUNTIME_PACKAGES]
    command = [str(ROOT / ".venv/bin/uv"), "pip", "install", "--quiet", "--target", str(folder)]
    command += ["--python-platform", f"{platform.machine()}-manylinux_2_28"]
    command += ["--python-version", VERSION, "--only-binary", ":all:", "--no-deps"]
    subprocess.run([*command, *wanted], check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
