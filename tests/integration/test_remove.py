"""`make remove`: a stage out of an account, whatever is cut off, and never by a slip."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest
import stripe
from botocore.client import BaseClient

from infra.local.stripe_local import LocalStripe
from infra.setup import archive_bucket, remove
from infra.setup.console import Console
from infra.setup.errors import SetupError
from infra.setup.memory import Remembered, known_stages, remember
from infra.setup.parameters import read_configuration, write_configuration, write_secrets
from infra.setup.stack import Stack
from infra.setup.stripe_endpoint import register_webhook
from tests.support.deployed import put_stack
from tests.support.stage import REGION, moto_server
from tests.support.stripe_local import buy, client_of

ROOT = Path(__file__).parents[2]
HOOK = "https://hooks.example.com/"
ARCHIVED = {f"postings/dt=2026-11-2{day}/{day}.jsonl": f'{{"day": {day}}}\n' for day in range(3)}
_numbers = count()


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture(scope="module")
def stripe_server() -> Iterator[LocalStripe]:
    with LocalStripe() as server:
        yield server


@dataclass
class Shop:
    """A stage that sold something, and what is left of it."""

    stage: str
    root: Path
    bucket: str
    stripe: stripe.StripeClient

    @property
    def url(self) -> str:
        return f"{HOOK}{self.stage}/"

    def stack(self) -> str | None:
        found = Stack(self.root, self.stage, REGION).describe()
        return found["StackStatus"] if found else None

    def parameters(self) -> list[str]:
        ssm = boto3.client("ssm", region_name=REGION)
        pages = ssm.get_paginator("get_parameters_by_path").paginate(
            Path=f"/tollkeeper/{self.stage}", Recursive=True
        )
        return [entry["Name"] for page in pages for entry in page["Parameters"]]

    def versions(self) -> int | None:
        """Of the archive; None without a bucket."""
        s3 = boto3.client("s3", region_name=REGION)
        if self.bucket not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
            return None
        return len(s3.list_object_versions(Bucket=self.bucket).get("Versions", []))

    def webhook(self) -> str:
        found = self.stripe.v1.webhook_endpoints.list({"limit": 100}).data
        return next(endpoint.status for endpoint in found if endpoint.url == self.url)

    def everything(self) -> tuple[Any, ...]:
        remembered = known_stages(self.root)
        return self.stack(), self.parameters(), self.versions(), self.webhook(), remembered

    def run(self, *arguments: str, confirm: str | None = "its own") -> int:
        typed = self.stage if confirm == "its own" else confirm
        given = ["--confirm", typed] if typed else []
        return remove.main(
            ["--non-interactive", "--stage", self.stage, "--region", REGION, *given, *arguments]
        )


@pytest.fixture
def open_shop(
    moto: str, stripe_server: LocalStripe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[], Shop]:
    for name, value in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "STRIPE_API_BASE": stripe_server.url,
        "TOLLKEEPER_BACKUP": str(tmp_path / "copy"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(remove, "ROOT", tmp_path)
    (tmp_path / ".venv-sam").symlink_to(ROOT / ".venv-sam")

    def opened() -> Shop:
        stage = f"gone{next(_numbers)}"
        client = client_of(stripe_server)
        shop = Shop(stage, tmp_path, f"tollkeeper-{stage}-archivebucket-1ab", client)
        deploy(shop)
        ssm, prefix = boto3.client("ssm", region_name=REGION), f"/tollkeeper/{stage}"
        write_configuration(ssm, prefix)
        secrets = {
            "upstash_url": "https://name-12345.upstash.io",
            "upstash_token": "a-token-of-upstash",
            "stripe_secret_key": stripe_server.secret_key,
        }
        write_secrets(ssm, prefix, secrets)
        register_webhook(client, shop.url)
        remember(tmp_path, stage, Remembered(REGION, secrets["upstash_url"]))
        s3 = boto3.client("s3", region_name=REGION)
        for _ in range(2):
            for key, body in ARCHIVED.items():
                s3.put_object(Bucket=shop.bucket, Key=key, Body=body.encode())
        return shop

    return opened


@pytest.fixture
def shop(open_shop: Callable[[], Shop]) -> Shop:
    return open_shop()


def deploy(shop: Shop) -> None:
    """A stack as far as removal meets it: a queue, and the bucket, which is retained."""
    queues = {"UsageQueueUrl": "UsageQueue", "UsageDeadLetterQueueUrl": "UsageDeadLetterQueue"}
    bucket = {
        "Type": "AWS::S3::Bucket",
        "DeletionPolicy": "Retain",
        "Properties": {"BucketName": shop.bucket},
    }
    outputs = {"StripeWebhookUrl": shop.url, "ArchiveBucketName": {"Ref": "ArchiveBucket"}}
    outputs |= {output: {"Ref": queue} for output, queue in queues.items()}
    resources = {queue: {"Type": "AWS::SQS::Queue"} for queue in queues.values()}
    cloudformation = boto3.client("cloudformation", region_name=REGION)
    put_stack(cloudformation, shop.stage, outputs, {"ArchiveBucket": bucket, **resources})
    boto3.client("s3", region_name=REGION).put_bucket_versioning(  # which moto's stacks leave out
        Bucket=shop.bucket, VersioningConfiguration={"Status": "Enabled"}
    )


@pytest.fixture
def quick_sam(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `sam delete` asks of CloudFormation, without its three seconds."""

    def delete(self: Stack, *arguments: str) -> None:
        assert arguments[0] == "delete"
        boto3.client("cloudformation", region_name=REGION).delete_stack(StackName=self.name)

    monkeypatch.setattr(Stack, "_sam", delete)


def test_a_stage_is_removed_by_the_real_sam_and_its_archive_stays(
    shop: Shop, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = boto3.client("ssm", region_name=REGION)
    other.put_parameter(Name=f"/tollkeeper/{shop.stage}2/settings", Type="String", Value="{}")

    assert shop.run() == 0

    assert shop.everything() == (None, [], 6, "disabled", [])
    copy = tmp_path / "copy"
    copied = {str(path.relative_to(copy / "archive")) for path in copy.rglob("*.jsonl")}
    assert copied == set(ARCHIVED)
    assert all((copy / "archive" / key).read_text() == body for key, body in ARCHIVED.items())
    assert read_configuration(copy / "config") == read_configuration()
    said = capfd.readouterr().out
    assert f"{shop.bucket}: 6 objects and old versions" in said
    assert f"the bucket {shop.bucket}, 6 objects and old versions, 66 bytes: about $0.00" in said
    assert "webhook endpoint, disabled" in said
    assert "sk_test" not in said
    assert other.get_parameter(Name=f"/tollkeeper/{shop.stage}2/settings")
    assert shop.run(confirm=None) == 1  # asks once more, for the bucket is still there
    assert "What goes" in capfd.readouterr().out


@pytest.mark.usefixtures("quick_sam")
def test_with_data_leaves_no_version_and_the_copy_has_what_came_last(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    s3 = boto3.client("s3", region_name=REGION)
    deletes = Stack.delete

    def and_one_is_still_archiving(self: Stack) -> None:
        s3.put_object(Bucket=shop.bucket, Key="postings/dt=2026-11-29/late.jsonl", Body=b"{}\n")
        s3.delete_object(Bucket=shop.bucket, Key="postings/dt=2026-11-20/0.jsonl")
        deletes(self)

    monkeypatch.setattr(Stack, "delete", and_one_is_still_archiving)

    assert shop.run("--with-data") == 0

    assert shop.everything() == (None, [], None, "disabled", [])
    assert (tmp_path / "copy" / "archive" / "postings/dt=2026-11-29/late.jsonl").exists()
    said = capsys.readouterr().out
    assert "Nothing brings it back" in said
    assert "the bucket" not in said
    assert shop.run() == 0  # there is nothing to confirm
    assert "Nothing of it is there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "confirm", "said"),
    [
        ([], None, "there is nobody to ask"),
        ([], "prod", "'prod' is not"),
        (["--stage", "No Stage"], "its own", "lower-case letters"),
        (["--with-data"], None, "Nothing was changed"),
    ],
)
def test_a_wrong_answer_changes_nothing(
    shop: Shop,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    confirm: str | None,
    said: str,
) -> None:
    before = shop.everything()

    assert shop.run(*arguments, confirm=confirm) == 1

    assert said in capsys.readouterr().err
    assert shop.everything() == before
    assert not (tmp_path / "copy").exists()


def test_two_buckets_that_may_be_the_archive_are_left_alone(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    boto3.client("cloudformation", region_name=REGION).delete_stack(
        StackName=f"tollkeeper-{shop.stage}"
    )
    where = {"LocationConstraint": REGION}
    s3 = boto3.client("s3", region_name=REGION)
    s3.create_bucket(Bucket=f"{shop.bucket}2", CreateBucketConfiguration=where)
    before = shop.everything()

    assert shop.run("--with-data") == 1

    assert "Give --bucket" in capsys.readouterr().err
    assert shop.everything() == before
    s3.delete_bucket(Bucket=f"{shop.bucket}2")


def test_a_bucket_of_another_stack_is_left_alone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = shop.everything()
    tags = {"aws:cloudformation:stack-name": "payroll"}  # which only CloudFormation can write
    monkeypatch.setattr(archive_bucket, "_tags", lambda _s3, _bucket: tags)

    assert shop.run("--with-data") == 1

    assert "is of the stack payroll" in capsys.readouterr().err
    assert shop.everything() == before


def test_a_bucket_that_is_named_by_mistake_is_left_alone(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    s3 = boto3.client("s3", region_name=REGION)
    photos = f"photos-{shop.stage}"
    s3.create_bucket(Bucket=photos, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=photos, Key="a.jpg", Body=b"a")
    before = shop.everything()

    assert shop.run("--with-data", "--bucket", photos) == 1

    assert "no archive of" in capsys.readouterr().err
    assert shop.everything() == before
    assert s3.get_object(Bucket=photos, Key="a.jpg")


@pytest.mark.parametrize(("typed", "goes_on"), [("prod", True), ("", False), ("yes", False)])
def test_a_person_types_the_name(
    monkeypatch: pytest.MonkeyPatch, typed: str, goes_on: bool
) -> None:
    monkeypatch.setattr("builtins.input", lambda _prompt: typed)
    console = Console(interactive=True)
    if goes_on:
        console.confirm_by_typing("prod", None)
        return
    with pytest.raises(SetupError, match="Nothing was changed"):
        console.confirm_by_typing("prod", None)


def test_what_would_be_lost_or_goes_on_is_told_before(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    sqs = boto3.client("sqs", region_name=REGION)
    outputs = Stack(shop.root, shop.stage, REGION).outputs()
    (url, *_) = outputs.queues.values()
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    for stage in (shop.stage, "another"):
        buy(shop.stripe, "subscription", subscription_data={"metadata": {"tollkeeper": stage}})

    assert shop.run(confirm=None) == 1

    said = capsys.readouterr().out
    assert "about 1 messages in a queue: reported usage that is not settled" in said
    assert "1 subscriptions, which go on charging" in said


@pytest.mark.usefixtures("quick_sam")
def test_a_key_that_stripe_refuses_does_not_hold_up_the_rest(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    ssm = boto3.client("ssm", region_name=REGION)
    write_secrets(ssm, f"/tollkeeper/{shop.stage}", {"stripe_secret_key": "sk_live_revoked"})

    assert shop.run() == 0

    assert shop.everything() == (None, [], 6, "enabled", [])
    assert f"{shop.url}, ENABLED" in capsys.readouterr().out


@pytest.mark.usefixtures("quick_sam")
def test_without_stripe_nothing_is_changed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = shop.everything()
    monkeypatch.setenv("STRIPE_API_BASE", "http://127.0.0.1:9")
    monkeypatch.setattr(stripe, "max_network_retries", 0)

    assert shop.run() == 1

    assert "Stripe cannot be asked" in capsys.readouterr().err
    assert shop.everything() == before


@pytest.mark.usefixtures("quick_sam")
def test_a_removal_that_is_cut_off_anywhere_is_taken_up_again(
    open_shop: Callable[[], Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dies before the first call of AWS, the second, ... until one run comes through."""
    asks = BaseClient._make_api_call  # type: ignore[attr-defined]  # the one way out
    calls = 0

    def cut(self: BaseClient, name: str, parameters: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        return asks(self, name, parameters)

    for at in count(1):
        shop = open_shop()
        calls = 0
        with monkeypatch.context() as patched:
            patched.setattr(BaseClient, "_make_api_call", cut)
            code = shop.run("--with-data")
        if code == 0:
            break
        assert code == 130
        assert shop.run("--with-data") == 0
        assert shop.everything() == (None, [], None, "disabled", []), f"cut at call {at}"
    assert at > 15
