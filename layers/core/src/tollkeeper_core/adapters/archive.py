"""The archive in S3: JSON lines, by day."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

from tollkeeper_core.domain.postings import Posting

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

POSTINGS = "postings/"
#: Kept apart: no reader of postings may stumble over them.
STEPS = "steps/"


class S3Archive:
    """Implements ports.Archive: ``postings/dt=<day>/<digest>.jsonl``.

    ``dt=`` is how Athena and DuckDB recognise a partition. An object is named by what is in it, so
    a redelivered batch overwrites its own object; another mix of the same postings makes another
    object, which reading by posting id makes harmless.
    """

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def write(self, postings: Sequence[Posting]) -> None:
        """See ports.Archive. Raises what S3 raises: then nothing may be acknowledged."""
        for day, lines in groupby(sorted(postings, key=_day_and_id), key=_day):
            self._put(f"dt={day}", [posting.as_line() for posting in lines])

    def write_steps(self, lines: Sequence[str]) -> None:
        """See funnel.StepArchive: ``steps/dt=<day>/<digest>.jsonl``, by the day that counts."""
        for day, those in groupby(sorted(lines, key=_step_day), key=_step_day):
            self._put(f"dt={day}", sorted(set(those)), STEPS)

    def holds_postings(self) -> bool:
        """Whether there are any. One request."""
        found = self._client.list_objects_v2(Bucket=self._bucket, Prefix=POSTINGS, MaxKeys=1)
        return found["KeyCount"] > 0

    def _put(self, partition: str, lines: Sequence[str], kind: str = POSTINGS) -> str:
        body = "".join(f"{line}\n" for line in lines).encode()
        digest = hashlib.sha256(body).hexdigest()[:32]
        name = f"{kind}{partition}/{digest}.jsonl"
        self._client.put_object(
            Bucket=self._bucket, Key=name, Body=body, ContentType="application/x-ndjson"
        )
        return name


def _step_day(line: str) -> str:
    return str(json.loads(line)["day"]).removeprefix("d:")


def _day(posting: Posting) -> str:
    return f"{datetime.fromtimestamp(posting.at_ms / 1000, UTC):%Y-%m-%d}"


def _day_and_id(posting: Posting) -> tuple[str, str]:
    return _day(posting), posting.id
