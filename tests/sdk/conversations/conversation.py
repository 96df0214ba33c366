"""One call of a provider as it goes over the wire, and what the provider says that it used."""

import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN
from typing import Any

from genai_prices import extract_usage

from tests.support.vendor_http import vendor_http

Json = dict[str, Any]
#: An answer's events, by the request that came: some depend on what it asks for.
Events = Callable[[Json], Sequence[bytes]]

OPENAI, ANTHROPIC = "https://api.openai.com/v1", "https://api.anthropic.com"
EVENT_BY_EVENT, AT_ONCE = 0, -1


@dataclass(frozen=True)
class Conversation:
    """`path` is the method of the client, `request` its arguments.

    `usage` is the provider's own for the answer as a whole, in the price list's `flavor`; None
    where it charges nothing. `cut`: bytes in a piece, or one of the constants.
    """

    name: str
    path: str
    request: Json
    usage: Json | None
    flavor: str
    answer: Json | Events
    provider: str = "openai"
    vendor: str = "openai"
    base_url: str = OPENAI
    status: int = 200
    cut: int = EVENT_BY_EVENT
    newline: bytes = b"\n"
    compressed: bool = False
    #: The model that the provider says it was, where that is not the one that was asked for.
    model: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def streams(self) -> bool:
        return callable(self.answer)

    @property
    def cost_nano(self) -> int:
        """By the price list alone, in nano-dollars."""
        if self.usage is None:
            return 0
        response = {"model": self.model or self.request["model"], "usage": self.usage}
        found = extract_usage(response, provider_id=self.provider, api_flavor=self.flavor)
        usd = found.calc_price().total_price
        return int((usd * 10**9).to_integral_value(ROUND_HALF_EVEN))

    def named(self, suffix: str, **changes: Any) -> "Conversation":
        """The same in another guise."""
        return replace(self, name=f"{self.name}, {suffix}", **changes)

    def transport(self) -> vendor_http.MockTransport:
        """Answers every request with this."""
        return vendor_http.MockTransport(self._respond)

    def _respond(self, request: vendor_http.Request) -> vendor_http.Response:
        kind = "application/json"
        if callable(self.answer):
            kind = "text/event-stream; charset=utf-8"
            events = [
                e.replace(b"\n", self.newline) for e in self.answer(json.loads(request.read()))
            ]
        else:
            events = [json.dumps(self.answer, ensure_ascii=False).encode()]
        headers = {"content-type": kind, "x-request-id": "req_1", "request-id": "req_1"}
        whole = b"".join(events)
        if self.compressed:
            headers["content-encoding"] = "gzip"
            whole = gzip.compress(whole)
        if self.cut == AT_ONCE or (self.compressed and self.cut == EVENT_BY_EVENT):
            pieces = [whole]
        elif self.cut > 0:
            pieces = [whole[at : at + self.cut] for at in range(0, len(whole), self.cut)]
        else:
            pieces = list(events)
        return vendor_http.Response(self.status, headers=headers, stream=Pieces(pieces))


@dataclass
class Pieces(vendor_http.SyncByteStream, vendor_http.AsyncByteStream):
    """A body in exactly these pieces."""

    pieces: Sequence[bytes] = field(default_factory=list)

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


def event(data: Json | str, name: str | None = None) -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    lines = [f"event: {name}"] if name else []
    return "\n".join([*lines, *(f"data: {line}" for line in text.split("\n")), "", ""]).encode()
