"""What the package promises as a package: what it imports, and what it answers."""

import inspect
import subprocess
import sys

from openai import OpenAI
from tollkeeper import Wrapped


def test_importing_it_imports_neither_a_vendor_nor_httpx():
    code = "import sys, tollkeeper; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    names = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"httpx", "openai", "anthropic", "pydantic", "anyio"} & set(names)


def test_what_wrap_answers_looks_like_the_method_and_names_its_user(tk, api, provider):
    with OpenAI(base_url=provider.url + "/v1", api_key="sk-a", max_retries=0) as client:
        method = client.chat.completions.create
        create = tk.wrap(method)
        assert isinstance(create, Wrapped)
        assert (create.__name__, create.__doc__) == ("create", method.__doc__)
        assert inspect.signature(create) == inspect.signature(method)
        request = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
        create.for_user("ada", tier="pro")(**request)
        with tk.user("bob"):
            create(**request)
            create(**request, tollkeeper_user="eve")
            create(**request, tollkeeper_tier="free")
    assert [c["user_id"] for c in api.checks] == ["ada", "bob", "eve", "bob"]
    assert [c.get("tier") for c in api.checks] == ["pro", None, None, "free"]
