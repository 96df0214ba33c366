"""Scripts and commands sent to Redis, and its refusals as the ledger's errors."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from upstash_redis.errors import UpstashError

from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.adapters.scripts import Script
from tollkeeper_core.domain.ledger import LedgerUnavailableError

Call = tuple[Script, list[str], list[str]]


class RedisCalls:
    """Raises LedgerUnavailableError from everywhere.

    A script is one HTTP request; a second one follows only where the server does not know the
    script yet (NOSCRIPT), which happens once per script and server.
    """

    def __init__(self, client: LeanRedis) -> None:
        self._client = client

    def _run(self, code: Script, names: list[str], arguments: list[str]) -> Any:
        try:
            return self._client.evalsha(code.sha1, names, arguments)
        except UpstashError as error:
            if "NOSCRIPT" not in str(error):
                raise LedgerUnavailableError(f"{code.name}: {error}") from error
        return self._ask(lambda: self._client.eval(code.text, names, arguments))

    def run_many(self, calls: Sequence[Call]) -> list[Any]:
        """Scripts in one request: an answer for each, in order, or the text of its error."""
        if not calls:
            return []
        pipeline = self._client.pipeline()
        for code, names, arguments in calls:
            pipeline.evalsha(code.sha1, names, arguments)
        answers: list[Any] = self._ask(pipeline.exec)
        unknown = [n for n, answer in enumerate(answers) if "NOSCRIPT" in str(answer)[:20]]
        if unknown:
            # The first EVAL teaches the server the script, the others are then EVALSHAs in place:
            # one text of some kilobytes instead of ten.
            pipeline = self._client.pipeline()
            taught: set[str] = set()
            for n in unknown:
                code, names, arguments = calls[n]
                if code.sha1 in taught:
                    pipeline.evalsha(code.sha1, names, arguments)
                else:
                    pipeline.eval(code.text, names, arguments)
                    taught.add(code.sha1)
            for n, answer in zip(unknown, self._ask(pipeline.exec), strict=True):
                answers[n] = answer
        return answers

    def hashes(self, names: Sequence[str]) -> list[dict[str, str]]:
        """Whole hashes, in one request."""
        pipeline = self._client.pipeline()
        for name in names:
            pipeline.hgetall(name)
        return [found or {} for found in self._ask(pipeline.exec)] if names else []

    def fields(self, those: Sequence[tuple[str, Sequence[str]]]) -> list[list[str | None]]:
        """Some fields of some hashes, in one request."""
        pipeline = self._client.pipeline()
        for name, wanted in those:
            pipeline.hmget(name, *wanted)
        return list(self._ask(pipeline.exec)) if those else []

    def write_hashes(self, those: Sequence[tuple[str, dict[str, str], int]]) -> None:
        """Fields of hashes and the seconds that these live, in one request."""
        pipeline = self._client.pipeline()
        for name, fields, life_s in those:
            pipeline.hset(name, values=fields)
            pipeline.expire(name, life_s)
        if those:
            self._ask(pipeline.exec)

    def rename_fields(self, those: Sequence[tuple[str, str, str, str]]) -> None:
        """(hash, field, its value, new field): what the new one says already stays. One request."""
        pipeline = self._client.pipeline()
        for name, field, value, renamed in those:
            pipeline.hsetnx(name, renamed, value)
            pipeline.hdel(name, field)
        if those:
            self._ask(pipeline.exec)

    def scan_hash(
        self, name: str, count: int, match: str | None = None
    ) -> Iterator[dict[str, str]]:
        """A large hash, about ``count`` fields a request. A field may come twice while it grows."""
        cursor = 0
        while True:
            ask = partial(self._client.hscan, name, cursor, match, count)
            cursor, found = self._ask(ask)
            yield found
            if cursor == 0:
                return

    @staticmethod
    def _ask(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except UpstashError as error:
            raise LedgerUnavailableError(str(error)) from error
