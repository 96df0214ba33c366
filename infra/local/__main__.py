"""`make dev`: the whole product on this machine, until Ctrl-C."""

import argparse
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from infra.local.built import build_for_this_machine
from infra.local.cloudformation import TemplateError
from infra.local.console import Terminal
from infra.local.layout import ROOT, Settings
from infra.local.parts import PartError, direct_to_loopback
from infra.local.seed import Stripe, Upstash
from infra.local.stack import FunctionError, LocalStack
from infra.setup.errors import SetupError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_EPILOG = """
STRIPE_SECRET_KEY (a test key, with STRIPE_WEBHOOK_SECRET from `stripe listen`) puts the real Stripe
in place of the local one; UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN the real Upstash.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C (0) or until a part fails (1)."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.local", description=__doc__, epilog=_EPILOG
    )
    parser.add_argument("--no-chat", action="store_true", help="without the example app")
    parser.add_argument("--verbose", action="store_true", help="every line as it comes")
    parser.add_argument("--stage", default="local", help="the stage's name (local)")
    parser.add_argument(
        "--any-ports", action="store_true", help="do not ask for the usual ports, take free ones"
    )
    parser.add_argument(
        "--built", action="store_true", help="run what `sam build` makes, not the source"
    )
    parser.add_argument(
        "--json-ready", type=Path, metavar="FILE", help="write the addresses there when ready"
    )
    options = parser.parse_args(arguments)
    terminal = Terminal(verbose=options.verbose)
    try:
        settings = Settings(
            stage=options.stage,
            chat=not options.no_chat,
            verbose=options.verbose,
            friendly_ports=not options.any_ports,
            upstash=_upstash(),
            stripe=_stripe(),
        )
    except ValueError as error:
        parser.error(str(error))
    os.environ.update(direct_to_loopback())
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    try:
        if options.built:
            terminal.progress("building the stack for this machine")
            template = build_for_this_machine(ROOT / "build" / "sam")
            settings = dataclasses.replace(settings, template=template)
        with LocalStack(settings, on_line=terminal.line, on_progress=terminal.progress) as stack:
            terminal.ready(stack)
            if options.json_ready is not None:
                _write_ready(options.json_ready, stack)
            stack.watch()
    except KeyboardInterrupt:
        terminal.stopped()
    except (PartError, FunctionError, SetupError, TemplateError) as error:
        terminal.failed(error)
        return 1
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # Once: a second Ctrl-C must not break off the clean-up that the first one begins.
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _upstash() -> Upstash | None:
    url, token = (os.environ.get(f"UPSTASH_REDIS_REST_{name}") for name in ("URL", "TOKEN"))
    if not url:
        return None
    if not token:
        raise ValueError("UPSTASH_REDIS_REST_URL needs UPSTASH_REDIS_REST_TOKEN")
    return Upstash(url, token)


def _stripe() -> Stripe | None:
    key = os.environ.get("STRIPE_SECRET_KEY")
    if not key:
        return None
    if not key.startswith(("sk_test_", "rk_test_")):
        raise ValueError("STRIPE_SECRET_KEY must be a test key: real money is for real stacks")
    return Stripe(secret_key=key, webhook_secret=os.environ.get("STRIPE_WEBHOOK_SECRET"))


def _write_ready(path: Path, stack: LocalStack) -> None:
    ready = {
        "pid": os.getpid(),
        "stage": stack.settings.stage,
        "api_key": stack.api_key,
        "urls": stack.urls,
        "started_in_s": round(stack.started_in_s, 2),
    }
    # Renamed into place: who waits for the file never reads half of it.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(ready, indent=2) + "\n")
    draft.replace(path)


if __name__ == "__main__":
    sys.exit(main())
