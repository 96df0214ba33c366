"""Direct mode: a check asks Redis itself, and the function is spared.

It stands where the engine does, and hands it what it does not answer: links, and the link of a
block. Usage does not come this way at all: the archive is the record, and only the functions write
it. What decides is tollkeeper-core, the code and the scripts that the functions run.
"""

from __future__ import annotations

import json
import logging
import time
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Callable
from urllib.parse import unquote

from tollkeeper._engine import Engine
from tollkeeper._protocol import Answer, NoAnswer, Request, encode

if TYPE_CHECKING:
    from tollkeeper_core import direct as core

logger = logging.getLogger("tollkeeper")

#: Checks at a time; more wait for their turn.
_THREADS_MAX = 32
#: Of a check's time Redis has so much to answer in; in the rest the tier's policy decides.
_REDIS_SHARE = 0.8


class Direct:
    """Safe across threads and forks. Raises ValueError where it cannot be set up."""

    def __init__(
        self, engine: Engine, redis_url: str, redis_token: str, api_key: str, timeout_s: float
    ) -> None:
        try:
            from tollkeeper_core.direct import Direct as CoreDirect
        except ImportError as error:
            raise ValueError(
                "redis_url needs `pip install tollkeeper[direct]` and Python 3.11 or later"
            ) from error
        self._engine = engine
        self._timeout_s = timeout_s

        def connect() -> core.Direct:
            return CoreDirect(
                redis_url,
                redis_token,
                api_key,
                deadline_s=timeout_s * _REDIS_SHARE,
                connections_max=_THREADS_MAX,
                count=_count,
            )

        self._connect: Callable[[], core.Direct] = connect
        self._core, self._threads = connect(), _threads()

    def submit(self, request: Request) -> Future[Answer]:
        """See Engine.submit."""
        route: Callable[[Request, float], Answer]
        if request.path == "/v1/check":
            route = self._check
        elif request.path.startswith("/v1/users/"):
            route = self._usage
        else:
            return self._engine.submit(request)
        try:
            self._engine.warm_up()  # a block will need it, and has no time to wait for that
            return self._threads.submit(route, request, time.monotonic() + self._timeout_s)
        except RuntimeError as error:  # no thread starts while the interpreter shuts down
            failed: Future[Answer] = Future()
            failed.set_exception(NoAnswer(str(error)))
            return failed

    def _check(self, request: Request, deadline: float) -> Answer:
        answer = _answered(lambda: self._core.check(encode(request.body) or b""))
        linked = self._with_link(request, deadline) if _wants_link(answer) else None
        return linked or answer

    def _usage(self, request: Request, _deadline: float) -> Answer:
        user_id = unquote(request.path.split("/")[3])
        return _answered(lambda: self._core.usage(user_id))

    def _with_link(self, request: Request, deadline: float) -> Answer | None:
        """The same block as the function answers it: the key that signs links is there alone.

        The same request_id gets the same answer. Should the function say anything else (it may be
        cut off from Redis just then), or nothing in time, what Redis said stands, without a link.
        """
        try:
            answer = self._engine.submit(request).result(max(deadline - time.monotonic(), 0))
        except (NoAnswer, FutureTimeoutError, CancelledError) as error:
            logger.warning("a block without a link, as the function did not answer: %r", error)
            return None
        return answer if _blocks(answer) else None

    def close(self) -> None:
        """Close connections and threads. A later request starts them anew."""
        threads, self._threads = self._threads, _threads()
        threads.shutdown(wait=True, cancel_futures=True)
        self._core.close()
        self._engine.close()

    def after_fork(self) -> None:
        """In the child, where the threads do not run: the parent's sockets are left alone."""
        self._core, self._threads = self._connect(), _threads()
        self._engine.after_fork()


def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS_MAX, "tollkeeper-direct")


def _answered(call: Callable[[], core.Reply]) -> Answer:
    """As from the function. Whatever goes wrong is an outage: the app's own call must not fail."""
    try:
        return Answer(*call())
    except Exception as error:
        raise NoAnswer(f"{type(error).__name__}: {error}") from error


def _wants_link(answer: Answer) -> bool:
    """Whether a purchase would help: not where the model has no price."""
    return _blocks(answer) and json.loads(answer.body)["reason"]["code"] != "unknown_model"


def _blocks(answer: Answer) -> bool:
    if answer.status != 200 or b'"block"' not in answer.body:
        return False
    try:
        return bool(json.loads(answer.body).get("decision") == "block")
    except (ValueError, AttributeError):
        return False


def _count(name: str) -> None:
    """What is a metric and an alarm of the function's is a line of this log here."""
    logger.warning("a check in direct mode counted %s", name)
