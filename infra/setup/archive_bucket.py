"""The archive's bucket, which outlives the stack: found, measured, copied, deleted."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from infra.setup.errors import SetupError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import ObjectIdentifierTypeDef

#: S3 Standard in most regions (aws.amazon.com/s3/pricing). Said as "about".
USD_PER_GB_MONTH = 0.023
#: Listing takes a request for a thousand: what is only said to a person need not be exact.
_COUNTED_MAX = 100_000
#: CloudFormation's own tag, which it leaves on what it retains.
_STACK_TAG = "aws:cloudformation:stack-name"


def archive_buckets(cloudformation: Any, s3: "S3Client", stack_name: str) -> list[str]:
    """The bucket that the stack names; without a stack, those that are named like it.

    Raises ClientError.
    """
    try:
        found = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
    else:
        for output in found.get("Outputs", ()):
            if output.get("OutputKey") == "ArchiveBucketName":
                return [str(output["OutputValue"])]
    named = f"{stack_name}-archivebucket"
    return [
        bucket["Name"]
        for bucket in s3.list_buckets(Prefix=named)["Buckets"]
        if bucket["Name"] == named or bucket["Name"].startswith(f"{named}-")
    ]


@dataclass(frozen=True, slots=True)
class Size:
    """Of all versions. ``complete``: nobody stopped counting."""

    objects: int
    bytes: int
    complete: bool

    def __str__(self) -> str:
        more = "" if self.complete else "more than "
        return f"{more}{self.objects:,} objects and old versions, {more}{_readable(self.bytes)}"

    @property
    def usd_a_month(self) -> float:
        """About what S3 asks for keeping it."""
        return self.bytes / 1024**3 * USD_PER_GB_MONTH


def _readable(count: int) -> str:
    value, unit = float(count), "bytes"
    for larger in ("KB", "MB", "GB", "TB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"


def measure(s3: "S3Client", bucket: str) -> Size:
    """Count objects, old versions and bytes, up to a bound."""
    objects = total = 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        versions = page.get("Versions", ())
        objects += len(versions) + len(page.get("DeleteMarkers", ()))
        total += sum(version["Size"] for version in versions)
        if objects >= _COUNTED_MAX:
            return Size(objects, total, complete=False)
    return Size(objects, total, complete=True)


def copy(s3: "S3Client", bucket: str, folder: Path) -> int:
    """Copy what is not in the folder yet (newest versions); answer how many objects were."""
    copied = 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", ()):
            target = folder / found["Key"]
            if found["Key"].endswith("/"):  # A "folder" that somebody made in the console.
                continue
            if target.exists() and target.stat().st_size == found["Size"]:
                continue
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Renamed into place: a copy that was cut off is never taken for a whole one.
            draft = target.with_name(f".{target.name}.part")
            s3.download_file(bucket, found["Key"], str(draft))
            draft.replace(target)
            copied += 1
    return copied


def check_owner(s3: "S3Client", bucket: str, stack_name: str) -> None:
    """Raise SetupError unless the bucket is the stack's, by CloudFormation's tag or by its name."""
    owner = _tags(s3, bucket).get(_STACK_TAG)
    named = bucket == f"{stack_name}-archivebucket" or bucket.startswith(
        f"{stack_name}-archivebucket-"
    )
    if owner != stack_name and not (owner is None and named):
        of = f"of the stack {owner}" if owner else f"no archive of {stack_name}, by its name"
        raise SetupError(f"Nothing was changed. The bucket {bucket} is {of}: it is left alone.")


def delete(s3: "S3Client", bucket: str) -> None:
    """Delete every version of every object, then the bucket. Raises SetupError where S3 refuses.

    The caller knows whose it is, has been told what this is, and has said yes.
    """
    for batch in _everything(s3, bucket):
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        for failed in answer.get("Errors", ()):
            raise SetupError(f"S3 keeps {failed.get('Key')}: {failed.get('Message')}")
    s3.delete_bucket(Bucket=bucket)


def _everything(s3: "S3Client", bucket: str) -> Iterator[list["ObjectIdentifierTypeDef"]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        listed = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if listed:
            yield [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in listed]


def _tags(s3: "S3Client", bucket: str) -> dict[str, str]:
    try:
        found = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchTagSet":
            return {}
        raise
    return {tag["Key"]: tag["Value"] for tag in found}
