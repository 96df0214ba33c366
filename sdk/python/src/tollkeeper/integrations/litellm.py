"""LiteLLM: its `completion` and `acompletion`, checked before and settled afterwards.

```python
complete = metered(tk, litellm.completion)
with tk.user("ada"):
    complete(model="anthropic/claude-haiku-4-5", messages=messages)
```

It also takes `tollkeeper_user=` and `tollkeeper_tier=`. A block raises `BlockedError` before the
model is asked. What LiteLLM read of the provider's usage is charged; a stream that is broken off is
charged an estimate, marked as such.

A function and not one of LiteLLM's callbacks, since LiteLLM logs and forgets what a callback
raises: it could count, and stop nobody. What LiteLLM repeats by itself (`num_retries`) is one call
here, charged by the attempt that was answered.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Callable, TypeVar, cast

import litellm

from tollkeeper._estimate import answer_tokens, request_tokens
from tollkeeper.integrations._call import Call, CallRequest, Spent
from tollkeeper.integrations._counts import TokenCounts

if TYPE_CHECKING:
    from tollkeeper import AsyncTollkeeper, Tollkeeper

F = TypeVar("F", bound=Callable[..., Any])

#: LiteLLM's names of providers where the price list has others.
_PROVIDERS = {
    "gemini": "google",
    "vertex_ai": "google",
    "vertex_ai_beta": "google",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "xai": "x-ai",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "text-completion-openai": "openai",
}


def metered(tk: Tollkeeper | AsyncTollkeeper, fn: F) -> F:
    """A metered twin of `litellm.completion` or `litellm.acompletion`, of the same type.

    `acompletion` goes with either client, `completion` with `Tollkeeper`.
    """
    if inspect.iscoroutinefunction(fn):

        @functools.wraps(fn)
        async def acomplete(*args: Any, **kwargs: Any) -> Any:
            request, hides = _prepare(fn, args, kwargs)
            call = await Call.begin_async(tk, request)
            try:
                answer = await fn(*args, **kwargs)
            except BaseException as error:
                call.fail(_failed(error, call))
                raise
            if hasattr(answer, "__aiter__"):
                return _AsyncStream(answer, _Reading(call, hides))
            call.end(_spent(answer, request))
            return answer

        return cast(F, acomplete)

    @functools.wraps(fn)
    def complete(*args: Any, **kwargs: Any) -> Any:
        request, hides = _prepare(fn, args, kwargs)
        call = Call.begin(cast("Tollkeeper", tk), request)
        try:
            answer = fn(*args, **kwargs)
        except BaseException as error:
            call.fail(_failed(error, call))
            raise
        if hasattr(answer, "__next__"):
            return _Stream(answer, _Reading(call, hides))
        call.end(_spent(answer, request))
        return answer

    return cast(F, complete)


def _prepare(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[CallRequest, bool]:
    """What the call may use, and whether a stream's usage is asked for only by us."""
    user, tier = kwargs.pop("tollkeeper_user", None), kwargs.pop("tollkeeper_tier", None)
    asked = inspect.signature(fn).bind_partial(*args, **kwargs).arguments
    asked = {**asked, **asked.get("kwargs", {})}
    hides = False
    if asked.get("stream"):
        options: Mapping[str, Any] = asked.get("stream_options") or {}
        hides = not options.get("include_usage")
        kwargs["stream_options"] = {**options, "include_usage": True}
    model, provider, _, _ = litellm.get_llm_provider(
        model=asked.get("model"),
        custom_llm_provider=asked.get("custom_llm_provider"),
        api_base=asked.get("api_base") or asked.get("base_url"),
    )
    limit = asked.get("max_completion_tokens") or asked.get("max_tokens")
    sent = {"messages": asked.get("messages"), "tools": asked.get("tools") or ()}
    request = CallRequest(
        provider=_PROVIDERS.get(provider, provider),
        model=model,
        input_tokens=request_tokens(sent),
        max_output_tokens=limit * (asked.get("n") or 1) if limit else None,
        user=user,
        tier=tier,
    )
    return request, hides


class _Reading:
    """What has come of a stream. Ends once, however it ends."""

    def __init__(self, call: Call, hides_usage: bool) -> None:
        self._call = call
        self._hides_usage = hides_usage
        self._size = 0
        self._pieces = 0
        self._usage: Any = None
        self._model: str | None = None
        self._ended = False

    def take(self, chunk: Any) -> bool:
        """Read along; False for a chunk that only we asked for."""
        self._model = getattr(chunk, "model", None) or self._model
        for choice in chunk.choices:
            size = len(choice.delta.model_dump_json(exclude_none=True).encode())
            if size > len("{}"):
                self._size, self._pieces = self._size + size, self._pieces + 1
        usage = getattr(chunk, "usage", None)
        if usage is not None:
            self._usage = usage
        return not (self._hides_usage and usage is not None and not chunk.choices)

    def end(self) -> None:
        """Settled at what was reported, or on an estimate."""
        if self._ended:
            return
        self._ended = True
        request = self._call.request
        model = _priced_model(self._model, request)
        if self._usage is not None:
            self._call.end(Spent(model, _counts(self._usage).usage(request.provider)))
            return
        counts = TokenCounts(request.input_tokens, answer_tokens(self._size, self._pieces))
        self._call.end(Spent(model, counts.usage(request.provider), estimated=True))


class _Stream:
    """LiteLLM's stream, read along. Attributes are those of the stream."""

    def __init__(self, stream: Any, reading: _Reading) -> None:
        self._stream = stream
        self._reading = reading

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while True:
            try:
                chunk = next(self._stream)
            except BaseException:
                self._reading.end()
                raise
            if self._reading.take(chunk):
                return chunk

    def close(self) -> None:
        """Break off: what came by now is charged."""
        self._reading.end()
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()

    def __del__(self) -> None:
        self._reading.end()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _AsyncStream:
    """The same for `acompletion`."""

    def __init__(self, stream: Any, reading: _Reading) -> None:
        self._stream = stream
        self._reading = reading

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        while True:
            try:
                chunk = await self._stream.__anext__()
            except BaseException:
                self._reading.end()
                raise
            if self._reading.take(chunk):
                return chunk

    async def aclose(self) -> None:
        """Break off: what came by now is charged."""
        self._reading.end()
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()

    def __del__(self) -> None:
        self._reading.end()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _spent(answer: Any, request: CallRequest) -> Spent:
    """What a whole answer used. One from LiteLLM's own cache asked nobody."""
    hidden: Mapping[str, Any] = getattr(answer, "_hidden_params", None) or {}
    model = _priced_model(answer.model, request)
    if hidden.get("cache_hit"):
        return Spent(model)
    usage = getattr(answer, "usage", None)
    if usage is not None and (usage.prompt_tokens or usage.completion_tokens):
        return Spent(model, _counts(usage).usage(request.provider))
    said = sum(len(choice.message.model_dump_json().encode()) for choice in answer.choices)
    counts = TokenCounts(request.input_tokens, answer_tokens(said, 0))
    return Spent(model, counts.usage(request.provider), estimated=True)


def _failed(error: BaseException, call: Call) -> Spent | None:
    """A provider that refused charges nothing; one that nobody waited for may well."""
    if isinstance(error, Exception) and not isinstance(error, litellm.exceptions.Timeout):
        return None
    counts = TokenCounts(call.request.input_tokens, call.unseen_output())
    return Spent(call.request.model, counts.usage(call.request.provider), estimated=True)


def _priced_model(named: str | None, request: CallRequest) -> str | None:
    """The name that the answer gives, without LiteLLM's prefix."""
    return named.rpartition("/")[2] if named and request.provider != "openrouter" else request.model


def _counts(usage: Any) -> TokenCounts:
    """LiteLLM's usage object: OpenAI's, with the cache's counts of all providers in it."""
    given, made = usage.prompt_tokens_details, usage.completion_tokens_details
    written = _int(usage, "cache_creation_input_tokens") or _int(given, "cache_creation_tokens")
    times = getattr(given, "cache_creation_token_details", None)
    long = _int(times, "ephemeral_1h_input_tokens")
    return TokenCounts(
        input=usage.prompt_tokens or 0,
        output=usage.completion_tokens or 0,
        cache_read=_int(given, "cached_tokens") or _int(usage, "cache_read_input_tokens"),
        cache_write_5m=max(0, written - long),
        cache_write_1h=long,
        reasoning=_int(made, "reasoning_tokens"),
        input_audio=_int(given, "audio_tokens"),
        output_audio=_int(made, "audio_tokens"),
    )


def _int(source: Any, name: str) -> int:
    value = getattr(source, name, None)
    return value if isinstance(value, int) else 0
