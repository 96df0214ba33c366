"""The whole local cloud as one object: `with LocalStack() as stack: ...`."""

import json
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from infra.local.clients import LocalAws
from infra.local.guardian import Guardian
from infra.local.layout import REGION, ROOT, Layout, Settings
from infra.local.parts import OnLine, Part, PartError, PortTakenError, RunningPart
from infra.local.resources import create_resources
from infra.local.seed import Upstash, seed
from infra.setup.keys import new_api_key

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient
    from types_boto3_ssm import SSMClient

START_TRIES_MAX = 3
INVOKE_TIMEOUT_S = 90.0
WARM_TIMEOUT_S = 90.0
WATCH_S = 0.2
SYNC_CONFIG = "SyncConfigFunction"

OnProgress = Callable[[str], None]


class FunctionError(RuntimeError):
    """A function failed; the message is what Lambda answered."""


class LocalStack:
    """Brings everything up on entry, in parallel, and ends every process on exit.

    After entry: `urls` by name (functions that have a URL by theirs, such as `intercept`, and
    `chat`, `stripe`, `provider`, `gateway`, `aws`, `lambda`; none ends with a slash), `api_key`,
    `redis_port` and `started_in_s`. What is not local (a real Stripe, a real Upstash, no chat) has
    no URL. Entry raises `PartError`, `FunctionError`, or what the set-up raises (`SetupError` for a
    configuration that is not valid), and leaves nothing running.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        on_line: OnLine = lambda _source, _line: None,
        on_progress: OnProgress = lambda _what: None,
    ) -> None:
        self.settings = settings or Settings()
        self.started_in_s = 0.0
        self._on_line = on_line
        self._on_progress = on_progress
        self._token = secrets.token_hex(24)
        self._key = new_api_key()
        self._layout: Layout | None = None
        self._guardian: Guardian | None = None
        self._running: list[RunningPart] = []

    @property
    def urls(self) -> dict[str, str]:
        """Base addresses by name."""
        return dict(self._laid_out.urls)

    @property
    def api_key(self) -> str:
        """A key of Tollkeeper's API."""
        return self._key.key

    @property
    def upstash(self) -> Upstash:
        """Where the REST API of Redis is, and its token."""
        return self._laid_out.upstash

    @property
    def redis_port(self) -> int:
        """Of the Redis behind the gateway; `KeyError` with a real Upstash."""
        return self._laid_out.ports["redis"]

    @property
    def prefix(self) -> str:
        """Where the stage's parameters are in SSM."""
        return f"/tollkeeper/{self.settings.stage}"

    def sqs(self) -> "SQSClient":
        """A client of the local SQS."""
        return self._aws.sqs()

    def ssm(self) -> "SSMClient":
        """A client of the local Parameter Store."""
        return self._aws.ssm()

    def s3(self) -> "S3Client":
        """A client of the local S3."""
        return self._aws.s3()

    def queue_url(self, logical_id: str) -> str:
        """The URL of a queue of the template; raises `KeyError`."""
        return {queue.logical_id: queue.url for queue in self._laid_out.stack.queues}[logical_id]

    def bucket(self, logical_id: str = "ArchiveBucket") -> str:
        """The name of a bucket of the template; raises `KeyError`."""
        return {bucket.logical_id: bucket.name for bucket in self._laid_out.stack.buckets}[
            logical_id
        ]

    def invoke(self, function: str, payload: Any = None) -> Any:
        """Run a function (by its logical id) and wait; raises `FunctionError`."""
        answer = httpx.post(
            f"{self.urls['lambda']}/2015-03-31/functions/{function}/invocations",
            content=json.dumps({} if payload is None else payload),
            timeout=INVOKE_TIMEOUT_S,
            trust_env=False,
        )
        if answer.status_code != httpx.codes.OK or "x-amz-function-error" in answer.headers:
            raise FunctionError(f"{function} failed: {answer.text}")
        return answer.json()

    def gateway_stats(self) -> dict[str, Any]:
        """What the gateway counted since its start or the last reset (`infra.local.gateway`)."""
        stats: dict[str, Any] = self._gateway("GET", "/_local/stats")
        return stats

    def reset_gateway_stats(self) -> None:
        """Begin to count at zero."""
        self._gateway("POST", "/_local/stats/reset")

    def start(self) -> Self:
        """Bring everything up, again on other ports if one was taken meanwhile."""
        began = time.monotonic()
        for tries_left in reversed(range(START_TRIES_MAX)):
            try:
                self._bring_up_or_explain()
            except PortTakenError:
                self.stop()
                if not tries_left:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                break
        self.started_in_s = time.monotonic() - began
        return self

    def stop(self) -> None:
        """End every process; safe to call twice."""
        # The latest first: what uses another part is gone before it.
        for wave in (self._running[-1:], self._running[:-1]):
            for part in wave:
                part.ask_to_stop()
            for part in wave:
                part.wait_stopped()
        self._running.clear()
        if self._guardian is not None:
            self._guardian.close()
            self._guardian = None

    def watch(self) -> None:
        """Stay until a part ends by itself, which raises `PartError`."""
        while True:
            self.check()
            time.sleep(WATCH_S)

    def check(self) -> None:
        """Raise `PartError` if a part has ended."""
        for part in self._running:
            part.check()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _laid_out(self) -> Layout:
        if self._layout is None:
            raise RuntimeError("the local cloud is not started")
        return self._layout

    @property
    def _aws(self) -> LocalAws:
        return LocalAws(self.urls["aws"], REGION)

    def _bring_up_or_explain(self) -> None:
        try:
            self._bring_up()
            # A part that could not bind is dead, and whoever has its port answered in its place.
            self.check()
        except PartError:
            raise
        except Exception:
            # What failed may have failed because a part is gone: then that is the reason to give.
            self.check()
            raise

    def _bring_up(self) -> None:
        layout = Layout(self.settings, token=self._token, api_key=self.api_key)
        self._layout = layout
        self._guardian = Guardian()
        self._on_progress("starting the services")
        services = {part.name: self._launch(part) for part in layout.services()}
        services["aws"].wait_ready()
        with ThreadPoolExecutor() as pool:
            # moto loads what serves SQS and S3 while it loads what serves SSM.
            resources = pool.submit(create_resources, layout.stack, self._aws)
            if "stripe" in services:
                services["stripe"].wait_ready()
            self._on_progress("writing the configuration")
            self._seed(layout)
            resources.result()
        self._on_progress("starting the functions")
        self._launch(layout.functions()).wait_ready()
        for part in services.values():
            part.wait_ready()
        self._wait_warm()
        self._on_progress("publishing the configuration")
        self.invoke(SYNC_CONFIG)

    def _launch(self, part: Part) -> RunningPart:
        assert self._guardian is not None  # noqa: S101 - made by _bring_up
        running = RunningPart(part, root=ROOT, guardian=self._guardian, on_line=self._on_line)
        self._running.append(running)
        return running

    def _seed(self, layout: Layout) -> None:
        seed(
            self.ssm(),
            self.prefix,
            api_key=self._key,
            upstash=layout.upstash,
            stripe=layout.stripe,
            webhook_url=f"{layout.urls['stripe_webhook']}/",
            overrides=layout.overrides,
        )

    def _wait_warm(self) -> None:
        try:
            url = f"{self.urls['lambda']}/warm"
            httpx.get(url, timeout=WARM_TIMEOUT_S, trust_env=False).raise_for_status()
        except httpx.HTTPError as error:
            self.check()
            raise PartError(f"the functions did not start: {error}") from error

    def _gateway(self, method: str, path: str) -> Any:
        answer = httpx.request(
            method,
            self.urls["gateway"] + path,
            headers={"Authorization": f"Bearer {self._token}"},
            trust_env=False,
        )
        return answer.raise_for_status().json()
