"""What the package promises as a package: types, and an import that costs little."""

import subprocess
import sys

CALLER = """
from openai import OpenAI, Stream
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tollkeeper import Tollkeeper

tk = Tollkeeper("http://127.0.0.1:1", "tk_a_b")
client: OpenAI = tk.wrap_client(OpenAI(api_key="a"))
create = tk.wrap(client.chat.completions.create)
answer: ChatCompletion = create(model="m", messages=[])
stream: Stream[ChatCompletionChunk] = create(model="m", messages=[], stream=True)
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
    assert {line.split(":")[1] for line in errors(WRONG)} == {"13", "14"}


def test_importing_it_imports_neither_a_vendor_nor_httpx():
    code = "import sys, tollkeeper; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    names = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"httpx", "openai", "anthropic", "pydantic", "anyio"} & set(names)
