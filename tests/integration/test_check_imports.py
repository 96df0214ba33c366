"""What a check must not wait for is not imported by it: the handler, in a process of its own."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable

import boto3
import pytest
from tollkeeper_core.adapters.prices import CachedRates, GenaiPrices

from tests.support.outside import KEY
from tests.support.stage import REGION, Stage, clock

LATE = {"boto3", "stripe", "genai_prices", "jinja2", "starlette", "mangum"}
CHECKS = """
import json, sys
from functions.intercept.app import handler
from tests.support.function_server import Context, url_event
if "snapshot" in sys.argv:
    from snapshot_restore_py import get_before_snapshot
    for hook, args, kwargs in get_before_snapshot():
        hook(*args, **kwargs)
before = set(sys.modules)
decisions = []
for request in json.loads(sys.argv[1]):
    body, headers = json.dumps(request).encode(), {"authorization": "Bearer " + sys.argv[2]}
    answer = handler(url_event("POST", "/v1/check", body=body, headers=headers), Context())
    decisions.append(json.loads(answer["body"]).get("decision", answer["body"]))
late = sorted(set(sys.modules) - before)
print(json.dumps([decisions, sorted({name.partition(".")[0] for name in sys.modules}), late]))
"""


@pytest.fixture
def checks(stage: Stage) -> Callable[..., tuple[set[str], set[str]]]:
    """Allowed, blocked (with a link), and priced by what another process has found before.

    Answers the packages that are imported by then, and the modules that the checks imported.
    """
    loaded = stage.admin.load()
    assert loaded is not None
    keys = {"k1": hashlib.sha256(KEY.encode()).hexdigest()}
    config = loaded[1].model_copy(update={"api_keys": keys})
    assert stage.admin.publish(config, clock())
    name = f"/tollkeeper/{stage.name}/secrets/link_key"
    boto3.client("ssm", region_name=REGION).put_parameter(
        Name=name, Value="ab" * 32, Type="SecureString"
    )
    assert CachedRates(GenaiPrices(), stage.admin).rates("openai", "gpt-4o-mini", clock())
    requests = [
        {"user_id": "ada", "amount_usd": "0.01"},
        {"user_id": "ada", "amount_usd": "5"},
        {"user_id": "ada", "provider": "openai", "model": "gpt-4o-mini", "input_tokens": 5},
    ]

    def run(*arguments: str) -> tuple[set[str], set[str]]:
        done = subprocess.run(
            [sys.executable, "-c", CHECKS, json.dumps(requests), KEY, *arguments],
            env={
                **os.environ,
                "TOLLKEEPER_PREFIX": f"/tollkeeper/{stage.name}",
                "UPGRADE_PAGE_URL": "https://page.example",
                "POWERTOOLS_SERVICE_NAME": "intercept",
                "POWERTOOLS_METRICS_NAMESPACE": "Tollkeeper",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        decisions, packages, late = json.loads(done.stdout.splitlines()[-1])
        assert decisions == ["allow", "block", "allow"]
        return set(packages), set(late)

    return run


def test_a_check_imports_neither_aws_nor_stripe_nor_the_price_list_nor_the_pages(
    checks: Callable[..., tuple[set[str], set[str]]],
) -> None:
    assert LATE & checks()[0] == set()


def test_a_check_builds_no_models(checks: Callable[..., tuple[set[str], set[str]]]) -> None:
    packages, late = checks()
    assert "pydantic_core" in packages
    assert not [name for name in late if name.startswith("pydantic.")]
    assert "pydantic" not in packages


def test_what_a_check_imports_late_is_in_the_snapshot(
    checks: Callable[..., tuple[set[str], set[str]]],
) -> None:
    packages, late = checks("snapshot")
    assert late == set()
    assert LATE & packages == set()
