"""New API keys and signing keys."""

import hashlib
import secrets
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key ``tk_<key id>_<secret>`` and the SHA-256 (hex) of that whole string.

    Only the hash is ever stored; the key itself is shown once.
    """

    key_id: str
    key: str = field(repr=False)
    sha256: str


def new_api_key() -> ApiKey:
    """Make an API key with a random id (8 hex digits) and a random secret (256 bits)."""
    # Hex only: the underscore separates the parts, and the URL-safe alphabet has one.
    key_id = secrets.token_hex(4)
    key = f"tk_{key_id}_{secrets.token_hex(32)}"
    return ApiKey(key_id=key_id, key=key, sha256=hashlib.sha256(key.encode()).hexdigest())


def new_link_key() -> str:
    """Make the key that signs upgrade links: 32 random bytes as hex."""
    return secrets.token_hex(32)
