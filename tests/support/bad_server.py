"""A server that takes requests as Redis's REST API does, and answers as a test says."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def server(answer: Callable[[socket.socket, int], None]) -> Iterator[tuple[str, list[int]]]:
    """A server that gives each request to ``answer`` with its number; yields the URL and counts."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[int] = []
    threads: list[threading.Thread] = []
    open_sockets: list[socket.socket] = [listener]

    def serve(connection: socket.socket) -> None:
        with connection:
            while _read_request(connection):
                seen.append(len(seen))
                try:
                    answer(connection, seen[-1])
                except OSError:
                    return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            open_sockets.append(connection)
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        for open_socket in open_sockets:
            with suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
            open_socket.close()
        for thread in [acceptor, *threads]:
            thread.join(5)


def _read_request(connection: socket.socket) -> bool:
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return False
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        given = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        length = int(given or 0)
        while len(body) < length:
            body += connection.recv(65536)
    except OSError:
        return False
    return True
