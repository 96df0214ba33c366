"""``python -m infra.setup.smoke`` (``make smoke``): does a deployed stack do what it is for?

It lives through the main job as a user of its own: a key that is wrong is refused, a call is
allowed, its usage settles, the limit stops the next one, the upgrade page opens, and the webhook
takes nothing unsigned. No money moves, and no other user is touched.
"""

import argparse
import os
import re
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
from botocore.exceptions import BotoCoreError, ClientError

from infra.setup.errors import SetupError
from infra.setup.memory import recall
from infra.setup.stack import Stack

ROOT = Path(__file__).parents[2]
_TIMEOUT_S = 30.0
_PATIENCE_S = 60.0
_PAUSE_S = 1.0
#: More than any tier allows at once, so that the answer says how much is left.
_TOO_MUCH_USD = "1000000"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the stack's three addresses are, and a key of its API."""

    api_url: str
    page_url: str
    webhook_url: str
    api_key: str = field(repr=False)


class Smoke:
    """The steps, in order; each needs what the ones before it found out."""

    def __init__(self, target: Target, patience_s: float = _PATIENCE_S) -> None:
        self._target = target
        self._patience_s = patience_s
        self._user = f"smoke-{uuid.uuid4()}"
        self._http = httpx.Client(timeout=_TIMEOUT_S)
        self._left_usd = "0"
        self._link = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    @property
    def steps(self) -> list[tuple[str, Callable[[], None]]]:
        """(what is true once it has run, the step). A step raises SetupError."""
        return [
            ("a wrong key is refused", self.a_wrong_key_is_refused),
            ("a call is allowed, once however often it is asked", self.a_call_is_allowed),
            ("what is left is known", self.what_is_left_is_known),
            ("usage is taken and settled, and the limit stops the next call", self.the_limit_stops),
            ("the upgrade page opens for this user, and offers something", self.the_page_opens),
            ("a link that was tampered with opens nothing", self.a_forged_link_opens_nothing),
            ("embed.js is served", self.embed_is_served),
            ("the webhook takes nothing unsigned", self.the_webhook_takes_nothing_unsigned),
        ]

    def a_wrong_key_is_refused(self) -> None:
        """401, and no word on why."""
        answer = self._post("/v1/check", {"user_id": self._user}, key="tk_none_" + "0" * 32)
        _expect(answer.status_code == httpx.codes.UNAUTHORIZED, answer)

    def a_call_is_allowed(self) -> None:
        """The same request_id, the same reservation."""
        body = {"user_id": self._user, "amount_usd": "0.000001", "request_id": "smoke"}
        answers = [self._post("/v1/check", body) for _ in range(2)]
        for answer in answers:
            _expect(answer.is_success and answer.json()["decision"] == "allow", answer)
            _expect(not answer.json().get("degraded"), answer, "Redis is away")
        first, second = (answer.json()["reservation_id"] for answer in answers)
        _expect(first == second, answers[1], "it was reserved twice")

    def what_is_left_is_known(self) -> None:
        """A call too dear for the tier is blocked, and says what would fit."""
        answer = self._post("/v1/check", {"user_id": self._user, "amount_usd": _TOO_MUCH_USD})
        _expect(answer.is_success, answer)
        if answer.json()["decision"] == "allow":
            raise SetupError("The default tier limits nothing: nobody will ever be asked to pay.")
        self._left_usd = answer.json()["affordable_usd"]

    def the_limit_stops(self) -> None:
        """All that is left is reported as used; soon nothing fits any more."""
        event = {
            "event_id": self._user,
            "user_id": self._user,
            "cost_usd": self._left_usd,
            "status": "ok",
        }
        answer = self._post("/v1/usage", {"events": [event]})
        _expect(answer.status_code == httpx.codes.ACCEPTED, answer)
        body = {"user_id": self._user, "amount_usd": self._left_usd}
        deadline = time.monotonic() + self._patience_s
        while True:
            answer = self._post("/v1/check", {**body, "request_id": str(uuid.uuid4())})
            _expect(answer.is_success, answer)
            if answer.json()["decision"] == "block":
                break
            late = "the usage is not settled: look at the queue and at log_usage's log"
            _expect(time.monotonic() < deadline, answer, late)
            time.sleep(_PAUSE_S)
        self._link = answer.json()["upgrade_url"] or ""
        _expect(bool(self._link), answer, "no upgrade_url")

    def the_page_opens(self) -> None:
        """With a policy that names who may frame it, and at least one pack or plan."""
        answer = self._http.get(self._link)
        _expect(answer.is_success, answer)
        policy = answer.headers.get("content-security-policy", "")
        _expect("frame-ancestors" in policy and "*" not in policy, answer, "no strict policy")
        found = re.search(r'name="(pack|plan)"', answer.text)
        _expect(found is not None, answer, "nothing is for sale: put packs/<name> or plans/<name>")

    def a_forged_link_opens_nothing(self) -> None:
        """The token's last letters are its signature."""
        (token,) = parse_qs(urlsplit(self._link).query)["t"]
        forged = token[:-6] + ("AAAAAA" if token[-6:] != "AAAAAA" else "BBBBBB")
        answer = self._http.get(self._link.replace(token, forged))
        _expect(answer.is_client_error, answer)

    def embed_is_served(self) -> None:
        """To whatever page includes it."""
        answer = self._http.get(self._target.page_url.rstrip("/") + "/embed.js")
        _expect(answer.is_success and "javascript" in answer.headers["content-type"], answer)

    def the_webhook_takes_nothing_unsigned(self) -> None:
        """A well-formed event without Stripe's signature."""
        answer = self._http.post(self._target.webhook_url, json={"id": "evt_smoke", "type": "x"})
        _expect(answer.status_code == httpx.codes.BAD_REQUEST, answer)

    def _post(self, path: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        return self._http.post(
            self._target.api_url.rstrip("/") + path,
            json=body,
            headers={"Authorization": f"Bearer {key or self._target.api_key}"},
        )


def _expect(holds: bool, answer: httpx.Response, why: str = "") -> None:
    if not holds:
        request = f"{answer.request.method} {answer.request.url.path}"
        said = f"{request} was answered with {answer.status_code}: {answer.text[:300]}"
        raise SetupError(f"{why}. {said}" if why else said)


def live_through(target: Target, say: Callable[[str], None]) -> None:
    """Take every step, and ``say`` each. Raises SetupError and httpx.HTTPError."""
    with Smoke(target) as smoke:
        for what, step in smoke.steps:
            began = time.monotonic()
            step()
            say(f"{what}  {time.monotonic() - began:.1f} s")


def main(arguments: list[str] | None = None) -> int:
    """Run the steps until one fails; 1 then."""
    parser = argparse.ArgumentParser(prog="python -m infra.setup.smoke", description=__doc__)
    parser.add_argument("--stage", default="dev", help="whose stack's addresses are read (dev)")
    parser.add_argument("--region", help="AWS region; the one that make deploy remembers")
    parser.add_argument("--api-url", help="address of the API, instead of the stack's")
    parser.add_argument("--page-url", help="address of the upgrade page, instead of the stack's")
    parser.add_argument("--webhook-url", help="address of the webhook, instead of the stack's")
    options = parser.parse_args(arguments)
    try:
        live_through(_target(options), lambda text: print(f"  ✓ {text}"))
    except (SetupError, httpx.HTTPError, BotoCoreError, ClientError) as error:
        print(f"\n✗ {error}", file=sys.stderr)
        return 1
    print("\nThe stack does what it is for.")
    return 0


def _target(options: argparse.Namespace) -> Target:
    key = os.environ.get("TOLLKEEPER_API_KEY")
    if not key:
        raise SetupError("Set TOLLKEEPER_API_KEY to a key of the API (make deploy showed it once).")
    api_url, page_url, webhook_url = options.api_url, options.page_url, options.webhook_url
    if not (api_url and page_url and webhook_url):
        region = options.region or recall(ROOT, options.stage).region
        region = region or boto3.Session().region_name
        if region is None:
            raise SetupError("No region: give --region, or set AWS_REGION.")
        found = Stack(ROOT, options.stage, region).outputs()
        api_url = api_url or found.api_url
        page_url = page_url or found.upgrade_page_url
        webhook_url = webhook_url or found.webhook_url
    if not (api_url and page_url and webhook_url):
        raise SetupError(f"There is no stack tollkeeper-{options.stage}: run make deploy first.")
    return Target(api_url, page_url, webhook_url, key)


if __name__ == "__main__":
    sys.exit(main())
