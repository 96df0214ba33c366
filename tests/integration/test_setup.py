"""The guided set-up against SSM, a real Redis behind Upstash's REST API, and a Stripe."""

import hashlib
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
import stripe
from moto.server import ThreadedMotoServer

from infra.local.stripe_local import LocalStripe
from infra.setup import __main__ as setup
from infra.setup.parameters import read_secrets, write_configuration, write_secrets
from infra.setup.stripe_endpoint import EVENTS, register_webhook, replace_webhook
from tests.support.redis_stack import RedisStack, redis_stack
from tests.support.stripe_local import client_of

if TYPE_CHECKING:
    from types_boto3_ssm import SSMClient

ROOT = Path(__file__).parents[2]
PREFIX = "/tollkeeper/trial"
WEBHOOK_URL = "https://hooks.example.com/"
READ_ONLY = "a-read-only-token"
SECRETS = (
    "upstash_url",
    "upstash_token",
    "link_key",
    "api_keys",
    "stripe_secret_key",
    "stripe_webhook_secret",
)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def upstash() -> Iterator[RedisStack]:
    with redis_stack(read_only_token=READ_ONLY) as stack:
        yield stack


@pytest.fixture
def stripe_server() -> Iterator[LocalStripe]:
    with LocalStripe() as server:
        yield server


@pytest.fixture
def answers(
    monkeypatch: pytest.MonkeyPatch,
    moto: str,
    upstash: RedisStack,
    stripe_server: LocalStripe,
    tmp_path: Path,
) -> None:
    """The environment of somebody who has everything ready, in an empty account."""
    reset = boto3.client("ssm", endpoint_url=moto, region_name="eu-west-1", **FAKE_LOGIN)
    for name in _names(reset):
        reset.delete_parameter(Name=name)
    for name, value in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_ACCESS_KEY_ID": FAKE_LOGIN["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": FAKE_LOGIN["aws_secret_access_key"],
        "AWS_REGION": "eu-west-1",
        "TOLLKEEPER_STAGE": "trial",
        "UPSTASH_REDIS_REST_URL": upstash.url,
        "UPSTASH_REDIS_REST_TOKEN": upstash.token,
        "STRIPE_SECRET_KEY": stripe_server.secret_key,
        "STRIPE_API_BASE": stripe_server.url,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(setup, "ROOT", tmp_path)


@pytest.fixture
def ssm(answers: None) -> "SSMClient":
    return boto3.client("ssm", region_name="eu-west-1")


FAKE_LOGIN = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


def _names(ssm: "SSMClient") -> set[str]:
    pages = ssm.get_paginator("describe_parameters").paginate()
    return {entry["Name"] for page in pages for entry in page["Parameters"]}


def _versions(ssm: "SSMClient") -> dict[str, int]:
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=PREFIX, Recursive=True)
    return {entry["Name"]: entry["Version"] for page in pages for entry in page["Parameters"]}


def run(*arguments: str) -> int:
    return setup.main(
        ["--non-interactive", "--skip-deploy", "--webhook-url", WEBHOOK_URL, *arguments]
    )


def test_an_empty_account_has_everything_afterwards(
    ssm: "SSMClient", stripe_server: LocalStripe, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run() == 0

    said = capsys.readouterr().out
    secrets = read_secrets(ssm, PREFIX, SECRETS)
    assert set(secrets) == set(SECRETS)
    (key,) = re.findall(r"tk_[0-9a-f]+_[0-9a-f]+", said)
    assert json.loads(secrets["api_keys"]) == {
        key.split("_")[1]: hashlib.sha256(key.encode()).hexdigest()
    }
    endpoints = client_of(stripe_server).v1.webhook_endpoints.list().data
    assert [endpoint.url for endpoint in endpoints] == [WEBHOOK_URL]
    assert secrets["stripe_webhook_secret"].startswith("whsec_")
    tier = ssm.get_parameter(Name=f"{PREFIX}/tiers/free")["Parameter"]
    assert tier["Type"] == "String"
    assert json.loads(tier["Value"])["label"] == "Free"
    for name in SECRETS:
        stored = ssm.get_parameter(Name=f"{PREFIX}/secrets/{name}")["Parameter"]
        assert stored["Type"] == "SecureString", name
    remembered = (tmp_path / ".tollkeeper" / "trial.json").read_text()
    assert json.loads(remembered)["region"] == "eu-west-1"
    for name in ("upstash_token", "link_key", "stripe_secret_key", "stripe_webhook_secret"):
        assert secrets[name] not in remembered
        assert secrets[name] not in said


def test_a_second_run_changes_nothing(
    ssm: "SSMClient", stripe_server: LocalStripe, capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    ssm.put_parameter(
        Name=f"{PREFIX}/tiers/free", Value='{"limits": {}, "label": "Mine"}', Overwrite=True
    )
    ssm.delete_parameter(Name=f"{PREFIX}/packs/plus")
    before = _versions(ssm)
    capsys.readouterr()

    assert run() == 0

    assert _versions(ssm) == before
    assert "tk_" not in capsys.readouterr().out
    assert len(client_of(stripe_server).v1.webhook_endpoints.list().data) == 1


def test_what_is_stored_need_not_be_given_again(
    ssm: "SSMClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    before = _versions(ssm)
    for name in ("UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN", "STRIPE_SECRET_KEY"):
        monkeypatch.delenv(name)

    assert run() == 0
    assert _versions(ssm) == before


def test_an_interrupted_first_run_is_taken_up_again(ssm: "SSMClient") -> None:
    run()
    ssm.delete_parameters(Names=[f"{PREFIX}/settings", f"{PREFIX}/plans/pro_monthly"])

    assert run() == 0
    assert {f"{PREFIX}/settings", f"{PREFIX}/plans/pro_monthly"} <= _names(ssm)


def test_a_webhook_secret_that_was_lost_is_replaced(
    ssm: "SSMClient", stripe_server: LocalStripe
) -> None:
    run()
    lost = read_secrets(ssm, PREFIX, ["stripe_webhook_secret"])["stripe_webhook_secret"]
    ssm.delete_parameter(Name=f"{PREFIX}/secrets/stripe_webhook_secret")

    assert run() == 0

    found = read_secrets(ssm, PREFIX, ["stripe_webhook_secret"])["stripe_webhook_secret"]
    assert found.startswith("whsec_")
    assert found != lost
    assert len(client_of(stripe_server).v1.webhook_endpoints.list().data) == 1


def test_a_webhook_at_another_address_keeps_the_old_secret_beside_the_new(
    ssm: "SSMClient",
) -> None:
    run()
    old = read_secrets(ssm, PREFIX, ["stripe_webhook_secret"])["stripe_webhook_secret"]

    assert run("--webhook-url", "https://new.example.com/") == 0

    both = read_secrets(ssm, PREFIX, ["stripe_webhook_secret"])["stripe_webhook_secret"]
    new, kept = both.split(",")
    assert kept == old
    assert new != old


def test_without_stripe_it_meters_all_the_same(
    ssm: "SSMClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STRIPE_SECRET_KEY")

    assert run() == 0
    assert set(read_secrets(ssm, PREFIX, SECRETS)) == set(SECRETS[:4])


def test_another_key_leaves_the_newest_of_the_old_active(
    ssm: "SSMClient", capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    run("--new-key")
    assert run("--new-key") == 0

    first, second, third = re.findall(r"tk_([0-9a-f]+)_[0-9a-f]+", capsys.readouterr().out)
    stored = json.loads(read_secrets(ssm, PREFIX, ["api_keys"])["api_keys"])
    assert first not in stored
    assert list(stored) == [second, third]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"UPSTASH_REDIS_REST_TOKEN": "a-wrong-token"}, "refuses the token"),
        ({"UPSTASH_REDIS_REST_TOKEN": READ_ONLY}, "not the read-only one"),
        ({"UPSTASH_REDIS_REST_TOKEN": "two words or more"}, "must be one word"),
        ({"UPSTASH_REDIS_REST_URL": "rediss://name.example.com:6379"}, "must look like https"),
        ({"UPSTASH_REDIS_REST_URL": "http://127.0.0.1:9"}, "cannot be reached"),
        ({"STRIPE_SECRET_KEY": "pk_test_1"}, "a publishable key"),
        ({"TOLLKEEPER_STAGE": "My Stage"}, "lower-case letters"),
    ],
)
def test_a_wrong_answer_is_explained_and_not_stored(
    ssm: "SSMClient",
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    said: str,
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)

    assert run() == 1

    assert said in capsys.readouterr().err
    stored = read_secrets(ssm, PREFIX, SECRETS)
    assert not set(changes.values()) & set(stored.values())


def test_a_missing_answer_is_named(
    answers: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("UPSTASH_REDIS_REST_TOKEN")

    assert run() == 1
    assert "Set UPSTASH_REDIS_REST_TOKEN" in capsys.readouterr().err


def test_a_value_is_not_written_twice(ssm: "SSMClient") -> None:
    assert write_secrets(ssm, PREFIX, {"link_key": "a", "api_keys": "{}"}) == [
        "link_key",
        "api_keys",
    ]
    assert write_secrets(ssm, PREFIX, {"link_key": "a", "api_keys": '{"b": "c"}'}) == ["api_keys"]
    assert _versions(ssm) == {
        f"{PREFIX}/secrets/link_key": 1,
        f"{PREFIX}/secrets/api_keys": 2,
    }


def test_settings_come_last(ssm: "SSMClient") -> None:
    written = write_configuration(ssm, PREFIX, overrides={"settings": {"time_zone": "Asia/Tokyo"}})

    assert written[-1] == "settings"
    assert len(written) == len(set(written)) == 6
    value = ssm.get_parameter(Name=f"{PREFIX}/settings")["Parameter"]["Value"]
    assert json.loads(value)["time_zone"] == "Asia/Tokyo"


def _endpoint(client: stripe.StripeClient, url: str, **more: object) -> stripe.WebhookEndpoint:
    params: object = {"url": url, "enabled_events": ["charge.failed"], **more}
    return client.v1.webhook_endpoints.create(params)  # type: ignore[arg-type]  # events are literals


def test_an_endpoint_is_enabled_and_gets_the_events_it_lacks(stripe_server: LocalStripe) -> None:
    client = client_of(stripe_server)
    other = _endpoint(client, "https://another.example.com/")
    made = _endpoint(client, WEBHOOK_URL, api_version=stripe.api_version)
    client.v1.webhook_endpoints.update(made.id, {"disabled": True})

    assert register_webhook(client, WEBHOOK_URL) is None

    found = client.v1.webhook_endpoints.retrieve(made.id)
    assert found.status == "enabled"
    assert set(found.enabled_events) == {*EVENTS, "charge.failed"}
    untouched = client.v1.webhook_endpoints.retrieve(other.id)
    assert untouched.enabled_events == ["charge.failed"]


def test_an_endpoint_of_another_api_version_is_replaced(stripe_server: LocalStripe) -> None:
    client = client_of(stripe_server)
    old = _endpoint(client, WEBHOOK_URL)

    secret = register_webhook(client, WEBHOOK_URL)

    assert secret is not None
    (found,) = client.v1.webhook_endpoints.list().data
    assert found.id != old.id
    assert found.api_version == stripe.api_version
    assert set(found.enabled_events) == set(EVENTS)


def test_replacing_leaves_one_endpoint_and_the_others(stripe_server: LocalStripe) -> None:
    client = client_of(stripe_server)
    other = _endpoint(client, "https://another.example.com/")
    register_webhook(client, WEBHOOK_URL)

    replace_webhook(client, WEBHOOK_URL)

    urls = [endpoint.url for endpoint in client.v1.webhook_endpoints.list().data]
    assert sorted(urls) == sorted([other.url, WEBHOOK_URL])


def test_a_person_is_asked_again_and_secrets_are_not_echoed(
    ssm: "SSMClient", upstash: RedisStack, stripe_server: LocalStripe
) -> None:
    """The whole dialogue on a terminal: where, yes, a wrong token, the right one, Stripe."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("UPSTASH_", "STRIPE_SECRET", "TOLLKEEPER_STAGE"))
    }
    dialogue = [
        ("Stage [dev]: ", "talked"),
        ("AWS region [eu-west-1]: ", ""),
        ("[Y/n]: ", ""),
        ("REST URL: ", upstash.url),
        ("REST token: ", "a-wrong-token"),
        ("REST URL: ", upstash.url),
        ("REST token: ", upstash.token),
        ("Secret key [Enter: not now]: ", stripe_server.secret_key),
    ]
    with _Terminal(environment) as terminal:
        for question, answer in dialogue:
            terminal.expect(question)
            terminal.type(answer)
        terminal.expect("There is no stack yet")
        assert terminal.process.wait(20) == 0

    secrets = read_secrets(ssm, "/tollkeeper/talked", SECRETS)
    assert secrets["upstash_token"] == upstash.token
    assert secrets["stripe_secret_key"] == stripe_server.secret_key
    assert "refuses the token" in terminal.said
    assert upstash.token not in terminal.said
    assert stripe_server.secret_key not in terminal.said


class _Terminal:
    """Set-up on a pseudo-terminal, in a folder of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self.said = ""
        self._seen = 0

    def __enter__(self) -> "_Terminal":
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "infra.setup", "--skip-deploy"],
            cwd=ROOT,
            env=self._environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        (ROOT / ".tollkeeper" / "talked.json").unlink(missing_ok=True)

    def expect(self, text: str, deadline_s: float = 30.0) -> None:
        end = time.monotonic() + deadline_s
        while (found := self.said.find(text, self._seen)) < 0:
            assert time.monotonic() < end, f"no {text!r} in:\n{self.said}"
            if select.select([self._master], [], [], 0.2)[0]:
                try:
                    self.said += os.read(self._master, 4096).decode(errors="replace")
                except OSError:  # Linux's end of file: nobody holds the other end any more.
                    raise AssertionError(f"no {text!r} before the end of:\n{self.said}") from None
        self._seen = found + len(text)

    def type(self, line: str) -> None:
        os.write(self._master, f"{line}\n".encode())
