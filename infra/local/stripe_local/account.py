"""All that one test account holds. Everything here runs on one event loop: no locks."""

import copy
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from infra.local.stripe_local.errors import no_such
from infra.local.stripe_local.ids import IdMint

Json = dict[str, Any]


@dataclass(frozen=True)
class Cause:
    """The API request behind an event. Both None when no API request of the account caused it."""

    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass
class State:
    """What a restart must find again: plain JSON."""

    objects: dict[str, Json] = field(default_factory=dict)
    """Every object by id, oldest first, in Stripe's own shape."""
    deleted: dict[str, Json] = field(default_factory=dict)
    """By id, what is left of a deleted customer."""
    private: dict[str, Json] = field(default_factory=dict)
    """By object id, what Stripe knows of an object and does not show in it."""
    deliveries: dict[str, Json] = field(default_factory=dict)
    """Webhook deliveries by id, oldest first; see `deliveries.py`."""
    jobs: list[Json] = field(default_factory=list)
    """What falls due later; see `clockwork.py`."""
    idempotency: dict[str, Json] = field(default_factory=dict)
    """Recorded answers by idempotency key; see `api/idempotency.py`."""
    settings: Json = field(default_factory=dict)
    """What the account page sets, by name: `after_retries`, `chaos`."""
    ahead_s: float = 0.0
    """How far this account's time runs ahead of the real one; the account page moves it."""


DELAYED_S = 3.0
"""How long a bank debit takes here. At Stripe it is days."""


class Account:
    """The state, the clock and the ids. `file` keeps the state over restarts.

    `delayed_s`: how long a bank takes to answer (a debit, a refund that is under way). `base_url`:
    where this server is reached, which pages and receipts link to.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        file: Path | None = None,
        clock: Callable[[], float] = time.time,
        delayed_s: float = DELAYED_S,
    ) -> None:
        self.mint = IdMint(seed)
        self.real_clock = clock
        self.delayed_s = delayed_s
        self.base_url = ""
        self.test_clock: str | None = None
        self._moment: float | None = None
        self.watchers: list[Callable[[], None]] = []
        self._file = file
        self.state = State()
        if file is not None and file.exists():
            self.state = State(**json.loads(file.read_text(encoding="utf-8")))

    def clock(self) -> float:
        """Return this account's time, in Unix seconds."""
        if self._moment is not None:
            return self._moment
        return self.real_clock() + self.state.ahead_s

    def now(self) -> int:
        """Return this account's time, in whole Unix seconds."""
        return int(self.clock())

    @contextmanager
    def at(self, moment: float, test_clock: str | None = None) -> Iterator[None]:
        """Have it be `moment` meanwhile, by that test clock if any."""
        before = self._moment, self.test_clock
        self._moment, self.test_clock = moment, test_clock
        try:
            yield
        finally:
            self._moment, self.test_clock = before

    @contextmanager
    def on_clock_of(self, obj: Json | None) -> Iterator[None]:
        """Have it be the time of the test clock that `obj` runs on, if it runs on one."""
        clock = self.find(obj.get("test_clock")) if obj else None
        if clock is None or self.test_clock == clock["id"]:
            yield
            return
        with self.at(clock["frozen_time"], clock["id"]):
            yield

    def new_id(self, kind: str) -> str:
        """Return an unused id for a `kind` of object."""
        while (object_id := self.mint(kind)) in self.state.objects:
            pass
        return object_id

    def add(self, obj: Json, **private: Any) -> Json:
        """Keep `obj` under its id, with what Stripe knows of it and does not show."""
        self.state.objects[obj["id"]] = obj
        if private:
            self.state.private[obj["id"]] = private
        return obj

    def private(self, object_id: str) -> Json:
        """Return the hidden side of an object, to read and to write."""
        return self.state.private.setdefault(object_id, {})

    def find(self, object_id: str | None) -> Json | None:
        """Return the object with that id, of whatever kind."""
        return self.state.objects.get(object_id) if object_id else None

    def get(self, kind: str, object_id: str, *, param: str = "id", status: int = 404) -> Json:
        """Return the object of `kind`; raises StripeError `resource_missing` with `status`."""
        obj = self.state.objects.get(object_id)
        if obj is None or obj["object"] != kind:
            raise no_such(kind, object_id, param=param, status=status)
        return obj

    def remove(self, object_id: str) -> None:
        """Forget an object."""
        self.state.objects.pop(object_id, None)
        self.state.private.pop(object_id, None)

    def each(self, kind: str) -> Iterator[Json]:
        """Yield the objects of `kind`, newest first."""
        return (o for o in reversed(list(self.state.objects.values())) if o["object"] == kind)

    def snapshot(self, obj: Json) -> Json:
        """Return `obj` as it is now: later changes do not reach the copy."""
        return copy.deepcopy(obj)

    def stir(self) -> None:
        """Tell whoever delivers webhooks and runs jobs that there is something new to do."""
        for watcher in self.watchers:
            watcher()

    def save(self) -> None:
        """Write the state to the file, if there is one; a reader never sees half of it."""
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_name(self._file.name + ".new")
        draft.write_text(json.dumps(asdict(self.state)), encoding="utf-8")
        os.replace(draft, self._file)  # noqa: PTH105 - atomic on every platform
