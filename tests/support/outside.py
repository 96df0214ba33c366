"""Stand-ins for what a service is handed, where the real part is not the subject."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import LedgerUnavailableError
from tollkeeper_core.domain.postings import Posting

NOW_MS = 1_795_600_000_000
KEY = "tk_k1_" + "s" * 32


@dataclass
class Time:
    """A clock that stands until it is moved."""

    now_ms: int = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class Counts:
    """Metrics, counted."""

    names: list[str] = field(default_factory=list)

    def __call__(self, name: str) -> None:
        self.names.append(name)


@dataclass
class ListArchive:
    """An Archive. ``down``: it takes nothing."""

    written: list[Posting] = field(default_factory=list)
    down: bool = False

    def write(self, postings: Sequence[Posting]) -> None:
        if self.down:
            raise OSError("the archive is down")
        self.written += postings


@dataclass
class ListQueue:
    """A UsageQueue that takes ``room`` messages."""

    bodies: list[str] = field(default_factory=list)
    room: int = 1_000

    def send(self, bodies: Sequence[str]) -> list[bool]:
        taken = [len(self.bodies) + n < self.room for n in range(len(bodies))]
        self.bodies += [body for body, is_taken in zip(bodies, taken, strict=True) if is_taken]
        return taken


@dataclass
class Parameters:
    """A ParameterSource. ``reads`` counts."""

    values: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    reads: int = 0

    def read_all(self) -> Mapping[str, str]:
        self.reads += 1
        return self.values

    def read_secrets(self, names: Iterable[str]) -> Mapping[str, str]:
        return {name: self.secrets[name] for name in names if name in self.secrets}


@dataclass
class Published:
    """A ConfigStore. ``down``: it does not answer. ``loads`` counts."""

    config: Config | None = None
    version: str = "v1"
    error: str | None = None
    down: bool = False
    loads: int = 0

    def load(self) -> tuple[str, Config] | None:
        self.loads += 1
        if self.down:
            raise LedgerUnavailableError("down")
        return (self.version, self.config) if self.config else None

    def publish(self, config: Config, read_ms: int) -> bool:
        self.config, self.version = config, f"at {read_ms}"
        return True

    def record_error(self, message: str | None, now_ms: int) -> None:
        self.error = message
