"""`python -m infra.local.gateway --port P --redis-port R --token T [--read-only-token T2]`."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence

from .app import MAX_REQUEST_BYTES, GatewaySettings
from .server import HOST, GatewayServer, listen


async def _serve(port: int, redis_port: int, settings: GatewaySettings) -> None:
    listener = listen(port)
    server = GatewayServer(listener, redis_port, settings)

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    print(f"http://{HOST}:{listener.getsockname()[1]}", flush=True)
    await server.run_until_exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 1 when the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.gateway")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) chooses a free one")
    parser.add_argument("--redis-port", type=int, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--read-only-token")
    parser.add_argument("--max-request-bytes", type=int, default=MAX_REQUEST_BYTES)
    options = parser.parse_args(arguments)
    settings = GatewaySettings(options.token, options.read_only_token, options.max_request_bytes)
    try:
        asyncio.run(_serve(options.port, options.redis_port, settings))
    except OSError as error:
        print(f"cannot listen on {HOST}:{options.port}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
