"""LangChain: a callback handler that checks before a model is called, and settles afterwards.

```python
model = ChatOpenAI(model="gpt-4o-mini", callbacks=[TollkeeperCallback(tk)])
with tk.user("ada"):
    model.invoke("Hello")
```

The user is that of `tk.user(...)`, or `config={"metadata": {"tollkeeper_user": "ada"}}` for one run
(`tollkeeper_tier` likewise). A block raises `BlockedError` out of `invoke`, `stream` or a chain.
What the model's package reports is charged; where a stream is broken off or reports nothing, an
estimate is, marked as such. Against an OpenAI-compatible server pass `stream_usage=True`: without
it `ChatOpenAI` does not ask for the usage of a stream. Embeddings have no callbacks in LangChain:
use `tk.wrap` on the client, or `tk.meter`.

`TollkeeperCallback` is for `Tollkeeper` and `invoke`, `AsyncTollkeeperCallback` for
`AsyncTollkeeper` and `ainvoke`.
"""

# ruff: noqa: ARG002 - LangChain calls its hooks by keyword, used or not
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import Generation, GenerationChunk, LLMResult

from tollkeeper._estimate import answer_tokens, request_tokens
from tollkeeper.integrations._call import Call, CallRequest, Calls, Spent
from tollkeeper.integrations._counts import TokenCounts

if TYPE_CHECKING:
    from tollkeeper import AsyncTollkeeper, Tollkeeper

_MAX_OUTPUT = ("max_completion_tokens", "max_tokens", "max_output_tokens", "max_tokens_to_sample")
_Metadata = Mapping[str, Any]


class TollkeeperCallback(BaseCallbackHandler):
    """Meters every model call that it hears of. Safe to share between threads and models."""

    # LangChain logs and forgets what a handler raises unless told otherwise, and would make the
    # very call that was blocked.
    raise_error = True
    # In the caller's own context, where `tk.user` named the user.
    run_inline = True

    def __init__(self, tk: Tollkeeper) -> None:
        self._tk = tk
        self._calls: Calls[Call] = Calls()

    def on_chat_model_start(
        self,
        serialized: Mapping[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: _Metadata | None = None,
        **kwargs: Any,
    ) -> None:
        """Reserve, or raise BlockedError."""
        request = _request([[_sent(m) for m in one] for one in messages], metadata or {}, kwargs)
        self._calls.add(run_id, Call.begin(self._tk, request))

    def on_llm_start(
        self,
        serialized: Mapping[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        metadata: _Metadata | None = None,
        **kwargs: Any,
    ) -> None:
        """The same for a model that completes text."""
        request = _request(prompts, metadata or {}, kwargs)
        self._calls.add(run_id, Call.begin(self._tk, request))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Settle."""
        call = self._calls.take(run_id)
        if call is not None:
            call.end(_spent(response, call.request))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Settle what had come by then; release the reservation where nothing had."""
        call = self._calls.take(run_id)
        if call is not None:
            call.fail(_partly_spent(error, kwargs.get("response"), call))


class AsyncTollkeeperCallback(AsyncCallbackHandler):
    """The same for `AsyncTollkeeper`; its check does not hold up the event loop."""

    raise_error = True
    run_inline = True

    def __init__(self, tk: AsyncTollkeeper) -> None:
        self._tk = tk
        self._calls: Calls[Call] = Calls()

    async def on_chat_model_start(
        self,
        serialized: Mapping[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: _Metadata | None = None,
        **kwargs: Any,
    ) -> None:
        """Reserve, or raise BlockedError."""
        request = _request([[_sent(m) for m in one] for one in messages], metadata or {}, kwargs)
        self._calls.add(run_id, await Call.begin_async(self._tk, request))

    async def on_llm_start(
        self,
        serialized: Mapping[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        metadata: _Metadata | None = None,
        **kwargs: Any,
    ) -> None:
        """The same for a model that completes text."""
        request = _request(prompts, metadata or {}, kwargs)
        self._calls.add(run_id, await Call.begin_async(self._tk, request))

    async def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Settle."""
        call = self._calls.take(run_id)
        if call is not None:
            call.end(_spent(response, call.request))

    async def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Settle what had come by then; release the reservation where nothing had."""
        call = self._calls.take(run_id)
        if call is not None:
            call.fail(_partly_spent(error, kwargs.get("response"), call))


def _request(sent: Sequence[Any], metadata: _Metadata, kwargs: Mapping[str, Any]) -> CallRequest:
    asked: Mapping[str, Any] = kwargs.get("invocation_params") or {}
    limits = [asked.get(name) for name in _MAX_OUTPUT] + [metadata.get("ls_max_tokens")]
    limit = next((value for value in limits if isinstance(value, int)), None)
    tools = asked.get("tools") or asked.get("functions") or ()
    return CallRequest(
        provider=metadata.get("ls_provider"),
        model=metadata.get("ls_model_name") or asked.get("model") or asked.get("model_name"),
        input_tokens=request_tokens({"messages": sent, "tools": tools}),
        max_output_tokens=limit * (asked.get("n") or 1) if limit else None,
        user=metadata.get("tollkeeper_user"),
        tier=metadata.get("tollkeeper_tier"),
    )


def _sent(message: BaseMessage) -> dict[str, Any]:
    return {"role": message.type, "content": message.content, **message.additional_kwargs}


def _said(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, default=str)


def _spent(response: LLMResult, request: CallRequest) -> Spent:
    """What a finished call used: as the provider reported it, or as LangChain translated that."""
    generations = [one for several in response.generations for one in several]
    model = _model(response, generations) or request.model
    counts = [found for one in generations if (found := _metadata_of(one, "usage_metadata"))]
    if any(found.get("total_cost") == 0 for found in counts):
        return Spent(model=model)  # from LangChain's own cache: nobody was asked
    raw = _raw_usage(response.llm_output or {})
    if raw:
        return Spent(model, raw)
    if counts:
        # Every choice of one call carries the usage of all of them.
        return Spent(model, _counts(counts[0]).usage(request.provider))
    return _estimated(generations, model, request)


def _partly_spent(error: BaseException, response: LLMResult | None, call: Call) -> Spent | None:
    """What a call that failed is charged; None for nothing."""
    came = [one for several in response.generations for one in several] if response else []
    # LangChain also puts the details of an error here; only a piece of a stream is an answer.
    pieces = [one for one in came if isinstance(one, GenerationChunk)]
    request = call.request
    if response is not None and pieces:
        return _estimated(pieces, _model(response, pieces) or request.model, request)
    if isinstance(error, Exception) and "Timeout" not in type(error).__name__:
        return None
    # Nobody waited for the answer, which is being written and billed all the same.
    counts = TokenCounts(request.input_tokens, call.unseen_output())
    return Spent(request.model, counts.usage(request.provider), estimated=True)


def _estimated(generations: Sequence[Generation], model: str | None, request: CallRequest) -> Spent:
    """The input that the provider already counted, or ours, and the output by its text."""
    seen = max(
        (_counts(found) for one in generations if (found := _metadata_of(one, "usage_metadata"))),
        key=lambda counts: counts.input,
        default=TokenCounts(request.input_tokens, 0),
    )
    said = sum(answer_tokens(len(_output(one).encode()), 0) for one in generations)
    counts = replace(seen, output=max(seen.output, said))
    return Spent(model, counts.usage(request.provider), estimated=True)


def _output(generation: Generation) -> str:
    """All that the model wrote: text, reasoning, and the arguments of tools it called."""
    message = getattr(generation, "message", None)
    if message is None:
        return generation.text
    calls = getattr(message, "tool_call_chunks", None) or getattr(message, "tool_calls", None)
    said = _said(message.content) if message.content else ""
    return said + (json.dumps(calls, default=str) if calls else "")


def _metadata_of(generation: Generation, name: str) -> dict[str, Any]:
    return getattr(getattr(generation, "message", None), name, None) or {}


def _model(response: LLMResult, generations: Sequence[Generation]) -> str | None:
    """The model that answered, which may be a dated name of the one that was asked."""
    for found in (
        response.llm_output or {},
        *(_metadata_of(g, "response_metadata") for g in generations),
    ):
        name = found.get("model_name") or found.get("model")
        if isinstance(name, str) and name:
            return name
    return None


def _raw_usage(llm_output: Mapping[str, Any]) -> dict[str, Any] | None:
    """The provider's own object, where the model's package passes it on."""
    for name in ("token_usage", "usage"):
        found = llm_output.get(name)
        if isinstance(found, Mapping) and any(isinstance(n, int) for n in found.values()):
            return dict(found)
    return None


def _counts(found: Mapping[str, Any]) -> TokenCounts:
    given: Mapping[str, int] = found.get("input_token_details") or {}
    made: Mapping[str, int] = found.get("output_token_details") or {}
    # Anthropic's package names the caches by their time, and then counts them nowhere else.
    short, long = (given.get(f"ephemeral_{time}_input_tokens") or 0 for time in ("5m", "1h"))
    written = _sum(given, "cache_creation")
    return TokenCounts(
        input=found.get("input_tokens") or 0,
        output=found.get("output_tokens") or 0,
        cache_read=_sum(given, "cache_read"),
        cache_write_5m=short or max(0, written - long),
        cache_write_1h=long,
        reasoning=_sum(made, "reasoning"),
        input_audio=given.get("audio") or 0,
        output_audio=made.get("audio") or 0,
    )


def _sum(details: Mapping[str, int], name: str) -> int:
    """A service tier goes before the name: `flex_cache_read`."""
    return sum(count or 0 for key, count in details.items() if key.endswith(name))
