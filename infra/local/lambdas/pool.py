"""The workers of one function: started on demand, up to a bound, and handed one call at a time."""

import asyncio
import socket
from collections import deque
from collections.abc import Mapping, Sequence

from infra.local.lambdas.invocation import STOPPED, Invocation, Result, ThrottledError
from infra.local.lambdas.worker import Emit, Worker
from infra.local.template import Function


class Pool:
    """Invokes one function. `slots` are listening sockets, one for each worker there may be."""

    def __init__(
        self,
        function: Function,
        slots: Sequence[socket.socket],
        *,
        region: str,
        extra_environment: Mapping[str, str],
        queue_wait_s: float,
        emit: Emit,
    ) -> None:
        self.function = function
        self._region = region
        self._extra_environment = extra_environment
        self._queue_wait_s = queue_wait_s
        self._emit = emit
        self._free_slots = list(slots)
        self._workers: dict[Worker, asyncio.Task[None]] = {}
        self._idle: dict[Worker, asyncio.Future[Invocation | None]] = {}
        self._waiting: deque[Invocation] = deque()
        self._closed = False
        self.warm = asyncio.Event()

    def warm_up(self) -> None:
        """Start the first worker before anyone calls; `warm` is set when it has, or has failed."""
        self._start_worker()

    async def invoke(self, invocation: Invocation) -> Result:
        """Run the function once; `ThrottledError` when no worker is free within the wait."""
        self._place(invocation)
        while not invocation.started.is_set():
            try:
                await asyncio.wait_for(invocation.started.wait(), self._queue_wait_s)
            except TimeoutError:
                # A worker that still starts will take it: a cold start is no throttling.
                if not (invocation.started.is_set() or self._starting()):
                    self._waiting.remove(invocation)
                    raise ThrottledError from None
        return await invocation.result

    async def close(self) -> None:
        """Kill the workers and wait until they are gone."""
        self._closed = True
        for worker in self._workers:
            worker.kill(STOPPED)
        while self._waiting:
            self._reject(STOPPED)
        await asyncio.gather(*self._workers.values())

    def worker_at(self, port: int) -> Worker | None:
        """The worker whose Runtime API listens on this port, if there is one now."""
        for worker in self._workers:
            if worker.slot.getsockname()[1] == port:
                return worker
        return None

    async def next_for(self, worker: Worker) -> Invocation | None:
        """See `Owner`: the oldest that waits, else the next that comes."""
        self.warm.set()
        if self._waiting:
            invocation = self._waiting.popleft()
            worker.take(invocation)
            return invocation
        self._idle[worker] = asyncio.get_running_loop().create_future()
        return await self._idle[worker]

    def gone(self, worker: Worker, reason: Result) -> None:
        """See `Owner`: free its slot and replace it where somebody needs it."""
        started = worker.was_ready
        if idle := self._idle.pop(worker, None):
            idle.set_result(None)
        del self._workers[worker]
        self._free_slots.append(worker.slot)
        self.warm.set()
        if self._closed:
            return
        if not started and self._waiting and not self._workers:
            # It cannot start, and nobody else will take what waits: this call gets to know why.
            self._reject(reason)
        if self._waiting or (started and not self._workers):
            self._start_worker()

    def _place(self, invocation: Invocation) -> None:
        if self._idle:
            # The latest to become idle: its caches are warm, and the others may rest.
            worker, next_call = self._idle.popitem()
            worker.take(invocation)
            next_call.set_result(invocation)
            return
        self._waiting.append(invocation)
        if self._starting() < len(self._waiting):
            self._start_worker()

    def _starting(self) -> int:
        return sum(not worker.was_ready for worker in self._workers)

    def _start_worker(self) -> None:
        if not self._free_slots or self._closed:
            return
        worker = Worker(
            self.function,
            self,
            self._free_slots.pop(),
            region=self._region,
            extra_environment=self._extra_environment,
            emit=self._emit,
        )
        self._workers[worker] = asyncio.create_task(worker.run())

    def _reject(self, reason: Result) -> None:
        invocation = self._waiting.popleft()
        invocation.started.set()
        invocation.finish(reason)
