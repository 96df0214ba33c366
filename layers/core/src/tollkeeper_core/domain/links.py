"""The signed link to the upgrade page: who asks, why, and until when.

A token is the base64url form (no padding) of::

    version (1 byte) | key id (4 bytes) | claims (JSON array) | HMAC-SHA256 of all before (32 bytes)

It is signed, not encrypted: it holds the user's own id and nothing secret. Whoever has it may see
that user's percentages and pay for that user, until it expires: it belongs in no log, no cache and
no Referer. The check builds one for every block, hence the standard library alone.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest
from typing import NamedTuple, TypeVar

#: How long a link may start a purchase, in seconds.
LINK_SECONDS = 15 * 60

#: The same at most, where an app asks for a longer one: for an e-mail.
LINK_SECONDS_MAX = 30 * 86_400

_VERSION = 1
_KEY_ID_BYTES = 4
_MAC_BYTES = 32
_HEAD_BYTES = 1 + _KEY_ID_BYTES
#: A user id of 128 characters, each six bytes as JSON escapes it, and the rest, with room.
_TOKEN_CHARS_MAX = 4096

_T = TypeVar("_T")


class LinkReason(NamedTuple):
    """Why a call was blocked: the answer's ``code``, the window at its limit, when it resets."""

    code: str
    window: str | None = None
    resets_ms: int | None = None


class LinkClaims(NamedTuple):
    """What a link says. ``tier`` is the one that the app named, if it named one.

    ``origin``: the app's own, the only one that the page talks to, where the app said it.
    """

    user_id: str
    prompt_id: str
    expires_ms: int
    tier: str | None = None
    reason: LinkReason | None = None
    origin: str | None = None


class LinkError(Exception):
    """A link that does not count. ``expired`` when it did once; the text is fit for its user."""

    def __init__(self, message: str, *, expired: bool = False) -> None:
        super().__init__(message)
        self.expired = expired


def parse_link_keys(secret: str) -> tuple[bytes, ...]:
    """The secret ``link_key``: 64 hex digits, or two such keys and a comma between, to rotate.

    The first signs; every one of them verifies. Raises ValueError, without the secret in its text.
    """
    keys = [part.strip() for part in secret.split(",")]
    if len(keys) > 2 or not all(re.fullmatch(r"[0-9a-fA-F]{64}", key) for key in keys):
        raise ValueError("link_key must be 64 hex digits, or two such keys with a comma between")
    return tuple(bytes.fromhex(key) for key in keys)


def sign_link(claims: LinkClaims, key: bytes) -> str:
    """The token of these claims."""
    reason = claims.reason
    body = json.dumps(
        [
            claims.user_id,
            claims.prompt_id,
            claims.expires_ms,
            claims.tier,
            [reason.code, reason.window, reason.resets_ms] if reason else None,
            claims.origin,
        ],
        separators=(",", ":"),
    )
    signed = bytes((_VERSION,)) + _key_id(key) + body.encode("ascii")
    return _encode(signed + hmac_digest(key, signed, "sha256"))


def verify_link(token: str, keys: Sequence[bytes], now_ms: int, *, late_ms: int = 0) -> LinkClaims:
    """The claims of a token that one of ``keys`` signed and that has not expired.

    ``late_ms``: how much longer than its expiry it is accepted: to watch a purchase that it began,
    not to begin one. Raises LinkError.
    """
    claims = _claims(_authentic(token, keys))
    if now_ms >= claims.expires_ms + late_ms:
        raise LinkError("This link has expired.", expired=True)
    return claims


def upgrade_url(page_url: str, token: str) -> str:
    """The address that opens the page."""
    return f"{page_url.rstrip('/')}/upgrade?t={token}"


def _authentic(token: str, keys: Sequence[bytes]) -> bytes:
    raw = _decode(token)
    signed, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    if len(signed) <= _HEAD_BYTES or signed[0] != _VERSION:
        raise _invalid()
    for key in keys:
        if signed[1:_HEAD_BYTES] == _key_id(key) and compare_digest(
            mac, hmac_digest(key, signed, "sha256")
        ):
            return signed[_HEAD_BYTES:]
    raise _invalid()


def _claims(body: bytes) -> LinkClaims:
    """Strict even after the signature: another version of this code may have signed."""
    try:
        user_id, prompt_id, expires_ms, tier, reason, origin = json.loads(body)
        parsed = LinkClaims(
            user_id=_typed(user_id, str),
            prompt_id=_typed(prompt_id, str),
            expires_ms=_typed(expires_ms, int),
            tier=tier if tier is None else _typed(tier, str),
            reason=reason if reason is None else _reason(*reason),
            origin=origin if origin is None else _typed(origin, str),
        )
    except (ValueError, TypeError):
        raise _invalid() from None
    if not parsed.user_id or not parsed.prompt_id:
        raise _invalid()
    return parsed


def _reason(code: object, window: object, resets_ms: object) -> LinkReason:
    return LinkReason(
        code=_typed(code, str),
        window=None if window is None else _typed(window, str),
        resets_ms=None if resets_ms is None else _typed(resets_ms, int),
    )


def _typed(value: object, kind: type[_T]) -> _T:
    if type(value) is not kind:
        raise TypeError(kind.__name__)
    return value


@lru_cache(maxsize=8)
def _key_id(key: bytes) -> bytes:
    return sha256(b"tollkeeper link key " + key).digest()[:_KEY_ID_BYTES]


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _decode(token: str) -> bytes:
    if len(token) > _TOKEN_CHARS_MAX or not token.isascii():
        raise _invalid()
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except Base64Error:
        raise _invalid() from None
    # base64 has several spellings of the same bytes (unused bits, characters that are skipped):
    # only the one that sign_link writes is taken, so that one link is one string.
    if _encode(raw) != token:
        raise _invalid()
    return raw


def _invalid() -> LinkError:
    return LinkError("This link is not valid.")
