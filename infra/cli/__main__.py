"""``python -m infra.cli``, installed as ``tollkeeper``."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from tollkeeper_core.domain.announcements import AnnouncementError
from tollkeeper_core.domain.ledger import LedgerError
from tollkeeper_core.domain.ports import SourceError
from tollkeeper_core.domain.purchases import PurchaseLookupError
from tollkeeper_core.domain.record import RecordError
from tollkeeper_core.services.sync_config import ConfigError

from infra.cli import commands
from infra.cli.connection import connect
from infra.cli.experiment import RUNNING
from infra.cli.report import a_count, a_count_of_days, a_day_or_month, report
from infra.cli.screen import fail

_DESCRIPTION = "The owner's commands over the ledger and its record (docs/ledger.md)."
_EPILOG = """
Region and credentials are those that boto3 finds (AWS_REGION, AWS_PROFILE, ...). For the local
cloud: AWS_ENDPOINT_URL=<aws, as make dev prints it> AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=local
AWS_SECRET_ACCESS_KEY=local, and --stage local.
"""

#: 1 is verify's: it found differences.
_FAILED, _STOPPED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answer the exit code."""
    options = command_parser().parse_args(arguments)
    try:
        with connect(options.stage, options.region, options.bucket) as stage:
            code: int = options.run(stage, options)
            return code
    except (RecordError, ConfigError, SourceError, LedgerError) as error:
        fail(error)
    except (PurchaseLookupError, AnnouncementError) as error:
        fail(error)
    except (BotoCoreError, ClientError) as error:
        fail(error)
    except KeyboardInterrupt:
        fail(RuntimeError("Stopped. Run it again: it takes up what is missing."))
        return _STOPPED
    return _FAILED


def command_parser() -> ArgumentParser:
    """What the command line takes; the pages of docs/ are held to it."""
    common = ArgumentParser(add_help=False)
    stage = os.environ.get("TOLLKEEPER_STAGE")
    common.add_argument("--stage", default=stage, required=stage is None, help="the installation")
    common.add_argument("--region", help="AWS region, such as eu-west-1")
    common.add_argument("--bucket", help="the archive, where it is not the stack's own")
    asks = ArgumentParser(add_help=False)
    asks.add_argument("--yes", action="store_true", help="ask nothing")

    parser = ArgumentParser(prog="tollkeeper", description=_DESCRIPTION, epilog=_EPILOG)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    rebuild = subparsers.add_parser(
        "rebuild", parents=[common, asks], help="bring an emptied Redis back from the archive"
    )
    rebuild.add_argument(
        "--force",
        action="store_true",
        help="stop traffic, delete every user's state, and write the archive's in its place",
    )
    rebuild.add_argument(
        "--grace",
        type=float,
        default=75.0,
        metavar="SECONDS",
        help="how long a function may still be archiving what it settled before (75)",
    )
    rebuild.set_defaults(run=commands.rebuild)

    verify = subparsers.add_parser(
        "verify", parents=[common], help="compare the live state with the archive (1: they differ)"
    )
    verify.set_defaults(run=commands.verify)

    export = subparsers.add_parser(
        "export", parents=[common], help="all that is held about a person, as JSON"
    )
    export.set_defaults(run=commands.export)

    forget = subparsers.add_parser(
        "forget", parents=[common, asks], help="a person's data, away; the money totals stay true"
    )
    forget.set_defaults(run=commands.forget)

    reconcile = subparsers.add_parser(
        "reconcile", parents=[common], help="apply what Stripe says and no event told (1: problems)"
    )
    week_ago = datetime.now(UTC).date() - timedelta(days=7)
    reconcile.add_argument(
        "--since", type=date.fromisoformat, default=week_ago, metavar="DAY", help="UTC (a week ago)"
    )
    reconcile.add_argument("--event-bus", default="default", help="where it is announced (default)")
    reconcile.set_defaults(run=commands.reconcile)

    funnel = subparsers.add_parser(
        "report", parents=[common], help="the funnel from a limit to a purchase, or profit per user"
    )
    funnel.add_argument(
        "--days", type=a_count_of_days, default=28, metavar="N", help="up to the last day (28)"
    )
    funnel.add_argument("--from", dest="first", type=a_day_or_month, metavar="DAY")
    funnel.add_argument(
        "--to", dest="last", type=a_day_or_month, metavar="DAY", help="the last day (today)"
    )
    instead = funnel.add_mutually_exclusive_group()
    instead.add_argument(
        "--profit",
        action="store_true",
        help="profit per user instead, by month and tier; --from and --to are months (2026-11)",
    )
    funnel.add_argument(
        "--months", type=a_count, metavar="N", help="of --profit, up to the last month (3)"
    )
    funnel.add_argument(
        "--top", type=a_count, default=10, metavar="N", help="users in the lists of --profit (10)"
    )
    funnel.add_argument(
        "--by",
        choices=("day", "week", "month", "trigger", "tier", "offer", "variant"),
        default="week",
        help="one row for each (week)",
    )
    instead.add_argument(
        "--experiment",
        nargs="?",
        const=RUNNING,
        metavar="NAME",
        help="each variant against the hold-out instead (the experiment that runs)",
    )
    form = funnel.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="exact figures on stdout")
    form.add_argument("--html", type=Path, metavar="FILE", help="write a page with charts")
    funnel.add_argument(
        "--from-archive", action="store_true", help="count the record instead of the counters"
    )
    funnel.set_defaults(run=report)

    revoke = subparsers.add_parser(
        "revoke", parents=[common], help="take back the credits of a refunded purchase"
    )
    revoke.set_defaults(run=commands.revoke)

    freeze = subparsers.add_parser(
        "freeze", parents=[common], help="let nothing more be used of a purchase that you distrust"
    )
    freeze.set_defaults(run=commands.freeze)

    thaw = subparsers.add_parser(
        "thaw", parents=[common], help="end a freeze, or one that a warning of fraud began"
    )
    thaw.set_defaults(run=commands.thaw)

    for command in (export, forget, revoke, freeze, thaw):
        command.add_argument("user", metavar="USER", help="by the app's own id")
    for command in (revoke, freeze, thaw):
        command.add_argument(
            "purchase", metavar="PURCHASE", help="Stripe's id of it (pi_..., cs_..., in_...)"
        )
    revoke.add_argument(
        "--refunded",
        type=int,
        required=True,
        metavar="MINOR",
        help="all that was refunded of it so far, in minor units (cents)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
