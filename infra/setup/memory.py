"""What set-up remembers of a stage between two runs: nothing secret."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(".tollkeeper")


@dataclass(frozen=True, slots=True)
class Remembered:
    """The answers of an earlier run."""

    region: str | None = None
    upstash_url: str | None = None


def recall(root: Path, stage: str) -> Remembered:
    """Read what is remembered of a stage; nothing, if this is its first run."""
    path = _path(root, stage)
    if not path.exists():
        return Remembered()
    known = json.loads(path.read_text())
    return Remembered(**{name: known.get(name) for name in Remembered.__slots__})


def remember(root: Path, stage: str, answers: Remembered) -> None:
    """Keep the answers for the next run."""
    path = _path(root, stage)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(answers), indent=2) + "\n")


def forget(root: Path, stage: str) -> None:
    """Remember nothing more of a stage."""
    _path(root, stage).unlink(missing_ok=True)


def known_stages(root: Path) -> list[str]:
    """The stages that were set up from this folder."""
    return sorted(path.stem for path in (root / FOLDER).glob("*.json"))


def _path(root: Path, stage: str) -> Path:
    return root / FOLDER / f"{stage}.json"
