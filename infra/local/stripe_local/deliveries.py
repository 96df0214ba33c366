"""Send webhooks as Stripe does: signed, retried with back-off, in no guaranteed order."""

import asyncio
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from functools import partial

import httpx

from infra.local.stripe_local.account import Account, Json

# Small servers queue few connections: more at a time would look like an endpoint that is down.
_AT_ONCE = 4
_USER_AGENT = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"


@dataclass(frozen=True)
class Retry:
    """When an endpoint fails: how long to wait for it, and how long before each further attempt."""

    delays_s: tuple[float, ...] = (1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60)
    timeout_s: float = 10.0


def sign(body: bytes, secret: str, timestamp: int) -> str:
    """Return a `Stripe-Signature` header over the exact bytes of `body`."""
    signed = f"{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


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
        secret = self._account.private(endpoint["id"])["secret"]
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": _USER_AGENT,
            "Accept": "*/*; q=0.5, application/xml",
            "Cache-Control": "no-cache",
            "Stripe-Signature": sign(body, secret, timestamp),
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
