"""docs/quickstart.md, followed to the letter on the local cloud."""

import re
import subprocess
from pathlib import Path

from infra.local.layout import ROOT
from infra.local.stack import LocalStack
from infra.setup.__main__ import _parser
from tests.support.story import Story

PAGE = (ROOT / "docs" / "quickstart.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
USER = "ada"
HERE = Path(__file__).relative_to(ROOT)


def test_a_reader_meters_a_call_is_stopped_and_pays(
    stack: LocalStack, story: Story, tmp_path: Path
) -> None:
    run, where, hello, call, usage, report, deploy = (text for _, text in BLOCKS)
    printed = {"API key": stack.api_key, "repository": str(ROOT), **stack.urls}
    story.user = USER
    (tmp_path / "hello.py").write_text(hello)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    said: list[str] = []

    def type_in(block: str) -> str:
        """In one shell, which has what was exported before."""
        known = re.sub(r"<([\w ]+)>", lambda found: printed[found[1]], where + block)
        done = subprocess.run(
            ["bash", "-eu", "-c", known], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{known}\n{done.stdout}{done.stderr}"
        said.append(done.stdout)
        return done.stdout

    clone, folder, dev = run.splitlines()
    type_in(f"{clone}\n{folder}\ntest -f {HERE}")
    assert target(dev) == ["infra.local"]
    assert len(type_in(call)) > 20
    while "/upgrade?t=" not in type_in(call):
        assert len(said) < 10, "never stopped"
    link = said[-1].split()[-1]
    assert '"percent"' in type_in(usage)

    story.buy(link, pack="starter")

    answer = type_in(call)
    assert "/upgrade?t=" not in answer
    assert len(answer) > 20
    assert re.search(r"^paid +[1-9]", type_in(report), re.MULTILINE)
    assert target(deploy) == ["infra.setup"]
    _parser().parse_args(target(deploy)[1:])


def target(command: str) -> list[str]:
    """What make would run: the module and its arguments."""
    make = ["make", "--no-print-directory", "-n", *command.split()[1:]]
    printed = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    words = printed.splitlines()[-1].split()
    return words[words.index("-m") + 1 :]
