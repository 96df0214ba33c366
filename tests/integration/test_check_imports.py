"""What a check must not wait for is not imported by it: the handler, in a process of its own."""

import hashlib
import json
import os
import subprocess
import sys

import boto3
from tollkeeper_core.adapters.prices import CachedRates, GenaiPrices

from tests.support.outside import KEY
from tests.support.stage import REGION, Stage, clock

LATE = {"boto3", "stripe", "genai_prices", "jinja2", "starlette", "mangum"}
CHECKS = """
import json, sys
from functions.intercept.app import handler
from tests.support.function_server import Context, url_event
decisions = []
for request in json.loads(sys.argv[1]):
    body, headers = json.dumps(request).encode(), {"authorization": "Bearer " + sys.argv[2]}
    answer = handler(url_event("POST", "/v1/check", body=body, headers=headers), Context())
    decisions.append(json.loads(answer["body"]).get("decision", answer["body"]))
print(json.dumps([decisions, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def test_a_check_imports_neither_aws_nor_stripe_nor_the_price_list_nor_the_pages(
    stage: Stage,
) -> None:
    """Allowed, blocked (with a link), and priced by what another process has found before."""
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
    done = subprocess.run(
        [sys.executable, "-c", CHECKS, json.dumps(requests), KEY],
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
    decisions, modules = json.loads(done.stdout.splitlines()[-1])
    assert decisions == ["allow", "block", "allow"]
    assert LATE & set(modules) == set()
