"""The vendors' prompt caches: a prefix that was sent lately is read cheaper, never guessed.

Two kinds, as in the vendors' guides. OpenAI's older models read the longest prefix seen, from
1,024 tokens in steps of 128, and bill no writes. Anthropic, and OpenAI from GPT-5.6 on, cache up
to breakpoints and bill what is written. Keys of different accounts and models share nothing.
"""

import hashlib
import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from infra.local.provider.prompt import Block, Lifetime, Prompt

ANTHROPIC_LOOKBACK_BLOCKS = 20
_STEP_TOKENS = 128
_STEP_MINIMUM_TOKENS = 1024
_SECONDS: dict[Lifetime, int] = {"5m": 300, "30m": 1800, "1h": 3600}
# OpenAI drops a prefix after five to ten idle minutes.
_STEP_SECONDS = 600


@dataclass(frozen=True)
class CacheUse:
    """Input tokens read from a cache and written to one, by how long they are kept."""

    read: int = 0
    written: int = 0
    written_1h: int = 0


class PromptCache:
    """Prefixes by digest, each with the time until which it lives."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._alive_until: dict[bytes, float] = {}

    def use_steps(self, scope: str, prompt: Prompt) -> CacheUse:
        """OpenAI before GPT-5.6: automatic, and free to write."""
        steps = [
            (size, digest)
            for size, digest in _digests(scope, ((token,) for token in prompt.tokens))
            if size >= _STEP_MINIMUM_TOKENS and size % _STEP_TOKENS == 0
        ]
        read = max((size for size, digest in steps if self._alive(digest)), default=0)
        for _, digest in steps:
            self._keep(digest, _STEP_SECONDS)
        return CacheUse(read=read)

    def use_breakpoints(
        self,
        scope: str,
        blocks: list[Block],
        *,
        minimum_tokens: int,
        lookback_blocks: int = ANTHROPIC_LOOKBACK_BLOCKS,
    ) -> CacheUse:
        """Read at the furthest live breakpoint, write up to each later one.

        A hit is looked for at a breakpoint and at `lookback_blocks` blocks before it. What lies
        between the hit and the last one-hour breakpoint is written for an hour, the rest up to
        the last breakpoint for the shorter time.
        """
        ends = list(_digests(scope, (block.tokens for block in blocks)))
        marks = [
            (i, block.cached_for)
            for i, block in enumerate(blocks)
            if block.cached_for and ends[i][0] >= minimum_tokens
        ]
        candidates = {i for mark, _ in marks for i in range(mark - lookback_blocks, mark + 1)}
        hits = [i for i in candidates if i >= 0 and self._alive(ends[i][1])]
        read = ends[max(hits)][0] if hits else 0
        for i, lifetime in marks:
            self._keep(ends[i][1], _SECONDS[lifetime])
        furthest = max((ends[i][0] for i, _ in marks), default=0)
        hour = max((ends[i][0] for i, lifetime in marks if lifetime == "1h"), default=0)
        written_1h = max(0, hour - read)
        return CacheUse(read, max(0, furthest - read - written_1h), written_1h)

    def _alive(self, digest: bytes) -> bool:
        return self._alive_until.get(digest, 0.0) > self._clock()

    def _keep(self, digest: bytes, seconds: int) -> None:
        now = self._clock()
        until = max(self._alive_until.get(digest, 0.0), now + seconds)
        self._alive_until[digest] = until
        if len(self._alive_until) % 1024 == 0:
            self._alive_until = {d: t for d, t in self._alive_until.items() if t > now}


def _digests(scope: str, pieces: Iterable[tuple[str, ...]]) -> Iterable[tuple[int, bytes]]:
    """After each piece: how many tokens so far, and the digest of all of them."""
    running = hashlib.sha256(scope.encode() + b"\0")
    size = itertools.accumulate(map(len, pieces := list(pieces)))
    for total, tokens in zip(size, pieces, strict=True):
        for token in tokens:
            running.update(token.encode() + b"\0")
        yield total, running.digest()
