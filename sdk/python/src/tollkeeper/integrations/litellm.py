"""LiteLLM: a logger that checks before a call, and settles afterwards.

```python
toll = TollkeeperLogger(tk)
litellm.callbacks.append(toll)
with tk.user("ada"):
    await litellm.acompletion(model="openai/gpt-4o-mini", messages=[...])
    toll.completion(model="openai/gpt-4o-mini", messages=[...])
```

The user is that of `tk.user(...)`, or `metadata={"tollkeeper_user": "ada"}` of one call
(`tollkeeper_tier` likewise). LiteLLM has a hook that can stop a call only in its async functions
(and its proxy): their sync twins are called through `completion` and `embedding` here, and what is
called without them is not metered.

A retry of LiteLLM's own belongs to the call that it repeats. A stream that is broken off is not
told to any logger: it is charged once Python collects it, at an estimate of its input and of what
is written in its time, up to the output that was reserved. Use the provider's own package and
`tk.wrap` where streams are often stopped.
"""

# ruff: noqa: ARG002 - LiteLLM calls its hooks by keyword, used or not
from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import litellm
from litellm.integrations.custom_logger import CustomLogger

from tollkeeper import AsyncTollkeeper, Tollkeeper
from tollkeeper._estimate import request_tokens
from tollkeeper.integrations._call import Call, CallRequest, Calls, Spent
from tollkeeper.integrations._counts import TokenCounts

_CALL_ID = "litellm_call_id"
_BILLED = frozenset(
    ("completion", "acompletion", "text_completion", "atext_completion", "embedding", "aembedding")
)
#: The parts of a call that are its prompt.
_SENT = ("messages", "input", "prompt", "tools", "functions", "response_format")


class TollkeeperLogger(CustomLogger):
    """Meters completions and embeddings. Safe to share between threads and event loops."""

    def __init__(self, tk: Tollkeeper | AsyncTollkeeper) -> None:
        super().__init__()
        self._tk = tk
        self._calls: Calls[Call] = Calls()

    def completion(self, *args: Any, **kwargs: Any) -> Any:
        """`litellm.completion`, checked beforehand; raises BlockedError."""
        return litellm.completion(*args, **self._checked(kwargs, *args))

    def embedding(self, *args: Any, **kwargs: Any) -> Any:
        """`litellm.embedding`, checked beforehand; raises BlockedError."""
        return litellm.embedding(*args, **self._checked(kwargs, *args))

    async def async_pre_call_deployment_hook(
        self, kwargs: dict[str, Any], call_type: Any
    ) -> dict[str, Any] | None:
        """Reserve, or raise BlockedError, which reaches the caller."""
        if getattr(call_type, "value", call_type) not in _BILLED:
            return None
        call = await Call.begin_async(self._tk, _request(kwargs))
        self._calls.add(kwargs[_CALL_ID], call)
        # The stream object keeps this one, and nothing else tells of a stream that is dropped.
        weakref.finalize(kwargs["litellm_logging_obj"], self._dropped, kwargs[_CALL_ID])
        return _with_stream_usage(kwargs)

    def log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Settle a call of the sync functions."""
        self._settle(kwargs, response_obj)

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Settle a call of the async functions."""
        self._settle(kwargs, response_obj)

    def log_failure_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Release the reservation of a call that failed."""
        self._release(kwargs)

    async def async_log_failure_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Release the reservation of a call that failed."""
        self._release(kwargs)

    def _checked(self, kwargs: dict[str, Any], *args: Any) -> dict[str, Any]:
        if not isinstance(self._tk, Tollkeeper):
            raise TypeError("LiteLLM's sync functions need a Tollkeeper, not an AsyncTollkeeper")
        named = dict(zip(("model", "messages"), args))
        key = kwargs.setdefault(_CALL_ID, str(uuid4()))
        self._calls.add(key, Call.begin(self._tk, _request({**named, **kwargs})))
        return _with_stream_usage(kwargs)

    def _settle(self, kwargs: Mapping[str, Any], response: Any) -> None:
        call = self._calls.take(kwargs[_CALL_ID])
        if call is not None:
            call.end(_spent(kwargs, response, call.request))

    def _release(self, kwargs: Mapping[str, Any]) -> None:
        call = self._calls.take(kwargs[_CALL_ID])
        if call is not None:
            call.fail(None)

    def _dropped(self, key: str) -> None:
        call = self._calls.take(key)
        if call is not None:
            counts = TokenCounts(call.request.input_tokens, call.unseen_output())
            usage = counts.usage(call.request.provider)
            call.end(Spent(call.request.model, usage, estimated=True))


def _request(kwargs: Mapping[str, Any]) -> CallRequest:
    model, provider, *_ = litellm.get_llm_provider(
        kwargs["model"], kwargs.get("custom_llm_provider"), kwargs.get("api_base")
    )
    metadata: Mapping[str, Any] = kwargs.get("metadata") or {}
    sent = {name: kwargs[name] for name in _SENT if kwargs.get(name) is not None}
    limit = kwargs.get("max_completion_tokens") or kwargs.get("max_tokens")
    is_embedding = kwargs.get("input") is not None
    return CallRequest(
        provider=provider,
        model=model,
        input_tokens=request_tokens(sent),
        max_output_tokens=0 if is_embedding else limit and limit * (kwargs.get("n") or 1),
        user=metadata.get("tollkeeper_user"),
        tier=metadata.get("tollkeeper_tier"),
    )


def _with_stream_usage(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Without being asked, OpenAI reports no usage of a stream, and LiteLLM counts by itself."""
    if not kwargs.get("stream"):
        return kwargs
    return {
        **kwargs,
        "stream_options": {"include_usage": True, **(kwargs.get("stream_options") or {})},
    }


def _spent(kwargs: Mapping[str, Any], response: Any, request: CallRequest) -> Spent:
    if kwargs.get("cache_hit"):
        return Spent(request.model)
    provider = kwargs.get("custom_llm_provider") or request.provider
    model = getattr(response, "model", None) or request.model
    usage = getattr(response, "usage", None)
    if usage is None:
        return Spent(model, TokenCounts(request.input_tokens, 0).usage(provider), estimated=True)
    return Spent(model, _counts(usage).usage(provider))


def _counts(usage: Any) -> TokenCounts:
    """From LiteLLM's own usage object, the same for all providers: the input includes caches."""
    given = getattr(usage, "prompt_tokens_details", None)
    made = getattr(usage, "completion_tokens_details", None)
    times = getattr(given, "cache_creation_token_details", None)
    written = _int(given, "cache_creation_tokens") or _int(given, "cache_write_tokens")
    long = _int(times, "ephemeral_1h_input_tokens")
    return TokenCounts(
        input=_int(usage, "prompt_tokens"),
        output=_int(usage, "completion_tokens"),
        cache_read=_int(given, "cached_tokens"),
        cache_write_5m=max(0, written - long),
        cache_write_1h=long,
        reasoning=_int(made, "reasoning_tokens"),
        input_audio=_int(given, "audio_tokens"),
        output_audio=_int(made, "audio_tokens"),
    )


def _int(holder: Any, name: str) -> int:
    value = getattr(holder, name, None)
    return value if isinstance(value, int) else 0
