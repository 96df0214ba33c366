"""A circuit breaker: whoever does not answer is left in peace for a while, and nobody waits for it.

The pattern is Nygard's ("Release It!", 2nd edition, chapter 5): closed while all is well; open
after some failures in a row, when calls fail at once; then half open, when one call tries.
"""

import threading
import time
from collections.abc import Callable

_FAILURES_MAX = 3
_REST_S = 1.0
_REST_S_MAX = 8.0


class Circuit:
    """Safe across threads. ``monotonic``: seconds of a clock that never goes back.

    After three failures in a row it rests for a second; each trial that fails doubles the rest, up
    to eight seconds. One success closes it.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failures = 0
        self._rest_s = _REST_S
        self._open_until = 0.0

    def admits(self) -> bool:
        """Whether to call. Of many that ask when a rest is over one is admitted, to try."""
        with self._lock:
            if self._failures < _FAILURES_MAX:
                return True
            now = self._monotonic()
            if now < self._open_until:
                return False
            self._open_until = now + self._rest_s
            return True

    def succeeded(self) -> None:
        """A call was answered."""
        with self._lock:
            self._failures, self._rest_s = 0, _REST_S

    def failed(self) -> None:
        """A call was not answered, or late."""
        with self._lock:
            self._failures += 1
            if self._failures == _FAILURES_MAX:
                self._open_until = self._monotonic() + self._rest_s
            elif self._failures > _FAILURES_MAX:
                self._rest_s = min(self._rest_s * 2, _REST_S_MAX)
                self._open_until = self._monotonic() + self._rest_s
