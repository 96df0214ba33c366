"""``python -m tests.bench.delay --to PORT --ms MS``: a TCP proxy as far away as a network is.

What goes to the server waits, what comes back does not: the sum is the round trip, and one wait
is exact where two halves would each be rounded up to a whole millisecond by the event loop.
"""

import argparse
import asyncio
import contextlib
import signal
import sys

HOST = "127.0.0.1"


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float
) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(1 << 16):
            if delay_s:
                await asyncio.sleep(delay_s)
            writer.write(chunk)
            await writer.drain()
    writer.close()


async def _serve(to_port: int, delay_s: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A keep-alive connection ends by our end: cancelled, which is no error of its handler.
        with contextlib.suppress(asyncio.CancelledError):
            there, back = await asyncio.open_connection(HOST, to_port)
            await asyncio.gather(_pass_on(reader, back, delay_s), _pass_on(there, writer, 0))

    server = await asyncio.start_server(connected, HOST, 0)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    sys.stdout.write(f"http://{HOST}:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.delay")
    parser.add_argument("--to", type=int, required=True)
    parser.add_argument("--ms", type=float, required=True)
    options = parser.parse_args()
    asyncio.run(_serve(options.to, options.ms / 1_000))
