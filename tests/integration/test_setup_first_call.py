"""From an empty account to the first metered call: the set-up against the whole local cloud.

All that is not done here is `sam deploy`: the stack stands in CloudFormation with its outputs, and
its functions run.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest

from infra.local.layout import REGION, Settings
from infra.local.stack import LocalStack
from infra.setup import __main__ as setup
from infra.setup.errors import SetupError
from infra.setup.first_call import USER_ID, first_call
from infra.setup.keys import new_api_key
from infra.setup.parameters import read_secrets, write_secrets
from tests.support.deployed import outputs_of, put_stack

if TYPE_CHECKING:
    from types_boto3_ssm import SSMClient

STAGE = "local"
PREFIX = f"/tollkeeper/{STAGE}"
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalStack]:
    with LocalStack(Settings(stage=STAGE, chat=False)) as stack:
        yield stack


@pytest.fixture
def account(cloud: LocalStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "SSMClient":
    """The cloud's account, emptied of parameters, with a deployed stack, and the answers."""
    ssm = cloud.ssm()
    upstash = read_secrets(ssm, PREFIX, ["upstash_url", "upstash_token"])
    stripe_key = read_secrets(ssm, PREFIX, ["stripe_secret_key"])["stripe_secret_key"]
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=PREFIX, Recursive=True)
    for name in [entry["Name"] for page in pages for entry in page["Parameters"]]:
        ssm.delete_parameter(Name=name)
    for name, value in {
        "AWS_ENDPOINT_URL": cloud.urls["aws"],
        "AWS_ENDPOINT_URL_LAMBDA": cloud.urls["lambda"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "UPSTASH_REDIS_REST_URL": upstash["upstash_url"],
        "UPSTASH_REDIS_REST_TOKEN": upstash["upstash_token"],
        "STRIPE_SECRET_KEY": stripe_key,
        "STRIPE_API_BASE": cloud.urls["stripe"],
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    cloudformation = boto3.client("cloudformation", region_name=REGION)
    put_stack(cloudformation, STAGE, outputs_of(cloud))
    return ssm


def test_an_empty_account_meters_its_first_call(
    cloud: LocalStack, account: "SSMClient", capsys: pytest.CaptureFixture[str]
) -> None:
    assert setup.main(["--non-interactive", "--skip-deploy", "--stage", STAGE]) == 0

    said = capsys.readouterr().out
    assert '"decision": "allow"' in said
    (key,) = re.findall(r"tk_[0-9a-f]+_[0-9a-f]+", said)
    deadline = time.monotonic() + 20
    while not (settled := archived(cloud)):
        assert time.monotonic() < deadline, "the reported usage never reached the archive"
        time.sleep(0.1)
    assert USER_ID in settled
    assert daily_percent(cloud, key) == 2  # 0.001 of the 0.05 dollars that a day allows
    secrets = read_secrets(account, PREFIX, ["stripe_webhook_secret"])
    assert secrets["stripe_webhook_secret"].startswith("whsec_")


def test_the_readmes_code_meters_a_real_call(
    cloud: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = new_api_key()
    write_secrets(cloud.ssm(), PREFIX, {"api_keys": json.dumps({made.key_id: made.sha256})})
    # A function that has looked for keys a moment ago looks again in five seconds.
    first_call(cloud.urls["intercept"], made.key)
    for name, value in {
        "TOLLKEEPER_URL": cloud.urls["intercept"],
        "TOLLKEEPER_API_KEY": made.key,
        "OPENAI_BASE_URL": f"{cloud.urls['provider']}/v1",
        "OPENAI_API_KEY": "sk-any",
    }.items():
        monkeypatch.setenv(name, value)
    *_, code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    example: dict[str, Any] = {}
    exec(compile(code, str(README), "exec"), example)

    with closing(example["tk"]), closing(example["openai"]):
        assert len(example["answer"]("reader", "What is a toll keeper?")) > 20
        refused = example["answer"]("reader", "x" * 2_000_000)

    assert refused.startswith("You have used what your plan includes for now.")
    assert cloud.urls["upgrade_page"] in refused
    deadline = time.monotonic() + 20
    while "reader" not in archived(cloud):
        assert time.monotonic() < deadline, "the reported usage never reached the archive"
        time.sleep(0.1)


def test_a_key_that_is_not_known_is_refused_with_the_apis_words(cloud: LocalStack) -> None:
    with pytest.raises(SetupError, match="401"):
        first_call(cloud.urls["intercept"], "tk_ab_cd", patience_s=0)


def archived(cloud: LocalStack) -> str:
    s3, bucket = cloud.s3(), cloud.bucket()
    found = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    bodies = [s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read() for entry in found]
    return b"".join(bodies).decode()


def daily_percent(cloud: LocalStack, key: str) -> int:
    answer = httpx.get(
        f"{cloud.urls['intercept']}/v1/users/{USER_ID}/usage",
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
    ).raise_for_status()
    percent: int = answer.json()["windows"]["daily"]["percent"]
    return percent
