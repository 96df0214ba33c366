"""From an HTTP request's parts to Redis commands.

Numbers keep the very text that the caller wrote: 64-bit integers and decimals reach Redis exact.
"""

import json
from collections.abc import Sequence
from typing import NoReturn
from urllib.parse import unquote_to_bytes


class BadRequestError(Exception):
    """A request that holds no command; the message is the answer's `error`."""


def body_command(body: bytes) -> list[bytes]:
    """The command of `POST /`: one JSON array."""
    return _command(_array(body))


def body_commands(body: bytes) -> list[list[bytes]]:
    """The commands of `/pipeline` and `/multi-exec`: an array of arrays."""
    rows = _array(body)
    if not rows:
        raise BadRequestError("ERR empty command")
    return [_command(row) for row in rows]


def path_command(raw_path: bytes, query: bytes, body: bytes) -> list[bytes]:
    """The command of `/name/argument/...`, then the body, then the query without `_token`.

    A query parameter adds its name and, where it has one, its value: `?EX=100&NX` is EX 100 NX.
    """
    command = [unquote_to_bytes(part) for part in raw_path.strip(b"/").split(b"/")]
    if command == [b""]:
        raise BadRequestError("ERR empty command")
    if body:
        command.append(body)
    for name, value in query_parameters(query):
        if name != b"_token":
            command.append(name)
            if value:
                command.append(value)
    return command


def query_parameters(query: bytes) -> list[tuple[bytes, bytes]]:
    """Names and values in the order of the query string."""
    pairs = (part.partition(b"=") for part in query.split(b"&") if part)
    return [(_query_text(name), _query_text(value)) for name, _, value in pairs]


def _query_text(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_decode = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_no_number).decode


def _array(body: bytes) -> list[object]:
    if not body.strip():
        raise BadRequestError("EOF")
    try:
        value: object = _decode(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"ERR invalid JSON: {error}") from error
    if not isinstance(value, list):
        raise BadRequestError("expected JSON array")
    return value


def _command(row: object) -> list[bytes]:
    if not isinstance(row, list):
        raise BadRequestError("expected JSON array")
    if not row:
        raise BadRequestError("ERR empty command")
    return [_argument(part) for part in row]


def _argument(part: object) -> bytes:
    if isinstance(part, str):
        return _utf8(part)
    if isinstance(part, bool):
        return b"true" if part else b"false"
    if part is None:
        raise BadRequestError("ERR null args are not supported")
    opening = "[" if isinstance(part, list) else "{"
    raise BadRequestError(f'ERR unsupported arg type: "{opening}": json.Delim')


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # A lone surrogate ("\ud800") is JSON but not Unicode text: U+FFFD, as a Go server has it.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def command_size_bytes(command: Sequence[bytes]) -> int:
    """What Upstash's max request size counts: the arguments of one command."""
    return sum(map(len, command))
