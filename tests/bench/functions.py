"""The functions' own handlers, wired as in Lambda: parameters and archive at a local AWS."""

import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from infra.local.clients import LocalAws
from infra.local.ports import HOST, choose_ports
from tests.bench.world import CONFIG, COST_NANO, HOLD_NANO, NOW_MS, World
from tests.support.function_server import Context, url_event

_REGION, _BUCKET, _PREFIX = "us-east-1", "archive", "/tollkeeper/bench"
_START_S = 30
_POLL_S = 0.05


class Functions:
    """Calls the handlers of this process."""

    def __init__(self, key: str) -> None:
        from functions.intercept.app import handler as intercept
        from functions.log_usage.app import handler as log_usage

        self._intercept, self._log_usage, self._key = intercept, log_usage, key
        self._context: Any = Context()

    def check_event(self, user: str) -> dict[str, Any]:
        """The function URL's event of one check."""
        body = {"user_id": user, "amount_usd": f"{HOLD_NANO / 10**9:.9f}"}
        headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
        return url_event("POST", "/v1/check", body=json.dumps(body).encode(), headers=headers)

    def check(self, event: dict[str, Any]) -> None:
        """From the handler's start to its end."""
        answer = self._intercept(event, self._context)
        if '"decision":"allow"' not in answer["body"]:
            raise RuntimeError(f"a check was not admitted: {answer}")

    def messages(self, calls: Sequence[tuple[str, str, str | None]]) -> dict[str, Any]:
        """The queue's event: (user, event id, reservation id) of each call."""
        bodies = [
            {
                "received_ms": NOW_MS,
                "event": {
                    "event_id": event_id,
                    "user_id": user,
                    "reservation_id": reservation_id,
                    "cost_usd": f"{COST_NANO / 10**9:.9f}",
                },
            }
            for user, event_id, reservation_id in calls
        ]
        records = [{"messageId": str(n), "body": json.dumps(b)} for n, b in enumerate(bodies)]
        return {"Records": records}

    def settle(self, messages: dict[str, Any]) -> None:
        """From the handler's start to its end: charged and archived."""
        answer = self._log_usage(messages, self._context)
        if answer != {"batchItemFailures": []}:
            raise RuntimeError(f"not settled: {answer}")


@contextmanager
def wired(world: World) -> Iterator[Functions]:
    """The functions over this world's Redis. Changes the process's environment for good."""
    key = f"tk_bench_{secrets.token_hex(16)}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    world.configure(CONFIG.model_copy(update={"api_keys": {"bench": digest}}))
    with _local_aws() as aws:
        aws.s3().create_bucket(Bucket=_BUCKET)
        given = {
            "upstash_url": world.url,
            "upstash_token": world.token,
            "link_key": secrets.token_hex(32),
        }
        for name, value in given.items():
            path = f"{_PREFIX}/secrets/{name}"
            aws.ssm().put_parameter(Name=path, Value=value, Type="SecureString")
        os.environ.update(
            TOLLKEEPER_PREFIX=_PREFIX,
            ARCHIVE_BUCKET=_BUCKET,
            UPGRADE_PAGE_URL="https://page.test",
            REDIS_DEADLINE_MS="30000",
            AWS_REGION=_REGION,
            AWS_DEFAULT_REGION=_REGION,
            AWS_ENDPOINT_URL=aws.url,
            AWS_ACCESS_KEY_ID="local",
            AWS_SECRET_ACCESS_KEY="local",
            POWERTOOLS_SERVICE_NAME="bench",
            POWERTOOLS_METRICS_NAMESPACE="Tollkeeper",
        )
        yield Functions(key)


@contextmanager
def _local_aws() -> Iterator[LocalAws]:
    port = choose_ports({"aws": 0})["aws"]
    command = [sys.executable, "-m", "infra.local.aws", "--port", str(port)]
    with subprocess.Popen(command) as process:
        try:
            url = f"http://{HOST}:{port}"
            _wait_for(url)
            yield LocalAws(url, _REGION)
        finally:
            process.terminate()


def _wait_for(url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _START_S
    while True:
        try:
            opener.open(f"{url}/moto-api/", timeout=1).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)
        else:
            return
