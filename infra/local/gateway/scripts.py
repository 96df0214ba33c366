"""Scripts whose first line is Upstash's `#!lua flags=...`.

Upstash takes that line (`allow-key-locking` lets scripts on other keys run beside it); Redis 6
does not know it, nor Redis 7 that flag. The line goes out on the way to Redis, while callers keep
asking by the SHA1 of the text that they sent.
"""

import hashlib
from collections.abc import Sequence

from .resp import ErrorReply, Reply

# Far more than an application has. A forgotten script is not an error: the caller is answered
# NOSCRIPT and sends the text again.
SCRIPTS_MAX = 1024
SHEBANG = b"#!lua"


class ScriptShebangs:
    """Rewrites scripting commands on their way to Redis, and what SCRIPT LOAD answers."""

    def __init__(self) -> None:
        self._stripped_sha_of: dict[bytes, bytes] = {}

    def outgoing(self, command: Sequence[bytes]) -> Sequence[bytes]:
        """The command as Redis is to see it."""
        name = command[0].upper()
        if name == b"EVALSHA" and len(command) > 1:
            return [command[0], self._sha(command[1]), *command[2:]]
        if name == b"EVAL" and len(command) > 1:
            return [command[0], self._text(command[1]), *command[2:]]
        if name == b"SCRIPT" and len(command) > 2:
            subcommand = command[1].upper()
            if subcommand == b"LOAD":
                return [*command[:2], self._text(command[2]), *command[3:]]
            if subcommand == b"EXISTS":
                return [*command[:2], *map(self._sha, command[2:])]
        return command

    def incoming(self, command: Sequence[bytes], reply: Reply) -> Reply:
        """The reply as the caller is to see it: SCRIPT LOAD gives the SHA1 of the sent text."""
        if command[0].upper() != b"SCRIPT" or isinstance(reply, ErrorReply):
            return reply
        if command[1].upper() == b"LOAD" and _has_shebang(command[2]):
            return _sha1(command[2])
        return reply

    def _sha(self, sha: bytes) -> bytes:
        return self._stripped_sha_of.get(sha.lower(), sha)

    def _text(self, script: bytes) -> bytes:
        if not _has_shebang(script):
            return script
        # The line's end stays, so that errors name the line that the author sees.
        stripped = script[len(script.split(b"\n", 1)[0]) :]
        sha = _sha1(script)
        if sha not in self._stripped_sha_of:
            while len(self._stripped_sha_of) >= SCRIPTS_MAX:
                del self._stripped_sha_of[next(iter(self._stripped_sha_of))]
            self._stripped_sha_of[sha] = _sha1(stripped)
        return stripped


def _has_shebang(script: bytes) -> bool:
    return script.startswith(SHEBANG) and script[len(SHEBANG) :][:1] in (b"", b" ", b"\r", b"\n")


def _sha1(script: bytes) -> bytes:
    return hashlib.sha1(script, usedforsecurity=False).hexdigest().encode()
