"""What every endpoint shares: the caches, the ledger, and the pace at which tokens come."""

import asyncio
import json
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.responses import StreamingResponse

from infra.local.provider.cache import CacheUse, PromptCache
from infra.local.provider.errors import Vendor
from infra.local.provider.ledger import Call, Ledger
from infra.local.provider.models import Model
from infra.local.provider.prompt import Json, Prompt

_CONVERSATIONS_KEPT = 1_000


@dataclass
class Caller:
    """Who asks for which model; prompt caches are shared within one key only."""

    key: str
    model: Model


@dataclass
class Desk:
    """The state of a running provider."""

    token_delay_ms: float = 15.0
    cache: PromptCache = field(default_factory=PromptCache)
    ledger: Ledger = field(default_factory=Ledger)
    _conversations: OrderedDict[str, list[Json]] = field(default_factory=OrderedDict)

    def remember(self, response_id: str, items: list[Json]) -> None:
        """Keep a conversation for `previous_response_id`; the oldest makes room."""
        self._conversations[response_id] = items
        if len(self._conversations) > _CONVERSATIONS_KEPT:
            self._conversations.popitem(last=False)

    def recall(self, response_id: str) -> list[Json] | None:
        """The items up to and with that response; None when it is not known."""
        return self._conversations.get(response_id)

    def open_call(
        self, vendor: Vendor, endpoint: str, caller: Caller, prompt: Prompt, use: CacheUse
    ) -> Call:
        """Enter a call into the ledger."""
        call_id = uuid.uuid4().hex
        name = caller.model.name
        return self.ledger.add(Call(call_id, vendor, endpoint, name, prompt.input_tokens, use))

    async def produce(
        self, call: Call, tokens: Iterable[str], *, reasoning: bool = False
    ) -> AsyncIterator[str]:
        """Yield the tokens at the model's pace and count each as it is produced."""
        for token in tokens:
            await asyncio.sleep(self.token_delay_ms / 1000)
            call.output_tokens += 1
            call.reasoning_tokens += reasoning
            yield token

    async def produce_all(self, call: Call, tokens: Iterable[str], *, reasoning: bool) -> None:
        """Produce tokens that nobody reads one by one."""
        async for _ in self.produce(call, tokens, reasoning=reasoning):
            pass


@contextmanager
def until_answered(call: Call) -> Iterator[None]:
    """Close the call with how it ended; a client that left has cancelled it."""
    try:
        yield
        call.status = "complete"
    except (asyncio.CancelledError, GeneratorExit):
        call.status = "cancelled"
        raise
    except BaseException:
        call.status = "failed"
        raise


def sse(data: object, event: str | None = None) -> bytes:
    """One server-sent event; `data` that is no string becomes JSON."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {text}\n\n".encode()


class EventStream(StreamingResponse):
    """Server-sent events; a client that leaves cancels the generator that makes them."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], headers: dict[str, str]) -> None:
        super().__init__(events, headers=headers)
