"""``python -m infra.setup.remove`` (``make remove``): take a stage out of an AWS account.

It says first what goes and what stays, and goes on once the stage's name is typed. Every step
looks at what is still there, so that whatever was cut off is taken up by the next run.
"""

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import stripe
from botocore.exceptions import BotoCoreError, ClientError

from infra.setup import archive_bucket
from infra.setup.checks import stripe_client
from infra.setup.console import Console
from infra.setup.errors import SetupError
from infra.setup.guide import locate
from infra.setup.inventory import Inventory, take_inventory
from infra.setup.memory import forget
from infra.setup.parameters import delete_parameters, save_configuration
from infra.setup.stack import Stack
from infra.setup.stripe_endpoint import disable_webhook

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_ssm import SSMClient

ROOT = Path(__file__).parents[2]
_NO_COPY = "-"
_EPILOG = """
Without a terminal, or with --non-interactive, --confirm takes the place of the typed name, and
AWS_REGION and TOLLKEEPER_BACKUP (or --backup) those of the other answers.
"""


@dataclass(frozen=True, slots=True)
class Removal:
    """One run for one stage. ``with_data``: the archive goes too."""

    console: Console
    stack: Stack
    found: Inventory
    ssm: "SSMClient" = field(repr=False)
    s3: "S3Client" = field(repr=False)
    with_data: bool = False

    def run(self, confirm: str | None, backup: str | None) -> None:
        """Take every step. Raises SetupError; nothing was changed before the name is typed."""
        if self.found.is_empty:
            self.console.note("Nothing of it is there. Is this the account and the region?")
            return
        if self.with_data and self.found.bucket:
            archive_bucket.check_owner(self.s3, self.found.bucket, self.stack.name)
        self.tell_the_plan()
        self.console.confirm_by_typing(self.stack.stage, confirm)
        folder = self.ask_for_a_folder(backup)
        self.back_up(folder)
        unheard = self.silence_stripe()
        self.delete_stack()
        if self.with_data:
            self.delete_archive(folder)
        self.delete_parameters()
        forget(self.stack.root, self.stack.stage)
        self.tell_what_is_left(unheard)

    def tell_the_plan(self) -> None:
        """What goes, what stays, and what that means for end users."""
        found, say = self.found, self.console.note
        self.console.step("What goes")
        if found.stack_status:
            say(f"the stack {self.stack.name} ({found.stack_status}): functions, queues, logs")
        for what, count in found.waiting.items():
            if count:
                say(f"  ! with about {count} messages in a queue: {what}. Settle or redrive first.")
        if found.parameters:
            secrets = sum("/secrets/" in name for name in found.parameters)
            say(f"{len(found.parameters)} parameters, {secrets} of them secrets")
        if found.bucket and self.with_data:
            say(f"the archive {found.bucket}: {found.size}. Nothing brings it back.")
        self.console.step("What stays")
        if found.bucket and not self.with_data:
            say(f"the archive {found.bucket}: {found.size} (--with-data deletes it)")
        say(f"the database at Upstash{f' ({found.upstash_url})' if found.upstash_url else ''}")
        say("Stripe's payments, customers and prices; the webhook endpoint, disabled")
        if found.subscriptions:
            say(f"  ! {len(found.subscriptions)} subscriptions, which go on charging your users")
        say("  ! Credits that users have bought and not used are for nothing then: refund them.")

    def ask_for_a_folder(self, backup: str | None) -> Path | None:
        """Where the copy goes; None for no copy."""
        self.console.step(
            "Copy", f"The archive and the configuration, to a folder; {_NO_COPY} for none."
        )
        default = f"tollkeeper-{self.stack.stage}-backup"
        answer = backup or self.console.ask("Folder", "TOLLKEEPER_BACKUP", default=default)
        return None if answer == _NO_COPY else Path(answer).absolute()

    def back_up(self, folder: Path | None) -> None:
        """Copy what the folder lacks. What was forgotten of a person is not brought back."""
        if folder is None:
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        prefix = f"/tollkeeper/{self.stack.stage}"
        saved = save_configuration(self.ssm, prefix, folder / "config")
        if saved:
            self.console.done(f"{len(saved)} parameters in {folder / 'config'}; no secrets.")
        if self.found.bucket:
            copied = archive_bucket.copy(self.s3, self.found.bucket, folder / "archive")
            self.console.done(f"{copied} objects copied to {folder / 'archive'}.")

    def silence_stripe(self) -> str | None:
        """Disable the webhook endpoint; answer why not, where Stripe refuses the key."""
        key, url = self.found.stripe_key, self.found.webhook_url
        if not key or not url:
            return None
        self.console.step("Stripe's webhook")
        try:
            endpoints = disable_webhook(stripe_client(key), url)
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            self.console.note(f"Stripe refuses the stored key: {error}")
            return url
        except stripe.StripeError as error:
            raise SetupError(f"Stripe cannot be asked to disable the webhook: {error}") from error
        self.console.done(f"Disabled: {', '.join(endpoints) or 'there was none'}.")
        return None

    def delete_stack(self) -> None:
        """With all that CloudFormation does not retain."""
        self.console.step("Stack", f"Deleting {self.stack.name} takes minutes.")
        self.stack.delete()
        self.console.done("There is no stack.")

    def delete_archive(self, folder: Path | None) -> None:
        """Every version of it, once nothing writes there any more."""
        if self.found.bucket is None:
            return
        self.console.step("Archive")
        # The functions went on until a moment ago.
        self.back_up(folder)
        archive_bucket.delete(self.s3, self.found.bucket)
        self.console.done(f"Deleted {self.found.bucket}.")

    def delete_parameters(self) -> None:
        """Last of all: an earlier step that is taken up again reads them."""
        self.console.step("Parameters")
        delete_parameters(self.ssm, self.found.parameters)
        self.console.done(f"Deleted {len(self.found.parameters)}.")

    def tell_what_is_left(self, unheard: str | None) -> None:
        """With what it costs."""
        found, say = self.found, self.console.note
        self.console.step("Done. What is left:")
        if found.bucket and found.size and not self.with_data:
            cost = f"about ${found.size.usd_a_month:.2f} a month"
            say(f"- the bucket {found.bucket}, {found.size}: {cost}.")
            again = f'make remove ARGS="--stage {self.stack.stage} --with-data"'
            say(f"  When you may delete the record of who paid what: {again}")
        say("- the database at Upstash: delete it there; until then it costs what your plan says.")
        if unheard:
            say(f"- Stripe's webhook endpoint {unheard}, ENABLED: delete it in the dashboard.")
        elif found.stripe_key and found.webhook_url:
            say("- Stripe's webhook endpoint, disabled, at no cost.")
        else:
            say("- Stripe's webhook endpoint, if there was one: see there that it is disabled.")
        for subscription in found.subscriptions or ():
            say(f"- the subscription {subscription}, which charges a user: cancel it at Stripe.")
        if found.subscriptions is None:
            say("- subscriptions, if you sold any, go on charging: look for them at Stripe.")
        say("- SAM's bucket for uploads (aws-sam-cli-managed-default), which stages share: cents.")


def main(arguments: list[str] | None = None) -> int:
    """Remove a stage; answer the exit code."""
    options = _parser().parse_args(arguments)
    console = Console(interactive=not options.non_interactive and sys.stdin.isatty())
    try:
        stack = locate(console, ROOT, options.stage, options.region)
        ssm = boto3.client("ssm", region_name=stack.region)
        s3 = boto3.client("s3", region_name=stack.region)
        found = take_inventory(stack, ssm, s3, options.bucket)
        removal = Removal(console, stack, found, ssm, s3, options.with_data)
        removal.run(options.confirm, options.backup)
    except (SetupError, BotoCoreError, ClientError, OSError) as error:
        print(f"\n✗ {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        print("\nStopped. Run it again: it takes up what is left.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.setup.remove", description=__doc__, epilog=_EPILOG
    )
    parser.add_argument("--stage", help="name of the installation (dev, prod)")
    parser.add_argument("--region", help="AWS region, such as eu-west-1")
    parser.add_argument("--bucket", help="the archive, where the stack does not say which")
    parser.add_argument(
        "--with-data", action="store_true", help="delete the archive too: nothing brings it back"
    )
    parser.add_argument(
        "--backup", metavar="FOLDER", help="copy archive and configuration there first (- for no)"
    )
    parser.add_argument("--confirm", metavar="STAGE", help="its name once more, in place of typing")
    parser.add_argument("--non-interactive", action="store_true", help="ask nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
