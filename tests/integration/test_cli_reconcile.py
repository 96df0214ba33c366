"""`tollkeeper reconcile`, as the owner types it."""

from collections.abc import Iterator

import boto3
import pytest
from tollkeeper_core.domain.offers import PackTerms

from infra.local.stripe_local import LocalStripe
from tests.support.stage import REGION, Stage
from tests.support.stripe_local import client_of, open_session, press


@pytest.fixture
def server(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalStripe]:
    with LocalStripe() as running:
        monkeypatch.setenv("STRIPE_API_BASE", running.url)
        name = f"/tollkeeper/{stage.name}/secrets/stripe_secret_key"
        boto3.client("ssm", region_name=REGION).put_parameter(
            Name=name, Value=running.secret_key, Type="SecureString", Overwrite=True
        )
        yield running


def buy(server: LocalStripe, metadata: dict[str, str]) -> None:
    session = open_session(
        client_of(server), metadata=metadata, payment_intent_data={"metadata": metadata}
    )
    press(session, "pay")


def test_what_no_event_told_is_applied_and_said(stage: Stage, server: LocalStripe) -> None:
    terms = PackTerms("ada", "prm_1", "starter", 4 * 10**9, 2_000, "usd", None)
    buy(server, terms.metadata(stage.name))

    code, said = stage.run("reconcile")

    assert code == 0, said
    assert "1 sessions" in said
    assert "Applied what was missing: 1 purchases" in said
    assert "Booked 1 of 1 transactions anew" in said
    assert [lot.remaining_nano for lot in stage.admin.states(["ada"])[0].lots] == [4 * 10**9]
    said = stage.run("reconcile")[1]
    assert "Nothing was missing" in said
    assert "Booked 0 of 1" in said
    assert stage.run("verify")[0] == 0


def test_what_cannot_be_applied_is_told(stage: Stage, server: LocalStripe) -> None:
    buy(server, {"tollkeeper": stage.name})
    code, said = stage.run("reconcile")
    assert (code, "metadata" in said) == (1, True)
    assert "is this stage's and names no user" in said


def test_a_stripe_that_is_away_or_not_set_up_is_said(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = stage.run("reconcile")
    assert (code, "secrets/stripe_secret_key is missing" in said) == (2, True)
    boto3.client("ssm", region_name=REGION).put_parameter(
        Name=f"/tollkeeper/{stage.name}/secrets/stripe_secret_key",
        Value="sk_test_x",
        Type="SecureString",
    )
    monkeypatch.setenv("STRIPE_API_BASE", "http://127.0.0.1:9")
    code, said = stage.run("reconcile")
    assert (code, "APIConnectionError" in said) == (2, True)
