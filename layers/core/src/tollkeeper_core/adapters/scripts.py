"""The Lua scripts as text with their SHA-1, read from the package once per process."""

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

#: These decide nothing about a user's state.
_ALONE = ("book", "customer", "mask", "publish", "restore", "step")

#: What all the others share, in this order, and what some need beside it.
_SHARED = ("values", "lots", "state")
_MORE = {"reserve": ("thresholds",), "settle": ("thresholds",)}


class Script(NamedTuple):
    """A script's whole text and the SHA-1 by which EVALSHA calls it."""

    name: str
    text: str
    sha1: str


@cache
def script(name: str) -> Script:
    """The script ``lua/<name>.lua`` with what it shares with others before it."""
    folder = Path(__file__).parents[1] / "lua"
    parts = (name,) if name in _ALONE else (*_SHARED, *_MORE.get(name, ()), name)
    text = "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in parts)
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
