"""What `make dev` shows: progress, every part's lines behind its name, and what to try first."""

import json
import shlex
from collections.abc import Iterator

from rich.console import Console
from rich.panel import Panel
from rich.status import Status
from rich.table import Table
from rich.text import Text

from infra.local.layout import PART_NAMES
from infra.local.logs import compact
from infra.local.stack import LocalStack

_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_magenta")
_LEVEL_STYLES = {
    "ERROR": "bold red",
    "CRITICAL": "bold red",
    "WARNING": "yellow",
    "WARN": "yellow",
    "DEBUG": "dim",
}
_NAME_WIDTH = 14


class Terminal:
    """Writes to the terminal; its methods may be called from any thread."""

    def __init__(self, *, verbose: bool) -> None:
        self._console = Console(highlight=False)
        self._verbose = verbose
        self._styles: dict[str, str] = {}
        self._status: Status | None = None
        self._ready = False

    def progress(self, what: str) -> None:
        """Show what is being waited for, on one line that changes."""
        if self._status is None:
            self._status = self._console.status("")
            self._status.start()
        self._status.update(Text(what))

    def settled(self) -> None:
        """Take the progress line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def line(self, source: str, raw: str) -> None:
        """Show a line of a part or a function."""
        if not (self._ready or self._verbose) and source in PART_NAMES:
            # Where it listens is told in a moment; what it says before it fails is in the error.
            return
        for text in self._shown(raw):
            name = Text(f"{source:>{_NAME_WIDTH}} │ ", self._style(source))
            self._console.print(name + text, soft_wrap=True)

    def ready(self, stack: LocalStack) -> None:
        """Show where everything is and what to try."""
        self.settled()
        self._ready = True
        title = Text.assemble(
            ("Tollkeeper", "bold"), " runs here", (f"  {stack.started_in_s:.1f} s", "dim")
        )
        self._console.print()
        self._console.print(
            Panel(_addresses(stack), title=title, title_align="left", border_style="green")
        )
        self._console.print(Text.assemble("  API key ", (stack.api_key, "green")), soft_wrap=True)
        for heading, text in _suggestions(stack):
            self._console.print(Text(f"\n  {heading}", "bold"))
            # No wrapping: a command that was broken into lines cannot be pasted.
            self._console.print(Text(text), soft_wrap=True)
        self._console.print(Text("\n  Ctrl-C ends it all. Nothing is kept.\n", "dim"))

    def failed(self, error: Exception) -> None:
        """Show why it ends."""
        self.settled()
        self._console.print(Text(f"\n✗ {error}", "red"), soft_wrap=True)

    def stopped(self) -> None:
        """Say that all is over."""
        self.settled()
        self._console.print(Text("\nStopped.", "dim"))

    def _shown(self, raw: str) -> Iterator[Text]:
        if self._verbose:
            yield Text.from_ansi(raw)
            return
        line = compact(raw)
        if line is None:
            return
        style = _LEVEL_STYLES.get(line.level, "")
        for part in line.text.splitlines():
            yield Text(part, style) if style else Text.from_ansi(part)

    def _style(self, source: str) -> str:
        return self._styles.setdefault(source, _COLOURS[len(self._styles) % len(_COLOURS)])


def _addresses(stack: LocalStack) -> Table:
    known = {
        "chat": "the example app",
        "intercept": "the API that app code calls",
        "upgrade_page": "the upgrade page and embed.js",
        "stripe_webhook": "where Stripe sends its events",
        "stripe": "a Stripe without money",
        "provider": "an OpenAI- and Anthropic-compatible provider",
        "gateway": "Upstash's REST API before a real Redis",
        "aws": "SQS, SSM, S3",
        "lambda": "Lambda's Invoke API",
    }
    table = Table.grid(padding=(0, 2))
    for name, what in known.items():
        if name in stack.urls:
            url = stack.urls[name]
            style = f"bold cyan link {url}" if name == "chat" else f"cyan link {url}"
            table.add_row(Text(name, "bold"), Text(url, style), Text(what, "dim"))
    return table


def _suggestions(stack: LocalStack) -> Iterator[tuple[str, str]]:
    if "chat" in stack.urls:
        yield (
            "Meet the limit and buy your way on",
            f"  Open {stack.urls['chat']}, send messages until you are stopped, buy the $5 pack:\n"
            "  the chat goes on.",
        )
    body = {"user_id": "ada", "amount_usd": "0.01"}
    yield (
        "Ask whether a call may run",
        f"  curl -s {stack.urls['intercept']}/v1/check -H 'Authorization: Bearer {stack.api_key}' "
        f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}",
    )
    tier = json.loads(
        stack.ssm().get_parameter(Name=f"{stack.prefix}/tiers/free")["Parameter"]["Value"]
    )
    for window in tier["limits"].values():
        window["limit_usd"] = "5.00"
    yield (
        "Raise the free tier's limits; the next check knows",
        "  AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws ssm put-parameter "
        f"--endpoint-url {stack.urls['aws']} --region us-east-1 --overwrite "
        f"--name {stack.prefix}/tiers/free --value {shlex.quote(json.dumps(tier))}",
    )
    yield (
        "See what converted, then what each user cost and brought in",
        f"  export AWS_ENDPOINT_URL={stack.urls['aws']} AWS_REGION=us-east-1 "
        f"AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local{_stripe_of(stack)}\n"
        f"  .venv/bin/tollkeeper report --stage {stack.settings.stage}\n"
        f"  .venv/bin/tollkeeper reconcile --stage {stack.settings.stage} "
        f"&& .venv/bin/tollkeeper report --stage {stack.settings.stage} --profit",
    )
    if stack.settings.stripe is not None:
        yield (
            "Bring the real Stripe's events here",
            f"  stripe listen --forward-to {stack.urls['stripe_webhook']}\n"
            "  It shows a secret: give it as STRIPE_WEBHOOK_SECRET when you start this.",
        )


def _stripe_of(stack: LocalStack) -> str:
    """For the owner's commands: where the local Stripe is; the real one is where it always is."""
    return f" STRIPE_API_BASE={stack.urls['stripe']}" if "stripe" in stack.urls else ""
