"""A stand-in for Tollkeeper's API with a tiny ledger of its own, which a test scripts and reads."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

Json = dict[str, Any]

KEY = "tk_test_secret"
RESETS_AT = (datetime.now(UTC) + timedelta(hours=5)).isoformat(timespec="seconds")
CHECKS_IN_LIMIT = 4

EMBED_JS = """
window.Tollkeeper = {
  warn([{ percent }], url) {
    const banner = document.createElement("button");
    banner.id = "banner";
    banner.textContent = `${percent}%`;
    banner.addEventListener("click", async () => this.open(await url()));
    document.body.append(banner);
  },
  open(url) {
    const frame = document.createElement("iframe");
    frame.src = url;
    frame.id = "overlay";
    for (const [name, value] of Object.entries({position: "fixed", inset: "0", width: "100%",
         height: "100%", border: "0", "z-index": "9"})) frame.style.setProperty(name, value);
    document.body.append(frame);
    return new Promise((resolve) => {
      window.addEventListener("message", function listen(event) {
        if (event.source !== frame.contentWindow) return;
        window.removeEventListener("message", listen);
        frame.remove();
        resolve(event.data);
      });
    });
  },
};
"""
UPGRADE_PAGE = """<!doctype html><title>Upgrade</title>
<button id="pay">Pay</button><button id="dismiss">Not now</button>
<script>
  const say = (word) => parent.postMessage(word, "*");
  pay.onclick = () => fetch("/paid", {method: "POST"}).then(() => say("paid"));
  dismiss.onclick = () => say("dismissed");
</script>"""


@dataclass
class ScriptedTollkeeper:
    """Allows `CHECKS_IN_LIMIT` checks, then blocks until something was paid.

    `hold_checks` keeps an allowed check waiting for its answer. A path in `broken` is answered
    with that status, body and media type instead.
    """

    checks: list[Json] = field(default_factory=list)
    batches: list[list[Json]] = field(default_factory=list)
    links: list[Json] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    broken: dict[str, tuple[int, object, str]] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)
    warnings: list[Json] = field(default_factory=list)
    limit: int = CHECKS_IN_LIMIT
    hold_checks: bool = False
    paid: bool = False
    url: str = ""

    @property
    def events(self) -> list[Json]:
        """Every event that arrived, in order, each as often as it was sent."""
        return [event for batch in self.batches for event in batch]

    def reset(self) -> None:
        """Forget everything but the address."""
        vars(self).update(vars(ScriptedTollkeeper(url=self.url)))

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/check", self._check, methods=["POST"]),
                Route("/v1/usage", self._usage, methods=["POST"]),
                Route("/v1/users/{user:path}/usage", self._standing),
                Route("/v1/upgrade-links", self._link, methods=["POST"]),
                Route("/embed.js", self._embed),
                Route("/upgrade", self._page),
                Route("/paid", self._paid, methods=["POST"]),
            ]
        )

    def usage(self) -> Json:
        percent = min(100, 100 * len(self.checks) // self.limit) if self.limit else 100
        window = {"percent": percent, "resets_at": RESETS_AT}
        credit = {"currency": "usd", "balance_minor": 500, "display": "$5.00"}
        return {
            "tier": "free",
            "windows": {
                "daily": window,
                "weekly": {**window, "percent": percent // 4},
                "monthly": {**window, "percent": percent // 10},
            },
            "credits": [credit] if self.paid else [],
        }

    def _refused(self, request: Request) -> Response | None:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"title": "Unauthorized"}, 401)
        broken = self.broken.get(request.url.path)
        return JSONResponse(broken[1], broken[0], media_type=broken[2]) if broken else None

    async def _check(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        body = await request.json()
        if len(self.checks) >= self.limit and not self.paid:
            return JSONResponse(
                {
                    "decision": "block",
                    "reason": {"code": "limit", "window": "daily", "resets_at": RESETS_AT},
                    "affordable_usd": "0.0004",
                    "upgrade_message": "You have reached today's limit.",
                    "upgrade_url": f"{self.url}/upgrade",
                    "usage": self.usage(),
                }
            )
        self.checks.append(body)
        while self.hold_checks:
            await asyncio.sleep(0.005)
        return JSONResponse(
            {
                "decision": "allow",
                "reservation_id": f"res_{len(self.checks)}",
                "reserved_usd": "0.03",
                "expires_at": RESETS_AT,
                "warnings": self.warnings,
                "usage": self.usage(),
            }
        )

    async def _usage(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        events = (await request.json())["events"]
        self.batches.append(events)
        verdicts = [
            {"event_id": e["event_id"], "status": "rejected", "error": "no such model"}
            if e["event_id"] in self.rejected
            else {"event_id": e["event_id"], "status": "accepted"}
            for e in events
        ]
        return JSONResponse({"results": verdicts}, 202)

    async def _standing(self, request: Request) -> Response:
        segment = request.scope["raw_path"].decode().split("/")[3]
        self.users.append(unquote(segment))
        return self._refused(request) or JSONResponse(self.usage())

    async def _link(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        self.links.append(await request.json())
        return JSONResponse({"upgrade_url": f"{self.url}/upgrade"})

    async def _embed(self, _request: Request) -> Response:
        return Response(EMBED_JS, media_type="text/javascript")

    async def _page(self, _request: Request) -> Response:
        return HTMLResponse(UPGRADE_PAGE)

    async def _paid(self, _request: Request) -> Response:
        self.paid = True
        return Response(status_code=204)
