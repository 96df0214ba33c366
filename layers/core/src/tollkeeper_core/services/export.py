"""All that is held about a person."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from tollkeeper_core.domain.record import ArchiveReader, LedgerAdmin, OpenWorkbench, Progress


@dataclass(frozen=True)
class Export:
    """One JSON document: ``{"user_id", "live": {key: value}, "steps": [...], "postings": [...]}``.

    Steps are those of the funnel (docs/funnel.md), as they are on record.
    """

    archive: ArchiveReader
    admin: LedgerAdmin
    open_bench: OpenWorkbench

    def __call__(self, user_id: str, progress: Progress) -> Iterator[str]:
        """Its text, piece by piece: a person's calls may be many."""
        live = self.admin.dump(user_id)
        with self.open_bench() as bench:
            for page in self.archive.names():
                for done, (_, lines) in enumerate(self.archive.read(page), 1):
                    bench.add(line for line in lines if json.loads(line)["user_id"] == user_id)
                    progress("read", done, len(page))
            yield f'{{"user_id": {json.dumps(user_id)},\n"live": {json.dumps(live, indent=1)},\n'
            yield f'"steps": {json.dumps(self._steps(user_id, progress), indent=1)},\n'
            yield '"postings": ['
            for n, posting in enumerate(bench.postings(user_id)):
                yield ("," if n else "") + "\n" + json.dumps(posting.as_json())
            yield "\n]}\n"

    def _steps(self, user_id: str, progress: Progress) -> list[object]:
        """A handful for each prompt, so they lie in memory. Two objects may hold the same step."""
        found: dict[str, object] = {}
        for page in self.archive.step_pages():
            for done, (_, lines) in enumerate(self.archive.read(page), 1):
                steps = map(json.loads, lines)
                found |= {step["id"]: step for step in steps if step["user_id"] == user_id}
                progress("read", done, len(page))
        return list(found.values())
