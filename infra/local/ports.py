"""Loopback ports: the friendly ones where they are free, any free ones elsewhere."""

import contextlib
import socket
from collections.abc import Mapping

HOST = "127.0.0.1"


def choose_ports(wanted: Mapping[str, int]) -> dict[str, int]:
    """A free port for each name, all different; its wanted one if that is free (0: any).

    Another process may take one before its owner binds it: whoever starts a part on such a port
    must be ready to see it fail and to choose again.
    """
    with contextlib.ExitStack() as held:
        chosen = {}
        for name, port in wanted.items():
            probe = held.enter_context(_probe())
            try:
                probe.bind((HOST, port))
            except OSError:
                probe.bind((HOST, 0))
            chosen[name] = int(probe.getsockname()[1])
        return chosen


def is_free(port: int) -> bool:
    """Whether nobody listens on the port now."""
    with _probe() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def accepts(port: int) -> bool:
    """Whether somebody accepts connections on the port."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def _probe() -> socket.socket:
    probe = socket.socket()
    # As the servers do: a port with connections in TIME_WAIT is free for them.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return probe
