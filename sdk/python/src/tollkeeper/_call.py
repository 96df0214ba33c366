"""One metered call: reserved before it, settled exactly once after it, however it ends."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tollkeeper._asking import Check, Reserved
from tollkeeper._endpoints import Endpoint
from tollkeeper._estimate import TOKENS_PER_SECOND
from tollkeeper._sse import EventSplitter, event_data
from tollkeeper._types import Json

if TYPE_CHECKING:
    from tollkeeper._core import Core

logger = logging.getLogger("tollkeeper")

#: An answer that is read piece by piece and longer than this is settled on an estimate.
_BODY_BYTES_MAX = 64 << 20
#: Of an error that says that no request left this machine.
_NOT_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})
#: Of one that says that the connection broke while the answer was awaited. At once, it was a kept
#: connection that the provider had closed; later, the provider was at work.
_BROKEN = frozenset({"ReadError", "RemoteProtocolError", "CloseError"})
_BROKEN_AT_WORK_SECONDS = 1.0
#: What `_without_usage` takes out. Within a string its quotes would be escaped.
_NO_USAGE = re.compile(rb',\s*"usage":\s*null')


class Settlement:
    """Reports a call once. What comes after the first time is ignored."""

    def __init__(self, core: Core, check: Check, reserved: Reserved) -> None:
        self._core = core
        self._check = check
        self._reserved = reserved
        self._token = [os.getpid()]
        core.open.add(self)

    @property
    def is_open(self) -> bool:
        """Whether the call is not reported yet."""
        return bool(self._token)

    def settle(
        self,
        *,
        usage: Mapping[str, Any] | None = None,
        cost_usd: Decimal | str | None = None,
        model: str | None = None,
        status: str = "ok",
        estimated: bool = False,
    ) -> None:
        """Report what the call used."""
        try:
            # One step, so that of two threads, or of a thread and the collector, one wins.
            pid = self._token.pop()
        except IndexError:
            return
        self._core.open.discard(self)
        if pid != os.getpid():
            return  # a copy in the child of a fork: the parent reports its own call
        check = self._check
        self._core.report(
            user_id=check.identity.user_id,
            reservation_id=self._reserved.allowed.reservation_id,
            provider=check.provider,
            model=model or check.model,
            usage=usage,
            cost_usd=cost_usd,
            status=status,
            estimated=estimated,
        )
        for reservation_id in self._reserved.releases:
            self._core.release(check.identity.user_id, reservation_id)

    def not_billed(self) -> None:
        """The provider refused, or was not reached: nothing is charged, the reservation freed."""
        self.settle(status="error")

    def abandon(self) -> None:
        """Nobody said what it used: what was reserved for it is charged, as an estimate."""
        check, held = self._check, self._reserved.allowed.reserved_usd
        amount = held if held is not None else check.amount_usd
        tokens = {"input_tokens": check.input_tokens, "output_tokens": check.max_output_tokens}
        if amount is not None:
            self.settle(cost_usd=amount, estimated=True)
        elif check.model is not None and any(tokens.values()):
            # Nothing was reserved in an outage.
            usage = {name: count or 0 for name, count in tokens.items()}
            self.settle(usage=usage, estimated=True)
        else:
            self.settle(status="error", estimated=True)


class ModelCall(Settlement):
    """A call of a provider's endpoint, settled by what its answer says."""

    def __init__(
        self,
        core: Core,
        endpoint: Endpoint,
        check: Check,
        reserved: Reserved,
        *,
        hides_usage: bool,
    ) -> None:
        super().__init__(core, check, reserved)
        self._max_output = reserved.max_output_tokens
        self._tally = endpoint.tally()
        self._splitter = EventSplitter()
        self._body = bytearray()
        self._hides_usage = hides_usage
        self._began_at = time.monotonic()
        self._answered = False
        #: Bytes are being waited for right now, and not the caller.
        self.reading = False

    @property
    def answered(self) -> bool:
        """Whether an answer began to come, whose end then settles the call."""
        return self._answered

    def answer(self, content: bytes | None) -> None:
        """An answer has come: whole, or (None) to be read along."""
        self._answered = True
        if content is not None:
            self._whole(content)

    def begins(self) -> None:
        """An attempt is about to be sent; the first, or another of the package's own."""
        self._began_at = time.monotonic()

    def repeats(self, error: BaseException | None) -> None:
        """An attempt brought no answer, and the package sends the request again.

        What the provider may have worked on is charged as a call of its own: the reservation is
        for the attempt that will be answered.
        """
        check = self._check
        if error is None or check.model is None or not self._may_be_billed(error):
            return
        usage = self._tally.estimate(check.input_tokens or 0, self._unseen_output())
        self._core.report(
            user_id=check.identity.user_id,
            provider=check.provider,
            model=check.model,
            usage=usage,
            estimated=True,
        )

    def feed(self, data: bytes, *, events: bool) -> list[bytes]:
        """Read along; what the caller is to get of it."""
        if not events:
            if len(self._body) <= _BODY_BYTES_MAX:
                self._body += data
            return [data]
        passed = [self._event(event) for event in self._splitter.feed(data)]
        return [event for event in passed if event] if self._hides_usage else [data]

    def rest(self, *, events: bool) -> bytes:
        """The answer is read to its end: what is left of it for the caller."""
        if not events:
            self._whole(bytes(self._body))
            return b""
        rest = self._splitter.rest()
        kept = self._event(rest) if rest else b""
        self._tally.done()
        self.end()
        return kept if self._hides_usage else b""

    def end(self) -> None:
        """The answer ends here: settled at what was reported, or on an estimate marked as such."""
        tally = self._tally
        if (tally.model or self._check.model) is None:
            super().abandon()
        elif tally.unfinished:
            logger.warning("an answer in the background: its usage is estimated from above")
            usage = tally.estimate(self._check.input_tokens or 0, self._max_output)
            self.settle(usage=usage, model=tally.model, estimated=True)
        elif tally.complete and tally.usage is not None:
            self.settle(usage=tally.usage, model=tally.model)
        elif tally.complete and tally.failed:
            self.not_billed()
        else:
            output = tally.output_tokens if tally.began else self._unseen_output()
            usage = tally.estimate(self._check.input_tokens or 0, output)
            self.settle(usage=usage, model=tally.model, estimated=True)

    def abandon(self) -> None:
        """Nobody reads on: by what came so far."""
        self.end()

    def failed(self, error: BaseException) -> None:
        """The call raised. An answer on its way settles itself."""
        if self._answered or self._may_be_billed(error):
            self.end()
        else:
            self.not_billed()

    def _may_be_billed(self, error: BaseException) -> bool:
        """Whether the provider may have worked on an attempt that brought no answer."""
        if getattr(error, "status_code", None) is not None:
            return False
        if not isinstance(error, Exception):
            return True  # cancelled or interrupted while it waited
        names = _causes(error)
        if not _NOT_SENT.isdisjoint(names):
            return False
        if any("Timeout" in name for name in names):
            return True
        waited_s = time.monotonic() - self._began_at
        return not _BROKEN.isdisjoint(names) and waited_s >= _BROKEN_AT_WORK_SECONDS

    def _unseen_output(self) -> int:
        """Of an answer that nobody waited for: as much as the time was enough for."""
        seconds = time.monotonic() - self._began_at
        return min(self._max_output, -int(-seconds * TOKENS_PER_SECOND // 1))

    def _whole(self, content: bytes) -> None:
        try:
            data = json.loads(content)
            if isinstance(data, dict):
                self._tally.body(data)
        except (ValueError, AttributeError, TypeError) as error:
            logger.warning("an answer that cannot be metered exactly: %r", error)
            self._tally.unread(len(content))
        self.end()

    def _event(self, event: bytes) -> bytes:
        """Read one event; what the caller is to see of it."""
        data = event_data(event)
        if not data:
            return event
        if data.strip() == b"[DONE]":
            self._tally.done()
            self.end()
            return event
        try:
            value = json.loads(data)
            if not isinstance(value, dict):
                return event
            self._tally.event(value)
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            logger.warning("an event that cannot be metered: %r", error)
            return event
        if self._tally.complete:
            self.end()
        return _without_usage(event, value) if self._hides_usage else event


def _without_usage(event: bytes, value: Json) -> bytes:
    """The event as it would be had nobody asked for the usage."""
    if "usage" not in value:
        return event
    if value["usage"] is not None:
        # The chunk that was asked for has no choices; a provider that puts the usage into another
        # one does so unasked.
        return b"" if value.get("choices") == [] else event
    found = _NO_USAGE.findall(event)
    if len(found) == 1:  # as it is at the top, it is not what stands deeper
        return event.replace(found[0], b"")
    del value["usage"]
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def _causes(error: BaseException | None) -> set[str]:
    """The names of an error's class and of those of its causes."""
    names = set()
    while error is not None:
        names.add(type(error).__name__)
        error = error.__cause__
    return names
