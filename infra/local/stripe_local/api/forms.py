"""Stripe's form encoding: `a[b][0][c]=x` to nested dicts of strings.

Lists stay dicts keyed by their index: only the parameter's type says whether `0` is an index or a
key of metadata.
"""

import re
from typing import Any
from urllib.parse import parse_qsl

from infra.local.stripe_local.errors import StripeError

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")
_DEPTH_MAX = 12


def decode_form(text: str) -> dict[str, Any]:
    """Decode a query or a body. Values are `str` or nested `dict`; raises StripeError (400)."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=2000, errors="strict")
    except (ValueError, UnicodeDecodeError) as error:
        raise StripeError("Invalid request: the form could not be decoded.") from error
    root: dict[str, Any] = {}
    for key, value in pairs:
        match = _KEY.fullmatch(key)
        if match is None:
            raise StripeError(f"Invalid request: malformed parameter name {key!r}.", param=key)
        parts = [match[1], *_PART.findall(match[2])]
        if len(parts) > _DEPTH_MAX:
            raise StripeError("Invalid request: parameters are nested too deeply.", param=key)
        _put(root, parts, value, key)
    return root


def _put(node: dict[str, Any], parts: list[str], value: str, key: str) -> None:
    for part in parts[:-1]:
        child = node.setdefault(part or str(len(node)), {})
        if not isinstance(child, dict):
            raise StripeError(f"Invalid request: {key!r} is both a value and a hash.", param=key)
        node = child
    last = parts[-1] or str(len(node))
    if isinstance(node.get(last), dict):
        raise StripeError(f"Invalid request: {key!r} is both a value and a hash.", param=key)
    node[last] = value
