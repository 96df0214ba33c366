"""A proxy before the Upstash gateway that does to requests what networks and servers do.

Requests reach the gateway one at a time, and ``drain`` tells in which order: whatever was lost on
the way back, a model that is driven in that order has to end where the ledger does.
"""

import contextlib
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit

from tests.faults.schedule import ANSWERED, CALM, LOST, Decision, Fault, Schedule

HOST = "127.0.0.1"
#: The header by which a request says which call of which operation it belongs to.
TAG = "X-Fault-Tag"
#: A call whose tag ends so is left alone, as is one without a tag: it is none of the schedule's,
#: and nothing that is late arrives because of it.
ALONE = "!"
DELAY_MAX_S = 0.003
#: Only a caller without any deadline would make the proxy wait so long.
SILENCE_S = 10.0
_PAGE = b"<html><body>Too many requests, or a bad gateway.</body></html>"


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as it came."""

    tag: str
    raw: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Effect:
    """What the gateway got, and what it answered, whether or not that arrived."""

    tag: str
    body: bytes
    answer: bytes


@dataclass(slots=True)
class _Late:
    request: Request
    after: int


class FaultProxy:
    """Listens on ``url``; a context manager. ``begin`` starts a run, ``calm`` ends its faults.

    ``log``: one line for each decision and each effect.
    """

    def __init__(self, gateway_url: str) -> None:
        self._gateway = urlsplit(gateway_url)
        self._listener = socket.create_server((HOST, 0))
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"
        self._upstream: _Stream | None = None
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, name="fault-proxy", daemon=True)
        self._schedule: Schedule | None = None
        self._late: list[_Late] = []
        self._effects: list[Effect] = []
        self._failed: set[str] = set()
        self.log: list[str] = []
        self.counts: Counter[Fault] = Counter()
        self.lost = 0

    def begin(self, seed: int) -> None:
        """Forget the last run, which must have come to rest, and decide by this seed."""
        self.begin_with(Schedule(seed))

    def begin_with(self, schedule: Schedule) -> None:
        """The same by any schedule."""
        with self._lock:
            self._schedule = schedule
            self._late, self._effects, self._failed = [], [], set()
            self.log, self.counts, self.lost = [], Counter(), 0

    def calm(self) -> None:
        """From now on requests pass. Those that are late still arrive late."""
        with self._lock:
            self._schedule = None

    def deliver_late(self) -> None:
        """Let everything arrive that is still on its way."""
        with self._lock:
            for late in self._late:
                self._arrive(late)
            self._late = []

    def rest(self) -> None:
        """Wait until all connections are closed: their callers have closed them before."""
        for thread in self._threads:
            thread.join()
        self._threads = []

    def failed(self, tag: str) -> bool:
        """Whether it was the schedule that kept the answer from a call."""
        with self._lock:
            return tag in self._failed

    def drain(self) -> list[Effect]:
        """The effects since the last time."""
        with self._lock:
            effects, self._effects = self._effects, []
        return effects

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # close() alone does not wake a thread that is in accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        if self._upstream is not None:
            self._upstream.close()

    # -- one thread a connection ------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            thread = threading.Thread(target=self._serve, args=[_Stream(sock)], daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, caller: "_Stream") -> None:
        with contextlib.closing(caller), contextlib.suppress(OSError):
            while (raw := caller.read_message()) is not None:
                answer, silent = self._handle(Request(_tag(raw[0]), raw[0] + raw[1], raw[1]))
                if answer:
                    caller.send(answer)
                if silent:
                    caller.wait_closed(SILENCE_S)
                if silent or not _whole(answer):
                    return

    def _handle(self, request: Request) -> tuple[bytes, bool]:
        """What the caller is to get, nothing for a closed connection; and whether it is left open.

        Late requests arrive first: between this one and the one before.
        """
        with self._lock:
            alone = not request.tag or request.tag.endswith(ALONE)
            if not alone:
                self._arrivals()
            calm = alone or self._schedule is None
            decision = CALM if calm else cast("Schedule", self._schedule).decide(request.tag)
            fault = decision.fault
            self.counts[fault] += 1
            if fault not in ANSWERED:
                self._failed.add(request.tag)
            if fault in LOST:
                self.lost += 1
            if fault is Fault.DELAY:
                self._note(request, f"{fault} {decision.part * DELAY_MAX_S * 1000:.1f} ms")
                time.sleep(decision.part * DELAY_MAX_S)
            answer = self._answer(request, decision)
        return answer, fault in (Fault.HANG_BEFORE, Fault.HANG_AFTER)

    def _arrivals(self) -> None:
        due = []
        for late in self._late:
            late.after -= 1
            if late.after <= 0:
                due.append(late)
        for late in due:
            self._late.remove(late)
            self._arrive(late)

    def _arrive(self, late: _Late) -> None:
        self._forward(late.request, "arrives late")
        self.lost += 1

    def _answer(self, request: Request, decision: Decision) -> bytes:
        fault = decision.fault
        if fault in (Fault.CUT, Fault.HANG_BEFORE, Fault.LATE, Fault.REFUSE):
            self._note(request, f"{fault} ({decision.status}, {decision.after} on)")
            if fault is Fault.LATE:
                self._late.append(_Late(request, decision.after))
            return _refusal(decision) if fault is Fault.REFUSE else b""
        answer = self._forward(request, fault)
        if fault is Fault.REPEAT:
            again = self._forward(request, "and once more")
            return again if decision.part < 0.5 else answer
        if fault is Fault.TRUNCATE:
            return answer[: max(1, int(len(answer) * decision.part))]
        if fault is Fault.HIDE:
            return _refusal(decision)
        return b"" if fault in LOST else answer

    def _forward(self, request: Request, why: str) -> bytes:
        self._note(request, why)
        if self._upstream is None:
            address = (self._gateway.hostname or HOST, self._gateway.port or 80)
            self._upstream = _Stream(socket.create_connection(address))
        self._upstream.send(request.raw)
        answer = self._upstream.read_message()
        if answer is None:
            raise RuntimeError("the gateway closed its connection")
        self._effects.append(Effect(request.tag, request.body, answer[1]))
        return answer[0] + answer[1]

    def _note(self, request: Request, what: str) -> None:
        self.log.append(f"{request.tag:>8}  {what}")


class _Stream:
    """A socket that HTTP messages with a Content-Length are read from."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def read_message(self) -> tuple[bytes, bytes] | None:
        """Head and body; None when the other side has closed."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if not self._receive():
                return None
        head = self._buffer[: end + 4]
        size = end + 4 + int(_header(head, b"content-length") or 0)
        while len(self._buffer) < size:
            if not self._receive():
                return None
        body, self._buffer = self._buffer[end + 4 : size], self._buffer[size:]
        return head, body

    def wait_closed(self, seconds: float) -> None:
        self._sock.settimeout(seconds)
        while self._receive():
            pass

    def close(self) -> None:
        self._sock.close()

    def _receive(self) -> bool:
        data = self._sock.recv(65_536)
        self._buffer += data
        return bool(data)


def _header(head: bytes, name: bytes) -> bytes:
    _, found, rest = head.lower().partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip() if found else b""


def _tag(head: bytes) -> str:
    return _header(head, TAG.lower().encode()).decode()


def _whole(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    size = _header(head + b"\r\n", b"content-length")
    return bool(size) and len(body) == int(size)


def _refusal(decision: Decision) -> bytes:
    """From Upstash (JSON) or from something before it (a page)."""
    json = decision.part < 0.5
    body = b'{"error":"ERR max requests limit exceeded"}' if json else _PAGE
    kind = b"application/json" if json else b"text/html"
    head = b"HTTP/1.1 %d Refused\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (decision.status, kind, len(body)) + body
