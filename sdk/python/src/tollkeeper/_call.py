"""One metered call: reserved before it, settled exactly once after it, however it ends."""

from __future__ import annotations

import functools
import json
import logging
import os
import time
from collections.abc import Awaitable, Generator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Callable, cast

from tollkeeper._endpoints import Endpoint
from tollkeeper._estimate import TOKENS_PER_SECOND
from tollkeeper._sse import EventSplitter, event_data
from tollkeeper._types import Allowed, BlockedError, Json, TollkeeperError

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


@dataclass(frozen=True)
class Identity:
    """Whose call it is."""

    user_id: str
    tier: str | None = None


@dataclass(frozen=True)
class Check:
    """What is asked before a call."""

    identity: Identity
    provider: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    max_output_tokens: int | None = None
    amount_usd: Decimal | str | None = None


@dataclass(frozen=True)
class Reserved:
    """What is held for a call. `releases`: held as well, and given back when the call settles."""

    allowed: Allowed
    max_output_tokens: int
    releases: tuple[str, ...] = ()


#: What a check raises where it does not allow.
_NO = (BlockedError, TollkeeperError)

#: Asks by yielding; it is sent what was allowed, and what was raised is thrown into it.
Asking = Generator[Check, Allowed, Reserved]


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
    del value["usage"]
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def _causes(error: BaseException | None) -> set[str]:
    """The names of an error's class and of those of its causes."""
    names = set()
    while error is not None:
        names.add(type(error).__name__)
        error = error.__cause__
    return names


def ask_once(check: Check) -> Asking:
    """Reserve the worst case."""
    allowed = yield check
    return Reserved(allowed, check.max_output_tokens or 0)


def ask_capped(check: Check, rates: Rates, least: int) -> Asking:
    """Reserve the worst case; where that does not fit, as much output as does (2 checks more).

    Prices are not known here. They show in what was reserved for other numbers of tokens: where
    they were seen before, the second check asks for what fits. Where not, it asks for a part, and
    the third for as much more as the money that is left buys at that price. `least`: fewer output
    tokens than these make no answer.
    """
    try:
        return (yield from ask_once(check))
    except BlockedError as error:
        blocked = error
    affordable, wanted = blocked.affordable_usd, check.max_output_tokens or 0
    known = rates.output_for(check, affordable)
    guess = known if known is not None else max(least, 16, wanted // 16)
    guess = min(guess, wanted - 1)
    if affordable <= 0 or guess < least:
        raise blocked
    try:
        part = yield replace(check, max_output_tokens=guess)
    except BlockedError:
        guess = max(least, guess // 8)
        try:
            return Reserved((yield replace(check, max_output_tokens=guess)), guess)
        except BlockedError:
            raise blocked from None
    # The input's share is in it too: one output token costs this much at most.
    left = affordable - (part.reserved_usd or affordable)
    more = min(wanted - guess, int(left * guess / part.reserved_usd)) if part.reserved_usd else 0
    if known is not None or more < 1:
        return Reserved(part, guess)
    try:
        rest = yield replace(check, input_tokens=0, max_output_tokens=more)
    except _NO:
        return Reserved(part, guess)
    if part.reserved_usd and rest.reserved_usd:
        rates.learn(check, guess, part.reserved_usd, more, rest.reserved_usd)
    releases = (rest.reservation_id,) if rest.reservation_id else ()
    return Reserved(part, guess + more, releases)


def drive(asking: Asking, ask: Callable[[Check], Allowed]) -> Reserved:
    """Let `asking` have its answers from a function that blocks."""
    step: Callable[[], Check] = lambda: next(asking)  # noqa: E731
    try:
        while True:
            check = step()
            try:
                step = functools.partial(asking.send, ask(check))
            except _NO as no:
                step = functools.partial(asking.throw, no)
    except StopIteration as stop:
        return cast(Reserved, stop.value)


async def drive_async(asking: Asking, ask: Callable[[Check], Awaitable[Allowed]]) -> Reserved:
    """Let `asking` have its answers from an async function."""
    step: Callable[[], Check] = lambda: next(asking)  # noqa: E731
    while True:
        try:
            check = step()
        except StopIteration as stop:
            return cast(Reserved, stop.value)
        try:
            step = functools.partial(asking.send, await ask(check))
        except _NO as no:
            step = functools.partial(asking.throw, no)


class Rates:
    """What a token was reserved at, by provider and model: learnt from capped calls."""

    def __init__(self) -> None:
        self._known: dict[tuple[str | None, str | None], tuple[Decimal, Decimal]] = {}

    def output_for(self, check: Check, affordable: Decimal) -> int | None:
        """How many output tokens fit beside the input; None where no price was seen."""
        found = self._known.get((check.provider, check.model))
        if found is None:
            return None
        per_input, per_output = found
        return int((affordable - per_input * (check.input_tokens or 0)) / per_output)

    def learn(
        self, check: Check, output: int, cost: Decimal, more: int, more_cost: Decimal
    ) -> None:
        """From two reservations: of the input with some output, and of output alone."""
        if not check.input_tokens:
            return
        per_output = more_cost / more
        per_input = (cost - per_output * output) / check.input_tokens
        if len(self._known) >= 1_000:
            self._known.clear()
        if per_input >= 0:
            self._known[check.provider, check.model] = per_input, per_output
