"""Values that come from outside, as schemas of pydantic's core.

A check is validated by these alone: to import what builds models would take a check longer than
all else that it imports. The models of ``api.py`` and ``config.py`` take the same rules.
"""

import re

from pydantic_core import PydanticCustomError, core_schema

from tollkeeper_core.domain.money import parse_usd

#: A tier's, pack's or plan's.
NAME = r"[a-z0-9][a-z0-9_-]{0,39}"
TOKENS_MAX = 1_000_000_000

_CONTROL = re.compile("[\x00-\x1f\x7f]")


def _plain(value: object) -> object:
    if isinstance(value, str) and _CONTROL.search(value):
        raise PydanticCustomError("control_character", "must not contain control characters")
    return value


def usd_nano(value: object) -> int:
    """``"0.50"`` -> 500_000_000. Raises ValueError for all but such a string."""
    # Only strings: a JSON number is a float by the time that anyone sees it.
    if not isinstance(value, str):
        raise ValueError('must be a decimal string of US dollars such as "0.50", not a number')
    return parse_usd(value)


ID = core_schema.no_info_before_validator_function(
    _plain, core_schema.str_schema(min_length=1, max_length=128)
)
TIER_NAME = core_schema.str_schema(pattern=f"^{NAME}$")
TOKENS = core_schema.int_schema(strict=True, ge=0, le=TOKENS_MAX)
USD_NANO = core_schema.no_info_before_validator_function(usd_nano, core_schema.int_schema())
