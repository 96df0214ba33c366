"""The provider's own tokenizer: one documented rule, so that every usage number can be checked.

Read from left to right, a token is the longest of these, where the first five may take one space
that stands before them along:

- up to 8 Latin letters
- up to 3 ASCII digits
- up to 2 letters of any other script
- up to 4 signs that are neither letters, digits, underscores nor white space
- any run of white space
- any other single character

English comes out near four characters a token, as with the real ones. A cut between two tokens
never changes how the part before it is read, so a truncated answer counts as what was sent.
"""

import re

_TOKEN = re.compile(
    r" ?(?:[A-Za-z\u00c0-\u024f]{1,8}|[0-9]{1,3}|[^\W\d_]{1,2}|[^\w\s]{1,4})|\s+|.",
    re.DOTALL,
)


def tokenize(text: str) -> list[str]:
    """Split `text` into tokens; joined, they are `text` again."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """How many tokens `text` is."""
    return len(tokenize(text))
