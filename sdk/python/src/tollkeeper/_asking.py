"""What is asked before a call: whose it is, what it may cost, and how much of it fits."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Generator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Callable, cast

from tollkeeper._types import Allowed, BlockedError, TollkeeperError


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


def ask_once(check: Check) -> Asking:
    """Reserve the worst case."""
    allowed = yield check
    return Reserved(allowed, check.max_output_tokens or 0)


def ask_capped(check: Check, rates: Rates, least: int) -> Asking:
    """Reserve the worst case; where that does not fit, as much output as does.

    Prices are not known here. They show in what is reserved for other numbers of tokens: where they
    were seen before, one check more asks for what fits. Where not, it takes three. `least`: fewer
    output tokens than these make no answer. Raises BlockedError where not even they fit.
    """
    try:
        return (yield from ask_once(check))
    except BlockedError as error:
        blocked = error
    wanted = check.max_output_tokens or 0
    if blocked.affordable_usd <= 0 or least >= wanted:
        raise blocked
    fits = rates.output_for(check, blocked.affordable_usd)
    if fits is not None:
        output = min(fits, wanted - 1)
        if output < least:
            raise blocked
        try:
            return Reserved((yield replace(check, max_output_tokens=output)), output)
        except BlockedError as error:  # somebody spent of it, or the price is another one now
            blocked = error
    try:
        return (yield from _learn(check, rates, least, blocked.affordable_usd))
    except BlockedError:
        raise blocked from None


def _learn(check: Check, rates: Rates, least: int, affordable: Decimal) -> Asking:
    """The input with the least output, one output token, and output for all that is left then."""
    part = yield replace(check, max_output_tokens=least)
    if part.reserved_usd is None:  # an outage, in which calls go ahead
        return Reserved(part, check.max_output_tokens or 0)
    more, held = 0, []
    try:
        token = yield replace(check, input_tokens=0, max_output_tokens=1)
        held.append(token)
        if token.reserved_usd:
            rates.learn(check, least, part.reserved_usd, token.reserved_usd)
            left = affordable - part.reserved_usd - token.reserved_usd
            fits = min((check.max_output_tokens or 0) - 1 - least, int(left / token.reserved_usd))
            if fits > 0:
                held.append((yield replace(check, input_tokens=0, max_output_tokens=fits)))
                more = fits
    except _NO:
        pass  # the least it is
    releases = tuple(one.reservation_id for one in held if one.reservation_id)
    return Reserved(part, least + more, releases)


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

    def learn(self, check: Check, output: int, cost: Decimal, per_output: Decimal) -> None:
        """From what the input with some output costs, and what one output token does."""
        if not check.input_tokens:
            return
        per_input = (cost - per_output * output) / check.input_tokens
        if len(self._known) >= 1_000:
            self._known.clear()
        if per_input >= 0:
            self._known[check.provider, check.model] = per_input, per_output
