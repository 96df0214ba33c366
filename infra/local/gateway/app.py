"""The Upstash REST API as an ASGI application (https://upstash.com/docs/redis/features/restapi).

Where the documentation is silent, the error texts are those that callers of the real service
have reported.
"""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import replies, requests
from .commands import READS, refusal
from .requests import BadRequestError
from .resp import Command, ErrorReply, RedisConnection, RedisUnavailableError, Reply
from .scripts import ScriptShebangs
from .stats import Counters

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

METHODS = frozenset({"HEAD", "GET", "POST", "PUT"})
UNAUTHORIZED = (
    "WRONGPASS invalid or missing auth token. "
    "See https://docs.upstash.com/redis/troubleshooting/http_unauthorized for details."
)
# https://upstash.com/docs/redis/troubleshooting/max_request_size_exceeded: 10 MB on the Free and
# the Pay-as-you-go plan, for each command, not for the HTTP body.
MAX_REQUEST_BYTES = 10 * 1024 * 1024
TOO_LARGE = (
    "ERR max request size exceeded. Limit: {limit} bytes, Actual: {actual} bytes. "
    "See https://upstash.com/docs/redis/troubleshooting/max_request_size_exceeded for details"
)
# A pipeline's body may be larger than any one command; this only keeps memory bounded.
BODY_BYTES_PER_REQUEST_BYTE = 8
# Outside the API: no command has such a name.
STATS_PATH = "/_local/stats"


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """`token` may do everything; `read_only_token`, when there is one, may read."""

    token: str
    read_only_token: str | None = None
    max_request_bytes: int = MAX_REQUEST_BYTES


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    content_type: bytes = b"application/json"


@dataclass(frozen=True, slots=True)
class _Format:
    """How the caller wants its strings: plain, base64, or everything in RESP2."""

    encode: replies.StringEncoder
    resp2: bool = False


class _RefusedError(Exception):
    """The whole request is refused: an HTTP status and the `error`."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


class _DisconnectedError(Exception):
    """The caller went away in the middle of its request."""


class GatewayApp:
    """The ASGI application; `redis` and the counters belong to the loop that serves it."""

    def __init__(self, redis: RedisConnection, settings: GatewaySettings) -> None:
        self._redis = redis
        self._settings = settings
        self._counters = Counters(redis)
        self._scripts = ScriptShebangs()
        self._token = settings.token.encode()
        self._read_only_token = (settings.read_only_token or "").encode()
        self._body_bytes_max = settings.max_request_bytes * BODY_BYTES_PER_REQUEST_BYTE
        # Upstash counts a database's writes; a caller sends the last count back to read its own
        # writes from a replica. There is one Redis here, so the count is only told.
        self._writes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(scope, receive)
        except _DisconnectedError:
            return
        except _RefusedError as refused:
            answer = _error(refused.status, refused.error)
        except BadRequestError as error:
            answer = _error(400, str(error))
        except RedisUnavailableError as error:
            answer = _error(503, f"ERR {error}")
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [
                    (b"content-type", answer.content_type),
                    (b"content-length", b"%d" % len(answer.body)),
                    (b"upstash-sync-token", b"%x" % self._writes),
                ],
            }
        )
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, receive: Receive) -> _Answer:
        path: str = scope["path"]
        headers = dict(scope["headers"])
        if path.startswith("/_local/"):
            return await self._local(scope["method"], path, headers)
        self._counters.http_requests += 1
        if scope["method"] not in METHODS:
            return _Answer(405, b"")
        query: bytes = scope["query_string"]
        read_only = self._authorize(headers, query)
        format_ = _format(headers)
        body = await self._body(headers, receive)
        if path == "/pipeline":
            return await self._pipeline(requests.body_commands(body), format_, read_only)
        if path == "/multi-exec":
            return await self._transaction(requests.body_commands(body), format_, read_only)
        if path == "/" and scope["method"] in ("POST", "PUT"):
            command = requests.body_command(body)
        else:
            command = requests.path_command(scope["raw_path"], query, body)
        return await self._single(command, format_, read_only)

    async def _single(self, command: Command, format_: _Format, read_only: bool) -> _Answer:
        self._refuse_whole([command], read_only)
        (reply,) = await self._run([command])
        status = 400 if isinstance(reply, ErrorReply) else 200
        if format_.resp2:
            return _resp2(status, [reply])
        return _json(status, replies.envelope(reply, format_.encode))

    async def _pipeline(
        self, commands: Sequence[Command], format_: _Format, read_only: bool
    ) -> _Answer:
        refused = {
            index: error
            for index, command in enumerate(commands)
            if (error := self._refusal(command, read_only)) is not None
        }
        allowed = [command for index, command in enumerate(commands) if index not in refused]
        ran = iter(await self._run(allowed) if allowed else ())
        answered = [
            ErrorReply(refused[index].encode()) if index in refused else next(ran)
            for index in range(len(commands))
        ]
        if format_.resp2:
            return _resp2(200, answered)
        return _json(200, [replies.envelope(reply, format_.encode) for reply in answered])

    async def _transaction(
        self, commands: Sequence[Command], format_: _Format, read_only: bool
    ) -> _Answer:
        self._refuse_whole(commands, read_only)
        queued = await self._redis.send([[b"MULTI"], *self._prepare(commands), [b"EXEC"]])
        results = queued.pop()
        if not isinstance(results, list):
            # EXECABORT: the error that spoiled the transaction says more than that it was spoilt.
            errors = [reply for reply in (*queued, results) if isinstance(reply, ErrorReply)]
            return _error(400, replies.plain(errors[0]))
        answered = map(self._scripts.incoming, commands, results)
        return _json(200, [replies.envelope(reply, format_.encode) for reply in answered])

    async def _run(self, commands: Sequence[Command]) -> list[Reply]:
        answered = await self._redis.send(self._prepare(commands))
        return list(map(self._scripts.incoming, commands, answered))

    def _prepare(self, commands: Sequence[Command]) -> list[Command]:
        """Count the commands and give them as Redis is to see them."""
        for command in commands:
            name = command[0].upper()
            self._counters.commands[name.decode().lower()] += 1
            self._writes += name not in READS
        return list(map(self._scripts.outgoing, commands))

    def _refuse_whole(self, commands: Sequence[Command], read_only: bool) -> None:
        for command in commands:
            if (error := self._refusal(command, read_only)) is not None:
                raise _RefusedError(413 if error.startswith("ERR max request size") else 400, error)

    def _refusal(self, command: Command, read_only: bool) -> str | None:
        limit = self._settings.max_request_bytes
        if (actual := requests.command_size_bytes(command)) > limit:
            return TOO_LARGE.format(limit=limit, actual=actual)
        return refusal(command, read_only=read_only)

    def _authorize(self, headers: dict[bytes, bytes], query: bytes) -> bool:
        """Whether the token is the read-only one; raises 401 when it is neither."""
        token = _bearer(headers)
        if b"_token=" in query:
            token = dict(requests.query_parameters(query)).get(b"_token", token)
        if hmac.compare_digest(token, self._token):
            return False
        if self._read_only_token and hmac.compare_digest(token, self._read_only_token):
            return True
        raise _RefusedError(401, UNAUTHORIZED)

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        limit = self._body_bytes_max
        announced = int(headers.get(b"content-length", b"0"))
        chunks: list[bytes] = []
        size = 0
        more = True
        while more:
            if max(size, announced) > limit:
                actual = max(size, announced)
                raise _RefusedError(413, TOO_LARGE.format(limit=limit, actual=actual))
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _DisconnectedError
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            more = message.get("more_body", False)
        return b"".join(chunks)

    async def _local(self, method: str, path: str, headers: dict[bytes, bytes]) -> _Answer:
        if not hmac.compare_digest(_bearer(headers), self._token):
            return _error(401, UNAUTHORIZED)
        if (method, path) == ("GET", STATS_PATH):
            return _json(200, await self._counters.stats())
        if (method, path) == ("POST", f"{STATS_PATH}/reset"):
            await self._counters.reset()
            return _json(200, {})
        return _error(404, f"no {method} {path}")


def _bearer(headers: dict[bytes, bytes]) -> bytes:
    """The token of `Authorization: Bearer <token>`; Upstash also takes the token alone."""
    value = headers.get(b"authorization", b"").strip()
    scheme, _, token = value.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else value


def _format(headers: dict[bytes, bytes]) -> _Format:
    encoding = headers.get(b"upstash-encoding", b"")
    if encoding not in (b"", b"base64"):
        raise _RefusedError(400, f"ERR invalid Upstash-Encoding: {replies.plain(encoding)}")
    response_format = headers.get(b"upstash-response-format", b"json")
    if response_format not in (b"json", b"resp2"):
        shown = replies.plain(response_format)
        raise _RefusedError(400, f"ERR invalid Upstash-Response-Format: {shown}")
    resp2 = response_format == b"resp2"
    if resp2 and encoding:
        raise _RefusedError(400, "ERR Upstash-Encoding base64 is not permitted with resp2")
    return _Format(replies.base64 if encoding else replies.plain, resp2)


def _json(status: int, value: object) -> _Answer:
    return _Answer(status, replies.json_body(value))


def _error(status: int, error: str) -> _Answer:
    return _json(status, {"error": error})


def _resp2(status: int, answered: Sequence[Reply]) -> _Answer:
    return _Answer(status, replies.resp2_body(answered), b"application/octet-stream")
