"""Who is calling: API keys, of which only SHA-256 digests are stored."""

import re
from hashlib import sha256
from hmac import compare_digest

from tollkeeper_core.domain.ledger import LedgerUnavailableError
from tollkeeper_core.domain.problems import Problem, unauthorized
from tollkeeper_core.domain.rules import Rules
from tollkeeper_core.services.config_cache import ConfigCache, InHand, UnpublishedError

_KEY = re.compile(r"tk_([A-Za-z0-9]{1,32})_[A-Za-z0-9_-]{16,128}", re.ASCII)

#: What decides without a script may know a revoked key for so long.
KEYS_AGE_MS = 10_000

#: A key that is not in hand may have been made a moment ago: look again, but not for every guess.
_LOOK_AGAIN_MS = 5_000


def is_valid(rules: Rules, authorization: str | None) -> bool:
    """Whether ``Authorization: Bearer tk_<key id>_<secret>`` names an active key."""
    scheme, _, key = (authorization or "").partition(" ")
    match = _KEY.fullmatch(key.strip())
    if scheme.lower() != "bearer" or not match:
        return False
    expected = rules.api_keys.get(match[1], "")
    return compare_digest(expected, sha256(match[0].encode()).hexdigest())


def authenticate(
    configs: ConfigCache[Rules], authorization: str | None, age_ms_max: int | None
) -> InHand[Rules]:
    """The configuration in hand, once the key is found in it.

    A Redis that was emptied is like one that is away: usage is taken, and waits in the queue for
    the rebuild. Raises Problem 401 for a bad key, 503 where nothing can be read.
    """
    try:
        in_hand = configs.current(age_ms_max)
        if is_valid(in_hand.config, authorization):
            return in_hand
        in_hand = configs.current(_LOOK_AGAIN_MS)
    except LedgerUnavailableError:
        in_hand = configs.in_an_outage()
    except UnpublishedError as nothing:
        try:
            in_hand = configs.in_an_outage()
        except Problem:
            raise nothing from None  # a new installation: it says what to do
    if not is_valid(in_hand.config, authorization):
        raise unauthorized()
    return in_hand
