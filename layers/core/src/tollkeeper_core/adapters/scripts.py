"""The Lua scripts as text with their SHA-1, read from the package once per process."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: These decide nothing about a user's state.
_ALONE = ("book", "customer", "mask", "publish", "restore", "step")


@dataclass(frozen=True, slots=True)
class Script:
    """A script's whole text and the SHA-1 by which EVALSHA calls it."""

    name: str
    text: str
    sha1: str


@cache
def script(name: str) -> Script:
    """The script ``lua/<name>.lua`` with the shared ``lua/state.lua`` before it."""
    folder = Path(__file__).parents[1] / "lua"
    parts = [] if name in _ALONE else ["state.lua"]
    text = "\n".join((folder / part).read_text("utf-8") for part in [*parts, f"{name}.lua"])
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
