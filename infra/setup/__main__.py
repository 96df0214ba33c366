"""``python -m infra.setup`` (``make deploy``)."""

import argparse
import json
import sys
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from infra.setup.console import Console
from infra.setup.errors import SetupError
from infra.setup.guide import Guide, Options, open_guide

ROOT = Path(__file__).parents[2]
EPILOG = """
Without a terminal, or with --non-interactive, answers come from the environment: TOLLKEEPER_STAGE,
AWS_REGION, UPSTASH_REDIS_REST_URL, UPSTASH_REDIS_REST_TOKEN, STRIPE_SECRET_KEY, and, to try out an
upgrade, TOLLKEEPER_API_KEY. What an earlier run stored need not be given again. Run it again at any
point: what you changed yourself stays.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the set-up; answer the exit code."""
    parsed = _parser().parse_args(arguments)
    console = Console(interactive=not parsed.non_interactive and sys.stdin.isatty())
    options = Options(
        stage=parsed.stage,
        region=parsed.region,
        config_dir=parsed.config,
        skip_deploy=parsed.skip_deploy,
        api_url=parsed.api_url,
        webhook_url=parsed.webhook_url,
        force=parsed.force,
    )
    try:
        guide = open_guide(console, options, ROOT)
        if parsed.new_key:
            add_key(guide)
        else:
            guide.run(options)
    except (SetupError, BotoCoreError, ClientError) as error:
        print(f"\n✗ {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        print("\nStopped. Run it again: it takes up what is missing.", file=sys.stderr)
        return 130
    return 0


def add_key(guide: Guide) -> None:
    """Make another API key. The newest of the old ones stays active; an older one stops."""
    guide.console.step("Another API key")
    guide.add_api_key(json.loads(guide.read_stored().get("api_keys", "{}")))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.setup",
        description="Set Tollkeeper up in your AWS account, up to the first metered call.",
        epilog=EPILOG,
    )
    parser.add_argument("--stage", help="name of the installation (dev, prod)")
    parser.add_argument("--region", help="AWS region, such as eu-west-1")
    parser.add_argument(
        "--config", type=Path, help="folder of your own configuration, laid out as infra/config"
    )
    parser.add_argument("--non-interactive", action="store_true", help="ask nothing")
    parser.add_argument(
        "--skip-deploy", action="store_true", help="leave the stack as it is; do all other steps"
    )
    parser.add_argument(
        "--new-key", action="store_true", help="only make another API key, to rotate"
    )
    parser.add_argument("--api-url", help="address of the API, where it is not the stack's own")
    parser.add_argument(
        "--webhook-url", help="address for Stripe's events, where it is not the stack's own"
    )
    parser.add_argument(
        "--force", action="store_true", help="deploy although a newer version is there already"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
