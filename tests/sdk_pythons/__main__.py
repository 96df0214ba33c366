"""``python -m tests.sdk_pythons``: the SDK's examples on the oldest and the newest Python it names.

Each runs in a Debian that has that Python, in a folder under build/: debootstrap makes it, which
needs root and a minute. The wheel and the vendors' packages are resolved for that Python by uv; the
provider and Tollkeeper are the tests' own, on this machine.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from infra.local.provider import BackgroundServer, LocalProvider
from tests.support.debian import can_make_debians, debian
from tests.support.scripted_tollkeeper import KEY, ScriptedTollkeeper

ROOT = Path(__file__).parents[2]
#: Debian's name -> its Python.
SUITES = {"bullseye": "3.9", "trixie": "3.13"}
EXAMPLES = (
    "openai_chat",
    "openai_stream",
    "openai_responses",
    "anthropic_messages",
    "embeddings",
    "meter",
)


def main() -> int:
    """Run every example on every Python; 1 when one fails."""
    if not can_make_debians():
        return 1
    wheel = _wheel()
    failed = [suite for suite in SUITES if not _passes(suite, wheel)]
    return 1 if failed else 0


def _passes(suite: str, wheel: Path) -> bool:
    root = debian(suite)
    site = root / "site"
    shutil.rmtree(site, ignore_errors=True)
    command = [str(ROOT / ".venv/bin/uv"), "pip", "install", "--quiet", "--target", str(site)]
    command += ["--python-version", SUITES[suite], "--only-binary", ":all:"]
    subprocess.run([*command, str(wheel), "openai", "anthropic"], check=True)
    shutil.copytree(ROOT / "examples", root / "site" / "examples", dirs_exist_ok=True)
    scripted = ScriptedTollkeeper(limit=1_000)
    with BackgroundServer(scripted.app()) as server, LocalProvider(token_delay_ms=0) as provider:
        scripted.url = server.url
        environment = {
            "PATH": "/usr/bin",
            "PYTHONPATH": "/site",
            "PYTHONWARNINGS": "error::DeprecationWarning:tollkeeper",
            "TOLLKEEPER_URL": server.url,
            "TOLLKEEPER_API_KEY": KEY,
            "OPENAI_BASE_URL": f"{provider.url}/v1",
            "OPENAI_API_KEY": "sk-x",
            "ANTHROPIC_BASE_URL": provider.url,
            "ANTHROPIC_API_KEY": "sk-x",
        }
        for number, name in enumerate(EXAMPLES, start=1):
            command = ["/usr/sbin/chroot", str(root), "python3", "-m", f"examples.sdk.{name}"]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            settled = [event for event in scripted.events if event["status"] == "ok"]
            if done.returncode != 0 or len(settled) != number:
                print(f"✗ Python {SUITES[suite]}: {name}\n{done.stdout}{done.stderr}")
                return False
            print(f"✓ Python {SUITES[suite]}: {name}")
    return True


def _wheel() -> Path:
    folder = ROOT / "build" / "sdk-wheel"
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT / "sdk" / "python", check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


if __name__ == "__main__":
    sys.exit(main())
