"""What sync and async clients share: settings, whose call it is, and what an outage means."""

from __future__ import annotations

import atexit
import logging
import os
import weakref
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union
from urllib.parse import urlsplit

from tollkeeper import _protocol
from tollkeeper._asking import Check, Identity, Rates
from tollkeeper._call import Settlement
from tollkeeper._protocol import Answer, NoAnswer, Request
from tollkeeper._reporter import Reporter
from tollkeeper._types import Allowed, Json, TollkeeperError, UnavailableError
from tollkeeper._version import __version__

if TYPE_CHECKING:
    from tollkeeper._direct import Direct
    from tollkeeper._engine import Engine

logger = logging.getLogger("tollkeeper")

T = TypeVar("T")
GetName = Callable[[], Optional[str]]
OnWarning = Callable[[str, "tuple[Json, ...]"], None]
SpoolDir = Union[str, Path, None]

Outcome = Union[Answer, NoAnswer]

_EXIT_SECONDS = 5.0
_GRACE_SECONDS = 0.25


class Core:
    """One connection to one Tollkeeper. Safe across threads, event loops and forks."""

    def __init__(
        self,
        url: str | None,
        api_key: str | None,
        *,
        get_user_id: GetName | None,
        get_user_tier: GetName | None,
        timeout_s: float,
        outage: str,
        on_partial: str,
        spool_dir: SpoolDir,
        max_queue: int,
        default_max_output_tokens: int,
        redis_url: str | None,
        redis_token: str | None,
        on_warning: OnWarning | None,
    ) -> None:
        from tollkeeper._engine import Engine  # asyncio, which importing the package does not need

        url = _setting("url", url, "TOLLKEEPER_URL").rstrip("/")
        api_key = _setting("api_key", api_key, "TOLLKEEPER_API_KEY")
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"url: {url!r} is no http(s) address")
        _one_of("outage", outage, ("allow", "block"))
        _one_of("on_partial", on_partial, ("block", "cap"))
        if timeout_s <= 0 or max_queue < 1 or default_max_output_tokens < 1:
            raise ValueError("timeout_s, max_queue and default_max_output_tokens are above 0")
        headers = {
            "Authorization": f"Bearer {api_key}",
            "Content-Type": "application/json",
            "User-Agent": f"tollkeeper-python/{__version__}",
        }
        self.timeout_s = timeout_s
        self.caps = on_partial == "cap"
        self.default_max_output_tokens = default_max_output_tokens
        self.rates = Rates()
        #: Calls under way. Settled at the exit, which nobody else would do.
        self.open: set[Settlement] = set()
        self.metered_classes: dict[type, type] = {}
        self._outage = outage
        self._on_warning = on_warning
        self._get_user_id = get_user_id
        self._get_user_tier = get_user_tier
        self._identity: ContextVar[Identity | None] = ContextVar("tollkeeper_user", default=None)
        engine = Engine(url, headers, timeout_s)
        self.engine: Engine | Direct = engine
        if redis_url or redis_token:
            if not redis_url or not redis_token:
                raise ValueError("redis_url and redis_token go together")
            from tollkeeper._direct import Direct

            self.engine = Direct(engine, redis_url, redis_token, api_key, timeout_s)
        self.reporter = Reporter(url, headers, max_queue, spool_dir)
        _cores.add(self)
        _reporters.add(self.reporter)

    @contextmanager
    def user(self, user_id: str, *, tier: str | None = None) -> Iterator[None]:
        """Within the block, and in what it starts, calls are this user's."""
        token = self._identity.set(Identity(user_id, tier))
        try:
            yield
        finally:
            self._identity.reset(token)

    def identify(self, user_id: str | None = None, tier: str | None = None) -> Identity:
        """Who is meant: who is named here, or around this, or by the app's function.

        Raises TollkeeperError where nobody is.
        """
        around = self._identity.get()
        if user_id is None and around is not None:
            user_id, tier = around.user_id, tier or around.tier
        elif user_id is None:
            user_id = self._get_user_id() if self._get_user_id else None
            tier = tier or (self._get_user_tier() if self._get_user_tier else None)
        if not user_id:
            raise TollkeeperError(
                "whose call is it? Pass tollkeeper_user=, use `with tk.user(...)`, or get_user_id="
            )
        return Identity(str(user_id), tier)

    def _ask(self, check: Check, request_id: str | None) -> Future[Answer]:
        return self.engine.submit(
            _protocol.check_request(
                user_id=check.identity.user_id,
                tier=check.identity.tier,
                provider=check.provider,
                model=check.model,
                input_tokens=check.input_tokens,
                max_output_tokens=check.max_output_tokens,
                amount_usd=check.amount_usd,
                request_id=request_id,
            )
        )

    def wait(self, future: Future[Answer]) -> Outcome:
        """The outcome, for a caller that may block."""
        try:
            # The loop keeps the deadline; the rest is for a machine too busy to run it in time.
            return future.result(self.timeout_s + _GRACE_SECONDS)
        except NoAnswer as error:
            return error
        except (FutureTimeoutError, CancelledError):
            future.cancel()
            return NoAnswer("no answer in time")

    async def wait_async(self, future: Future[Answer]) -> Outcome:
        """The outcome, for a caller in any event loop."""
        import asyncio

        wrapped = asyncio.wrap_future(future)
        try:
            return await asyncio.wait_for(wrapped, self.timeout_s + _GRACE_SECONDS)
        except NoAnswer as error:
            return error
        except asyncio.TimeoutError:
            return NoAnswer("no answer in time")

    def check(self, check: Check, request_id: str | None = None) -> Allowed:
        """Ask whether a call may run."""
        return self._decide(check, self.wait(self._ask(check, request_id)))

    async def acheck(self, check: Check, request_id: str | None = None) -> Allowed:
        """The same in an event loop."""
        return self._decide(check, await self.wait_async(self._ask(check, request_id)))

    def _decide(self, check: Check, outcome: Outcome) -> Allowed:
        """What a check's outcome means, an outage by the policy."""
        try:
            allowed = _protocol.decision(_answer(outcome))
        except NoAnswer as error:
            if self._outage == "block":
                raise UnavailableError(f"Tollkeeper did not answer: {error}") from error
            logger.warning("Tollkeeper did not answer, the call goes ahead: %s", error)
            return Allowed(degraded=True)
        if allowed.warnings and self._on_warning is not None:
            try:
                self._on_warning(check.identity.user_id, allowed.warnings)
            except Exception:
                logger.exception("on_warning failed; the call goes ahead")
        return allowed

    def read(self, outcome: Outcome, reading: Callable[[Answer], T]) -> T:
        """What a question's outcome means; there is nothing to go ahead with in an outage."""
        try:
            return reading(_answer(outcome))
        except NoAnswer as error:
            raise UnavailableError(f"Tollkeeper did not answer: {error}") from error

    def report(
        self,
        *,
        user_id: str,
        event_id: str | None = None,
        reservation_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        usage: Mapping[str, Any] | None = None,
        cost_usd: Decimal | str | None = None,
        status: str = "ok",
        estimated: bool = False,
        at: datetime | None = None,
    ) -> None:
        """Queue what a call used; returns at once."""
        self.reporter.put(
            _protocol.event(
                user_id=user_id,
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
        )

    def release(self, user_id: str, reservation_id: str) -> None:
        """Give a reservation back that no call uses."""
        self.report(user_id=user_id, reservation_id=reservation_id, status="error")

    def submit(self, request: Request) -> Future[Answer]:
        """Begin any other question."""
        return self.engine.submit(request)

    def settle_open(self) -> None:
        """Settle what is under way, as nobody will any more."""
        for settlement in list(self.open):
            settlement.abandon()

    def close(self, timeout_s: float) -> int:
        """Deliver, and close the connections; the number of events that could not be delivered."""
        left = self.reporter.close(timeout_s)
        self.engine.close()
        return left

    def after_fork(self) -> None:
        """In the child: calls under way and what is pending are the parent's."""
        self.open = set()
        self.engine.after_fork()
        self.reporter.after_fork()


#: Weak: a client that nobody has any more is not kept. A reporter lives while its thread does.
_cores: weakref.WeakSet[Core] = weakref.WeakSet()
_reporters: weakref.WeakSet[Reporter] = weakref.WeakSet()


def _at_exit() -> None:
    for core in list(_cores):
        core.settle_open()
    for reporter in list(_reporters):
        reporter.close(_EXIT_SECONDS)
    for core in list(_cores):
        core.engine.close()


def _after_fork() -> None:
    for core in list(_cores):
        core.after_fork()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _answer(outcome: Outcome) -> Answer:
    if isinstance(outcome, NoAnswer):
        raise outcome
    return outcome


def _setting(name: str, value: str | None, variable: str) -> str:
    value = value or os.environ.get(variable, "")
    if not value:
        raise ValueError(f"{name} is missing: pass it, or set {variable}")
    return value


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {' or '.join(map(repr, choices))}, not {value!r}")
