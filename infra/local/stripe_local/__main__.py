"""`python -m infra.local.stripe_local --port 12111`."""

import argparse
from pathlib import Path

from infra.local.stripe_local.account import DELAYED_S
from infra.local.stripe_local.chaos import Chaos, parse
from infra.local.stripe_local.server import LocalStripe


def _chaos(text: str) -> Chaos:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="stripe_local", description="A local Stripe.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=12111, help="0 takes a free one")
    parser.add_argument("--data", type=Path, help="a JSON file that keeps the account")
    parser.add_argument("--seed", type=int, help="make the ids repeatable")
    parser.add_argument("--delayed-s", type=float, default=DELAYED_S, help="bank debits settle in")
    parser.add_argument(
        "--chaos",
        type=_chaos,
        metavar="seed=7,drop=10,double=20,shuffle_s=2,late=5,late_s=30",
        help="how webhooks go astray: percentages and seconds",
    )
    given = parser.parse_args()
    server = LocalStripe(
        host=given.host,
        port=given.port,
        data=given.data,
        seed=given.seed,
        delayed_s=given.delayed_s,
        chaos=given.chaos,
    )
    print(
        f"Local Stripe, no real money: {server.url}/_local  (key {server.secret_key})", flush=True
    )
    server.run()


if __name__ == "__main__":
    main()
