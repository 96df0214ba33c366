"""Send webhooks as Stripe does: signed, retried with back-off, in no guaranteed order."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import httpx

from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.errors import StripeError

# Small servers queue few connections: more at a time would look like an endpoint that is down.
_AT_ONCE = 4
_OVERLAP_MAX_S = 24 * 3600
_USER_AGENT = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"


@dataclass(frozen=True)
class Retry:
    """When an endpoint fails: how long to wait for it, and how long before each further attempt."""

    delays_s: tuple[float, ...] = (1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60)
    timeout_s: float = 10.0


def sign(body: bytes, secrets: Sequence[str], timestamp: int) -> str:
    """Return a `Stripe-Signature` header over the exact bytes of `body`: a `v1` for each secret."""
    signed = f"{timestamp}.".encode() + body
    digests = [hmac.new(s.encode(), signed, hashlib.sha256).hexdigest() for s in secrets]
    return ",".join([f"t={timestamp}", *(f"v1={digest}" for digest in digests)])


def secrets_of(account: Account, endpoint: Json) -> list[str]:
    """Return an endpoint's secret, and the old one while it is being rolled, newest first."""
    hidden = account.private(endpoint["id"])
    old = [each["secret"] for each in hidden.get("old_secrets", ()) if each["until"] > time.time()]
    return [hidden["secret"], *old]


def roll(account: Account, endpoint: Json, overlap_s: int) -> Json:
    """Give an endpoint a new secret, as the Dashboard does; both sign for `overlap_s` seconds.

    Raises StripeError (400) for more than a day. Stripe's API has no call for it.
    """
    if not 0 <= overlap_s <= _OVERLAP_MAX_S:
        raise StripeError("A secret can be kept for up to a day.", param="overlap_s")
    hidden = account.private(endpoint["id"])
    expiring = {"secret": hidden["secret"], "until": time.time() + overlap_s}
    hidden |= {"old_secrets": [expiring], "secret": account.mint("webhook_secret")}
    return endpoint | {"secret": hidden["secret"]}


def encode(event: Json) -> bytes:
    """Return the body of a webhook: JSON, indented by two, as Stripe sends it."""
    return json.dumps(event, indent=2, ensure_ascii=False).encode()


class Dispatcher:
    """Works through the account's pending deliveries, each in a task of its own."""

    def __init__(self, account: Account, retry: Retry) -> None:
        self._account = account
        self._retry = retry
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Deliver until cancelled, beginning with what an earlier run left pending."""
        stirred = asyncio.Event()
        self._account.watchers.append(stirred.set)
        # Loopback only has plain HTTP in mind; a proxy from the environment has no business here.
        async with httpx.AsyncClient(timeout=self._retry.timeout_s, trust_env=False) as client:
            try:
                while True:
                    stirred.clear()
                    self._start_pending(client)
                    await stirred.wait()
            finally:
                tasks = list(self._tasks.values())
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _start_pending(self, client: httpx.AsyncClient) -> None:
        for delivery in self._account.state.deliveries.values():
            if delivery["status"] == "pending" and delivery["id"] not in self._tasks:
                task = asyncio.create_task(self._deliver(delivery, client))
                self._tasks[delivery["id"]] = task
                task.add_done_callback(partial(self._forget, delivery["id"]))

    def _forget(self, delivery_id: str, _: asyncio.Task[None]) -> None:
        self._tasks.pop(delivery_id, None)

    async def _deliver(self, delivery: Json, client: httpx.AsyncClient) -> None:
        """Attempt until the endpoint answers 2xx, is gone, or the attempts are used up."""
        attempts: list[Json] = delivery["attempts"]
        await asyncio.sleep(max(0.0, delivery.get("due", 0.0) - self._account.real_clock()))
        while (endpoint := self._endpoint(delivery)) is not None:
            async with self._slots:
                attempts.append(await self._attempt(delivery["event"], endpoint, client))
            if attempts[-1]["error"] is None:
                self._finish(delivery, "succeeded")
                return
            if len(attempts) > len(self._retry.delays_s):
                break
            self._account.save()
            await asyncio.sleep(self._retry.delays_s[len(attempts) - 1])
        self._finish(delivery, "failed")

    def _endpoint(self, delivery: Json) -> Json | None:
        endpoint = self._account.find(delivery["endpoint"])
        return endpoint if endpoint and endpoint["status"] == "enabled" else None

    async def _attempt(self, event_id: str, endpoint: Json, client: httpx.AsyncClient) -> Json:
        """Post the event once; return {at, status, error}, `error` None for a 2xx."""
        body = encode(self._account.state.objects[event_id])
        # Real time, whatever the account's clock says: receivers hold it against their own.
        timestamp = int(time.time())
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": _USER_AGENT,
            "Accept": "*/*; q=0.5, application/xml",
            "Cache-Control": "no-cache",
            "Stripe-Signature": sign(body, secrets_of(self._account, endpoint), timestamp),
        }
        status: int | None = None
        error: str | None = None
        try:
            answer = await client.post(endpoint["url"], content=body, headers=headers)
            status = answer.status_code
            if not answer.is_success:
                error = f"HTTP {status}"
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            error = type(failure).__name__
        return {"at": timestamp, "status": status, "error": error}

    def _finish(self, delivery: Json, status: str) -> None:
        delivery["status"] = status
        event = self._account.state.objects[delivery["event"]]
        event["pending_webhooks"] -= 1
        self._account.save()
