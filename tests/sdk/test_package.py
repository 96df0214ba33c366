"""What the package promises as a package: types, and an import that costs little."""

import subprocess
import sys

#: A method with overloads, as those of openai have; openai's own take mypy a minute to read.
CALLER = """
from typing import Literal, overload
from tollkeeper import Tollkeeper

class Completions:
    @overload
    def create(self, *, model: str) -> int: ...
    @overload
    def create(self, *, model: str, stream: Literal[True]) -> list[bytes]: ...
    def create(self, *, model: str, stream: bool = False) -> int | list[bytes]:
        return [] if stream else len(model)

tk = Tollkeeper("http://127.0.0.1:1", "tk_a_b")
client: Completions = tk.wrap_client(Completions())
create = tk.wrap(client.create)
answer: int = create(model="m")
stream: list[bytes] = create(model="m", stream=True)
percent: int | None = tk.get_usage("ada").daily_percent
"""
WRONG = CALLER + "create(modell='m')\nwrong: str = create(model='m', messages=[])\n"


def test_a_callers_file_sees_the_wrapped_types(tmp_path):
    from mypy import api

    def errors(code):
        (tmp_path / "caller.py").write_text(code)
        cache = f"--cache-dir={tmp_path / 'cache'}"
        output = api.run(["--strict", "--config-file=", cache, str(tmp_path / "caller.py")])[0]
        return [line for line in output.splitlines() if " error: " in line]

    assert errors(CALLER) == []
    assert {line.split(":")[1] for line in errors(WRONG)} == {"19", "20"}


def test_importing_it_imports_neither_a_vendor_nor_httpx():
    code = "import sys, tollkeeper; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    names = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"httpx", "openai", "anthropic", "pydantic", "anyio"} & set(names)
