"""What an app and one of its users do with a running Tollkeeper, over HTTP alone."""

import itertools
import re
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx

from infra.local.stack import LocalStack

T = TypeVar("T")
_numbers = itertools.count(1)
DEADLINE_S = 30.0


def until(look: Callable[[], T], done: Callable[[T], bool], deadline_s: float = DEADLINE_S) -> T:
    """Look until it is done; fails with what was last seen."""
    end = time.monotonic() + deadline_s
    while True:
        seen = look()
        if done(seen):
            return seen
        assert time.monotonic() < end, f"never came: last seen {seen!r}"
        time.sleep(0.05)


class Story:
    """One user of one app. ``user`` is new each time."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack
        self.user = f"user-{next(_numbers)}-{uuid.uuid4().hex[:8]}"
        self.api = httpx.Client(
            base_url=stack.urls["intercept"],
            headers={"Authorization": f"Bearer {stack.api_key}"},
            timeout=30,
            trust_env=False,
        )
        self.browser = httpx.Client(timeout=30, trust_env=False, follow_redirects=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.api.close()
        self.browser.close()

    # -- the app ----------------------------------------------------------------------------------

    def check(self, usd: str | None = None, **more: Any) -> dict[str, Any]:
        body = {"user_id": self.user, "tier": "free", **more}
        answer = self.api.post("/v1/check", json={**body, "amount_usd": usd} if usd else body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def report(self, *events: dict[str, Any]) -> list[dict[str, Any]]:
        answer = self.api.post("/v1/usage", json={"events": list(events)})
        assert answer.status_code == 202, answer.text
        return list(answer.json()["results"])

    def event(self, usd: str, reservation_id: str | None = None, **more: Any) -> dict[str, Any]:
        return {
            "event_id": f"evt-{uuid.uuid4().hex}",
            "user_id": self.user,
            "reservation_id": reservation_id,
            "cost_usd": usd,
            **more,
        }

    def usage(self) -> dict[str, Any]:
        answer = self.api.get(f"/v1/users/{self.user}/usage")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def balance(self) -> str:
        return "".join(credit["display"] for credit in self.usage()["credits"])

    def percent(self, window: str = "daily") -> int:
        return int(self.usage()["windows"][window]["percent"])

    # -- the user ---------------------------------------------------------------------------------

    def choose(self, upgrade_url: str, **offer: str) -> str:
        """Choose a pack or plan on the page, without a script; the payment page's address."""
        page = self.browser.get(upgrade_url)
        assert page.status_code == 200, page.text
        token = parse_qs(urlsplit(upgrade_url).query)["t"][0]
        assert token in page.text
        answer = self.browser.post(
            upgrade_url.partition("/upgrade")[0] + "/upgrade/checkout", data={"t": token, **offer}
        )
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def pay(self, checkout_url: str, action: str = "pay") -> None:
        page = self.browser.get(checkout_url)
        assert page.status_code == 200
        payer = {"email": "payer@example.com", "name": "Jenny Rosen"}
        done = self.browser.post(checkout_url, data={**payer, "action": action})
        assert done.status_code == 303, done.text

    def state(self, upgrade_url: str) -> str:
        base, _, token = upgrade_url.partition("/upgrade?t=")
        answer = self.browser.get(f"{base}/upgrade/status", params={"t": token})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["state"])

    def buy(self, upgrade_url: str, **offer: str) -> None:
        """The whole purchase, up to the webhook's effect."""
        self.pay(self.choose(upgrade_url, **offer))
        until(lambda: self.state(upgrade_url), lambda state: state == "paid")

    def session_id(self, checkout_url: str) -> str:
        found = re.search(r"cs_test_\w+", checkout_url)
        assert found
        return found[0]
