"""How many tokens a text may be, where nobody counts them."""

from __future__ import annotations

_BYTES_PER_TOKEN = 4


def estimate_tokens(text: str) -> int:
    """About how many tokens a text is, rounded up.

    English runs to four characters a token. Other scripts take more bytes a character in UTF-8, and
    about as many more tokens.
    """
    return -(-len(text.encode(errors="replace")) // _BYTES_PER_TOKEN)
