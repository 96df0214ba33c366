"""The archive in S3, read whole and, for a person who is forgotten, edited."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date, timedelta
from typing import TYPE_CHECKING, TypeVar

from tollkeeper_core.adapters.archive import POSTINGS, STEPS, S3Archive
from tollkeeper_core.domain.forgetting import Forgetting
from tollkeeper_core.domain.record import RecordError, Versions

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import ObjectIdentifierTypeDef

#: Kept apart: no reader of postings may stumble over it.
_FORGETTING = "forgetting/"

#: Objects are small, so a single reader would wait for S3 most of its time. A client's pool of
#: connections should have as many.
READERS = 16
#: Objects that are asked for ahead of the one in hand: bounds what lies in memory.
_AHEAD_MAX = 4 * READERS
#: DeleteObjects takes as many.
_DELETIONS_MAX = 1000

T = TypeVar("T")
U = TypeVar("U")


class S3Record(S3Archive):
    """Implements record.ArchiveEditor over the same objects."""

    def names(self) -> Iterator[Sequence[str]]:
        """See record.ArchiveReader: S3 lists by name, and so by day."""
        return self._pages(POSTINGS)

    def step_pages(self) -> Iterator[Sequence[str]]:
        """See record.ArchiveReader."""
        return self._pages(STEPS)

    def step_names(self, first: date, last: date) -> Iterator[str]:
        """The objects of steps from the first day to the last."""
        return self._names_of(STEPS, first, last)

    def posting_names(self, first: date, last: date) -> Iterator[str]:
        """The objects of postings from the first day to the last."""
        return self._names_of(POSTINGS, first, last)

    def read(self, names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
        """See record.ArchiveReader."""
        return zip(names, _ahead(lambda name: self._lines(name, None), names), strict=True)

    def forgetting(self) -> Iterator[Forgetting]:
        """See record.ArchiveReader."""
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=_FORGETTING):
            for found in page.get("Contents", ()):
                (line,) = self._lines(found["Key"], None)
                yield Forgetting(**json.loads(line))

    def begin_forgetting(self, who: Forgetting) -> None:
        """See record.ArchiveEditor."""
        body = json.dumps({"user_id": who.user_id, "key": who.key}).encode()
        self._client.put_object(Bucket=self._bucket, Key=_forgetting_name(who), Body=body)

    def end_forgetting(self, who: Forgetting) -> None:
        """See record.ArchiveEditor."""
        for page in self._versions(_forgetting_name(who)):
            for old in page:
                self._delete(old)

    def versions(self) -> Iterator[Sequence[Versions]]:
        """See record.ArchiveEditor."""
        yield from self._versions(POSTINGS)
        yield from self._versions(STEPS)

    def read_versions(self, objects: Sequence[Versions]) -> Iterator[list[str]]:
        """See record.ArchiveEditor."""

        def lines(of: Versions) -> list[str]:
            every = (line for version in of.ids for line in self._lines(of.name, version))
            return list(dict.fromkeys(every))

        return _ahead(lines, objects)

    def replace(self, old: Versions, lines: Sequence[str] | None) -> None:
        """See record.ArchiveEditor: whoever breaks this off finds the old object again."""
        if lines is not None:
            kind, partition, _ = old.name.split("/")
            new = self._put(partition, lines, f"{kind}/")
            if new == old.name:
                return
        self._delete(old)

    def _names_of(self, kind: str, first: date, last: date) -> Iterator[str]:
        """A day is listed with its neighbours: most have few objects."""
        end = f"{kind}dt={last + timedelta(days=1)}/"
        for page in self._pages(kind, f"{kind}dt={first}/"):
            for name in page:
                if name >= end:
                    return
                yield name

    def _pages(self, prefix: str, after: str = "") -> Iterator[Sequence[str]]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=prefix, StartAfter=after):
            yield [found["Key"] for found in page.get("Contents", ())]

    def _versions(self, prefix: str) -> Iterator[list[Versions]]:
        pages = self._client.get_paginator("list_object_versions")
        last: dict[str, Versions] = {}
        for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
            listed = [(v["Key"], v["VersionId"], v["IsLatest"]) for v in page.get("Versions", ())]
            deleted = [(v["Key"], v["VersionId"]) for v in page.get("DeleteMarkers", ())]
            found = last
            for name, version, newest in listed:
                known = found.get(name, Versions(name, (), (), current=False))
                found[name] = Versions(
                    name, (*known.ids, version), known.markers, current=known.current or newest
                )
            for name, version in deleted:
                known = found.get(name, Versions(name, (), (), current=False))
                found[name] = Versions(
                    name, known.ids, (*known.markers, version), current=known.current
                )
            # The versions of one object may go over to the next page: the last waits for it.
            names = sorted(found)
            last = {name: found[name] for name in names[-1:]}
            yield [found[name] for name in names[:-1]]
        yield list(last.values())

    def _delete(self, old: Versions) -> None:
        """The newest version last: until then the object is found again."""
        every: list[ObjectIdentifierTypeDef] = [
            {"Key": old.name, "VersionId": version}
            for version in (*old.markers, *reversed(old.ids))
        ]
        for first in range(0, len(every), _DELETIONS_MAX):
            answer = self._client.delete_objects(
                Bucket=self._bucket,
                Delete={"Objects": every[first : first + _DELETIONS_MAX], "Quiet": True},
            )
            for error in answer.get("Errors", ()):
                raise RecordError(f"S3 did not delete {old.name}: {error.get('Message')}")

    def _lines(self, name: str, version: str | None) -> list[str]:
        try:
            if version is None:
                answer = self._client.get_object(Bucket=self._bucket, Key=name)
            else:
                answer = self._client.get_object(Bucket=self._bucket, Key=name, VersionId=version)
        except self._client.exceptions.NoSuchKey:
            raise RecordError(
                f"{name} went away while the archive was read: is somebody being forgotten? "
                "Run the command again."
            ) from None
        return [line for line in answer["Body"].read().decode().split("\n") if line]


def _ahead(call: Callable[[T], U], things: Iterable[T]) -> Iterator[U]:
    """``call`` for each, in order, some of them at a time."""
    with ThreadPoolExecutor(READERS, thread_name_prefix="archive") as pool:
        waiting: deque[Future[U]] = deque()
        try:
            for thing in things:
                waiting.append(pool.submit(call, thing))
                if len(waiting) >= _AHEAD_MAX:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _forgetting_name(who: Forgetting) -> str:
    return f"{_FORGETTING}{hashlib.sha256(who.user_id.encode()).hexdigest()}.json"
