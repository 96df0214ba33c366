"""The Lambda service of one stack: one event loop, one HTTP server on many loopback ports.

A request's port says what it is for: Lambda's Invoke API, one function's URL, or the Runtime API
of one worker.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from infra.local.lambdas.event_bridge import EventBus
from infra.local.lambdas.http_front import FunctionUrlFront, InvokeApi
from infra.local.lambdas.pool import Pool
from infra.local.lambdas.sqs_poller import SqsPoller
from infra.local.template import Function, Stack, short_name

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

HOST = "127.0.0.1"
# Clients that pool connections must not meet one that is just being closed.
KEEP_ALIVE_S = 75

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Options:
    """How a stack is served. `environment` is added to that of every function."""

    port: int
    url_ports: Mapping[str, int]
    aws_url: str
    region: str
    environment: Mapping[str, str]
    workers_max: int = 2
    queue_wait_s: float = 10.0


async def serve(stack: Stack, options: Options) -> None:
    """Serve the stack's functions until SIGTERM or SIGINT, then end all their processes."""
    service = _Service(stack, options)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await service.run(stopping)


class _Service:
    def __init__(self, stack: Stack, options: Options) -> None:
        self._stack = stack
        self._options = options
        self._sockets: list[socket.socket] = []
        self._pool_at: dict[int, Pool] = {}
        # Before the pools, which take any ports: theirs must not be one of these.
        invoke_port = self._listen(options.port)
        url_ports = {
            function.logical_id: self._listen(options.url_ports[function.logical_id])
            for function in stack.functions
            if function.url is not None
        }
        self._pools = {f.logical_id: self._pool(f) for f in stack.functions}
        pools = list(self._pools.values())
        self._bus = EventBus(pools, options.region, partial(_emit, "events"))
        self._handlers: dict[int, Handler] = {}
        self._handlers[invoke_port] = InvokeApi(self._find, self._warm, self._bus)
        for pool in pools:
            function = pool.function
            if function.url is not None:
                self._handlers[url_ports[function.logical_id]] = FunctionUrlFront(
                    pool, function.url, partial(_emit, short_name(function.logical_id))
                )

    async def run(self, stopping: asyncio.Event) -> None:
        server = _Server(
            uvicorn.Config(
                self._app,
                interface="asgi3",
                lifespan="off",
                proxy_headers=False,
                server_header=False,
                log_level="warning",
                access_log=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=1,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=self._sockets))
        for pool in self._pools.values():
            pool.warm_up()
        self._bus.start_schedules()
        pollers = list(self._pollers())
        for poller in pollers:
            poller.start()
        await stopping.wait()
        for poller in pollers:
            poller.stop()
        await self._bus.close()
        # Their long polls end with them: the server has nothing left to wait for.
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
        server.should_exit = True
        await serving

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        port = scope["server"][1]
        response: Response
        if handler := self._handlers.get(port):
            response = await handler(request)
        elif worker := self._pool_at[port].worker_at(port):
            response = await worker.runtime_api(request)
        else:
            response = Response(status_code=410)
        await response(scope, receive, send)

    async def _warm(self) -> None:
        for pool in self._pools.values():
            await pool.warm.wait()

    def _find(self, name: str) -> Pool | None:
        try:
            return self._pools[self._stack.function(name).logical_id]
        except KeyError:
            return None

    def _pool(self, function: Function) -> Pool:
        count = self._options.workers_max
        if function.concurrency_max is not None:
            count = min(count, function.concurrency_max)
        ports = [self._listen(0) for _ in range(count)]
        pool = Pool(
            function,
            self._sockets[-count:] if count else [],
            region=self._options.region,
            extra_environment=self._options.environment,
            queue_wait_s=self._options.queue_wait_s,
            emit=partial(_emit, short_name(function.logical_id)),
        )
        self._pool_at |= dict.fromkeys(ports, pool)
        return pool

    def _listen(self, port: int) -> int:
        # Named as TCP, or asyncio leaves Nagle's algorithm on and every answer takes 40 ms more.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if port:
            # One with connections in TIME_WAIT is free. For any port this would be one too many:
            # Linux gives out again what such a socket holds and does not listen on yet.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        self._sockets.append(listener)
        bound: int = listener.getsockname()[1]
        return bound

    def _pollers(self) -> Iterator[SqsPoller]:
        urls = {queue.arn: queue.url for queue in self._stack.queues}
        for pool in self._pools.values():
            for source in pool.function.queues:
                yield SqsPoller(
                    pool,
                    source,
                    urls[source.queue_arn],
                    sqs=self._sqs_client,
                    loop=asyncio.get_running_loop(),
                    emit=partial(_emit, short_name(pool.function.logical_id)),
                )

    def _sqs_client(self) -> "SQSClient":
        # 250 ms to import, in the poller's thread: the service listens without waiting for it.
        from infra.local.clients import LocalAws

        return LocalAws(self._options.aws_url, self._options.region).sqs()


class _Server(uvicorn.Server):
    """Signals are the service's: it ends the workers before the server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _emit(source: str, line: str) -> None:
    """One line of the service's output; what comes before the tab says whose it is."""
    print(f"{source}\t{line}", flush=True)
