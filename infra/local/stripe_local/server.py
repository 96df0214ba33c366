"""Run the local Stripe: in a thread of this process, or as a process of its own."""

import socket
import threading
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn

from infra.local.stripe_local.account import DELAYED_S, Account
from infra.local.stripe_local.app import create_app
from infra.local.stripe_local.chaos import Chaos
from infra.local.stripe_local.deliveries import Retry

SECRET_KEY = "sk_test_local"  # noqa: S105 - any sk_test_ key opens this server
_START_S = 10.0


class LocalStripe:
    """A Stripe on loopback, in a thread, for as long as the context lasts.

    `port` 0 takes a free one. `data` is a JSON file that keeps the account over restarts. `seed`
    makes the ids repeatable. `delayed_s`: how long a bank debit takes to settle. `chaos`: how
    webhooks go astray; None leaves that as it was.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        data: Path | None = None,
        seed: int | None = None,
        retry: Retry | None = None,
        delayed_s: float = DELAYED_S,
        chaos: Chaos | None = None,
    ) -> None:
        self.secret_key = SECRET_KEY
        self.account = Account(seed=seed, file=data, delayed_s=delayed_s)
        self._socket = _listen(host, port)
        bound = self._socket.getsockname()[1]
        self.url = f"http://{host}:{bound}"
        if chaos is not None:
            self.account.state.settings["chaos"] = asdict(chaos)
        self.account.base_url = self.url
        app = create_app(self.account, retry or Retry())
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="on", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="stripe_local"
        )

    def run(self) -> None:
        """Serve in the calling thread, until interrupted."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def start(self) -> None:
        """Serve in a thread; returns when the port answers. Raises RuntimeError if it does not."""
        self._thread.start()
        started = threading.Event()
        waited = 0.0
        while not self._server.started:
            if not self._thread.is_alive() or waited > _START_S:
                self.stop()
                raise RuntimeError("the local Stripe did not start")
            started.wait(0.01)
            waited += 0.01

    def stop(self) -> None:
        """Stop serving; pending webhooks wait in `data` for the next start."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _listen(host: str, port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off only where the protocol is named, which create_server()
    # does not do: every answer would wait 40 ms for the caller's delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
