"""From Redis replies to response bodies: JSON, JSON with base64 strings, or RESP2."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence

from .resp import NIL_ARRAY, ErrorReply, NilArray, Reply, Status

Json = None | int | str | Sequence["Json"] | Mapping[str, "Json"]
StringEncoder = Callable[[bytes], str]

_encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def json_body(value: object) -> bytes:
    """The bytes of a JSON response."""
    return _encode_json(value).encode()


def plain(text: bytes) -> str:
    """Text as it is; what is not UTF-8 becomes U+FFFD, as Upstash documents."""
    return text.decode("utf-8", "replace")


def base64(text: bytes) -> str:
    """Base64 of every string but the status OK, as Upstash documents; binary-safe."""
    return "OK" if isinstance(text, Status) and text == b"OK" else b64encode(text).decode()


def envelope(reply: Reply, encode: StringEncoder) -> dict[str, Json]:
    """`{"result": ...}` or `{"error": ...}`; errors are always plain text."""
    if isinstance(reply, ErrorReply):
        return {"error": plain(reply)}
    return {"result": _value(reply, encode)}


def _value(reply: Reply, encode: StringEncoder) -> Json:
    if isinstance(reply, bytes):
        return encode(reply)
    if isinstance(reply, list):
        return [_value(item, encode) for item in reply]
    return None if isinstance(reply, NilArray) else reply


def resp2_body(replies: Iterable[Reply]) -> bytes:
    """The replies one after the other, as a TCP client reads them."""
    return b"".join(map(_resp2, replies))


def _resp2(reply: Reply) -> bytes:
    if isinstance(reply, list):
        return b"*%d\r\n%b" % (len(reply), resp2_body(reply))
    if isinstance(reply, ErrorReply):
        return b"-%b\r\n" % reply
    if isinstance(reply, Status):
        return b"+%b\r\n" % reply
    if isinstance(reply, bytes):
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    return b"*-1\r\n" if reply is NIL_ARRAY else b"$-1\r\n"
