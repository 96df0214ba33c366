"""Responses whose bytes are read along by the call that they settle."""

from __future__ import annotations

import functools
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tollkeeper._call import ModelCall

_CALL = "_tollkeeper_call"


def read_along(response: Any, call: ModelCall) -> None:
    """Settle by an answer that is there, or read along while one comes."""
    if response.is_stream_consumed or response.is_closed:
        call.answer(response.content)
        return
    call.answer(None)
    cls: Any = type(response)
    response.__class__ = _reading_class(cls)
    response.__dict__[_CALL] = call
    # For a response that nobody reads to its end, nor closes.
    weakref.finalize(response, call.end).atexit = False


@functools.lru_cache(maxsize=None)  # noqa: UP033  # as long as the classes themselves
def _reading_class(cls: Any) -> type:
    """A response class whose bytes are read along by the call that they settle."""
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
    own = {**_reading(cls), **_reading_async(cls), **_closing(cls)}
    return type(cls.__name__, (cls,), {**names, **own})


def _is_events(response: Any) -> bool:
    return "text/event-stream" in response.headers.get("content-type", "")


def _reading(cls: Any) -> dict[str, Any]:
    def iter_bytes(self: Any, chunk_size: int | None = None) -> Iterator[bytes]:
        call: ModelCall = getattr(self, _CALL)
        events = _is_events(self)
        chunks = cls.iter_bytes(self, chunk_size)
        try:
            while True:
                call.reading = True
                try:
                    chunk = next(chunks)
                except StopIteration:
                    break
                finally:
                    call.reading = False
                yield from call.feed(chunk, events=events)
            rest = call.rest(events=events)
            if rest:
                yield rest
        finally:
            chunks.close()
            call.end()

    return {"iter_bytes": iter_bytes}


def _reading_async(cls: Any) -> dict[str, Any]:
    async def aiter_bytes(self: Any, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        call: ModelCall = getattr(self, _CALL)
        events = _is_events(self)
        chunks = cls.aiter_bytes(self, chunk_size)
        try:
            while True:
                call.reading = True
                try:
                    chunk = await chunks.__anext__()
                except StopAsyncIteration:
                    break
                finally:
                    call.reading = False
                for piece in call.feed(chunk, events=events):
                    yield piece
            rest = call.rest(events=events)
            if rest:
                yield rest
        finally:
            call.end()
            await chunks.aclose()

    return {"aiter_bytes": aiter_bytes}


def _closing(cls: Any) -> dict[str, Any]:
    # Also called from within the reading at the end of a body, whose last bytes are still to come.
    def close(self: Any) -> None:
        try:
            cls.close(self)
        finally:
            call: ModelCall = getattr(self, _CALL)
            if not call.reading:
                call.end()

    async def aclose(self: Any) -> None:
        try:
            await cls.aclose(self)
        finally:
            call: ModelCall = getattr(self, _CALL)
            if not call.reading:
                call.end()

    return {"close": close, "aclose": aclose}
