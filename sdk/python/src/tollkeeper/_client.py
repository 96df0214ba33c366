"""The clients that apps construct. What they share is in the base; what waits, in each."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, TypeVar, cast

from tollkeeper import _protocol
from tollkeeper._asking import Check
from tollkeeper._core import Core, GetName, OnWarning, SpoolDir
from tollkeeper._meter import AsyncMeter, Meter
from tollkeeper._reporter import Stats
from tollkeeper._types import Allowed, Usage
from tollkeeper._wrapped import F, Wrapped

if TYPE_CHECKING:
    from typing_extensions import Literal

logger = logging.getLogger("tollkeeper")

C = TypeVar("C")

_FLUSH_SECONDS = 5.0
#: What a Lambda invocation keeps of its time when it flushes.
_LAMBDA_MARGIN_SECONDS = 0.5


class _Client:
    """What needs no waiting: whose call it is, wrapping, reporting."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        get_user_id: GetName | None = None,
        get_user_tier: GetName | None = None,
        timeout_s: float = 1.0,
        outage: Literal["allow", "block"] = "allow",
        on_partial: Literal["block", "cap"] = "block",
        spool_dir: SpoolDir = None,
        max_queue: int = 10_000,
        default_max_output_tokens: int = 4_096,
        redis_url: str | None = None,
        redis_token: str | None = None,
        on_warning: OnWarning | None = None,
    ) -> None:
        """Connect; nothing is sent yet. Raises ValueError for a setting that is missing or wrong.

        `url`, `api_key`: the intercept function's address and the whole `tk_...` string; left out,
        TOLLKEEPER_URL and TOLLKEEPER_API_KEY. `get_user_id`, `get_user_tier`: whose call it is
        where the call does not say. `timeout_s`: how long a check may take as a whole, before
        `outage` says whether the call goes ahead. `on_partial`: where a call's worst case does not
        fit but a shorter answer does, "cap" lowers its maximum of output tokens. `spool_dir`: keep
        usage on disk until it is delivered. `max_queue`: how many events may wait in memory; more
        wait in the spool, and are lost and logged where there is none.
        `default_max_output_tokens`: what is reserved for a call that sets no maximum. `redis_url`,
        `redis_token`: check against Upstash directly; usage and links still go to `url`.
        `on_warning`: called with the user's id and what a check warns of, in the thread or event
        loop of the call that asked and before it is made, whether it is wrapped, metered or a bare
        check; what it raises is logged.
        """
        self._core = Core(
            url,
            api_key,
            get_user_id=get_user_id,
            get_user_tier=get_user_tier,
            timeout_s=timeout_s,
            outage=outage,
            on_partial=on_partial,
            spool_dir=spool_dir,
            max_queue=max_queue,
            default_max_output_tokens=default_max_output_tokens,
            redis_url=redis_url,
            redis_token=redis_token,
            on_warning=on_warning,
        )

    def user(self, user_id: str, *, tier: str | None = None) -> AbstractContextManager[None]:
        """Within the `with` block, and in tasks started there, calls are this user's."""
        return self._core.user(user_id, tier=tier)

    def wrap(self, fn: F, *, provider: str | None = None) -> Wrapped[F]:
        """A metered twin of a method such as `client.chat.completions.create`.

        It is called as the method is, and also takes `tollkeeper_user=` and `tollkeeper_tier=`.
        Type checkers see the method's own overloads and not these two: where types are checked, say
        `wrapped.for_user("ada", tier="free")(...)` or `with tk.user("ada"):`. `provider` is whose
        prices hold; left out, it comes from the client's base URL. The twin raises BlockedError at
        a limit. Raises TypeError for a function that is no method of an openai or anthropic client.
        """
        from tollkeeper._metered import metered_function

        return metered_function(self._core, fn, provider)

    def wrap_client(self, client: C, *, provider: str | None = None) -> C:
        """A metered twin of an openai or anthropic client, sync or async.

        It is an instance of the same class and shares the connections; the client that is passed
        stays as it is. Raises TypeError for anything else.
        """
        from tollkeeper._metered import metered_client

        return metered_client(self._core, client, provider)

    def report(
        self,
        *,
        user_id: str | None = None,
        event_id: str | None = None,
        reservation_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        usage: Mapping[str, Any] | None = None,
        cost_usd: Decimal | str | None = None,
        status: Literal["ok", "error"] = "ok",
        estimated: bool = False,
        at: datetime | None = None,
    ) -> None:
        """Queue what a call used: the provider's raw `usage` object, or its cost.

        Returns at once; the event is delivered in the background until it arrives, and counts once
        by its id. Raises ValueError for an event that has no cost, or two.
        """
        self._core.report(
            user_id=self._core.identify(user_id).user_id,
            event_id=event_id,
            reservation_id=reservation_id,
            provider=provider,
            model=model,
            usage=usage,
            cost_usd=cost_usd,
            status=status,
            estimated=estimated,
            at=at,
        )

    def stats(self) -> Stats:
        """How many usage events are pending, delivered, rejected, dropped."""
        return self._core.reporter.stats()

    def lambda_flush(self, handler: F) -> F:
        """Decorate a Lambda handler: usage is delivered before the invocation ends.

        Behind the answer the process is frozen, and its background thread with it.
        """
        if inspect.iscoroutinefunction(handler):

            @functools.wraps(handler)
            async def flushed_async(event: Any, context: Any) -> Any:
                try:
                    return await handler(event, context)
                finally:
                    await _in_thread(self._core.reporter.flush, _time_left(context))

            return cast(F, flushed_async)

        @functools.wraps(handler)
        def flushed(event: Any, context: Any) -> Any:
            try:
                return handler(event, context)
            finally:
                self._core.reporter.flush(_time_left(context))

        return cast(F, flushed)

    def _check(
        self,
        user: str | None,
        tier: str | None,
        provider: str | None,
        model: str | None,
        input_tokens: int | None,
        max_output_tokens: int | None,
        amount_usd: Decimal | str | None,
    ) -> Check:
        identity = self._core.identify(user, tier)
        return Check(identity, provider, model, input_tokens, max_output_tokens, amount_usd)


class Tollkeeper(_Client):
    """A connection to one Tollkeeper. Make one for the process and share it.

    Close it, or use it in a `with` block: usage is delivered. At the exit of the process what is
    left is delivered too.
    """

    def check(
        self,
        *,
        user_id: str | None = None,
        tier: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        input_tokens: int | None = None,
        max_output_tokens: int | None = None,
        amount_usd: Decimal | str | None = None,
        request_id: str | None = None,
    ) -> Allowed:
        """Ask whether a call may run, and reserve what it may cost at most.

        The same `request_id` gets the same answer, so asking again is safe. Raises BlockedError at
        a limit, UnavailableError when the answer to an outage is to block, and TollkeeperError when
        the request itself is refused.
        """
        amount = (provider, model, input_tokens, max_output_tokens, amount_usd)
        return self._core.check(self._check(user_id, tier, *amount), request_id)

    def meter(
        self,
        *,
        user: str | None = None,
        tier: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        input_tokens: int | None = None,
        max_output_tokens: int | None = None,
        amount_usd: Decimal | str | None = None,
    ) -> Meter:
        """A `with` block that reserves, and settles what is reported in it; raises as `check`."""
        amount = (provider, model, input_tokens, max_output_tokens, amount_usd)
        return Meter(self._core, self._check(user, tier, *amount))

    def get_usage(self, user: str | None = None) -> Usage:
        """Where the user stands. Raises UnavailableError when no answer comes."""
        request = _protocol.usage_request(self._core.identify(user).user_id)
        return self._core.read(self._core.wait(self._core.submit(request)), _protocol.standing)

    def upgrade_link(
        self,
        user: str | None = None,
        *,
        tier: str | None = None,
        reason: str | None = None,
        expires_in: int | None = None,
    ) -> str:
        """A link to the upgrade page for this user, good for 15 minutes, or `expires_in` seconds
        (60 to 2,592,000): a link in an e-mail is opened days later."""
        identity = self._core.identify(user, tier)
        request = _protocol.link_request(identity.user_id, identity.tier, reason, expires_in)
        return self._core.read(self._core.wait(self._core.submit(request)), _protocol.link)

    def flush(self, timeout_s: float = _FLUSH_SECONDS) -> bool:
        """Wait until all reported usage is delivered; False when the time is up first."""
        return self._core.reporter.flush(timeout_s)

    def close(self, timeout_s: float = _FLUSH_SECONDS) -> int:
        """Deliver what is pending and close; the number of events that could not be delivered."""
        return self._core.close(timeout_s)

    def __enter__(self) -> Tollkeeper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncTollkeeper(_Client):
    """The same for asyncio. It belongs to no event loop: one serves any number of them."""

    async def check(
        self,
        *,
        user_id: str | None = None,
        tier: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        input_tokens: int | None = None,
        max_output_tokens: int | None = None,
        amount_usd: Decimal | str | None = None,
        request_id: str | None = None,
    ) -> Allowed:
        """See Tollkeeper.check."""
        amount = (provider, model, input_tokens, max_output_tokens, amount_usd)
        return await self._core.acheck(self._check(user_id, tier, *amount), request_id)

    def meter(
        self,
        *,
        user: str | None = None,
        tier: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        input_tokens: int | None = None,
        max_output_tokens: int | None = None,
        amount_usd: Decimal | str | None = None,
    ) -> AsyncMeter:
        """See Tollkeeper.meter; for `async with`."""
        amount = (provider, model, input_tokens, max_output_tokens, amount_usd)
        return AsyncMeter(self._core, self._check(user, tier, *amount))

    async def get_usage(self, user: str | None = None) -> Usage:
        """See Tollkeeper.get_usage."""
        request = _protocol.usage_request(self._core.identify(user).user_id)
        outcome = await self._core.wait_async(self._core.submit(request))
        return self._core.read(outcome, _protocol.standing)

    async def upgrade_link(
        self,
        user: str | None = None,
        *,
        tier: str | None = None,
        reason: str | None = None,
        expires_in: int | None = None,
    ) -> str:
        """See Tollkeeper.upgrade_link."""
        identity = self._core.identify(user, tier)
        request = _protocol.link_request(identity.user_id, identity.tier, reason, expires_in)
        outcome = await self._core.wait_async(self._core.submit(request))
        return self._core.read(outcome, _protocol.link)

    async def flush(self, timeout_s: float = _FLUSH_SECONDS) -> bool:
        """See Tollkeeper.flush."""
        return await _in_thread(self._core.reporter.flush, timeout_s)

    async def close(self, timeout_s: float = _FLUSH_SECONDS) -> int:
        """See Tollkeeper.close."""
        return await _in_thread(self._core.close, timeout_s)

    async def __aenter__(self) -> AsyncTollkeeper:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


T = TypeVar("T")


async def _in_thread(fn: Callable[[float], T], timeout_s: float) -> T:
    import asyncio

    return await asyncio.to_thread(fn, timeout_s)


def _time_left(context: Any) -> float:
    """What a Lambda invocation may still spend on a flush, in seconds."""
    left = getattr(context, "get_remaining_time_in_millis", None)
    if left is None:
        return _FLUSH_SECONDS
    seconds: float = left() / 1000 - _LAMBDA_MARGIN_SECONDS
    return max(0.0, min(_FLUSH_SECONDS, seconds))
