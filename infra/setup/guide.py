"""The way from an empty account to the first metered call, step by step.

Every step looks first at what is there already, so a run can be repeated at any point: after a
mistake, after an update of Tollkeeper, or to change a key.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import httpx
import stripe
from botocore.exceptions import BotoCoreError, ClientError

from infra.setup import upgrade
from infra.setup.checks import Upstash, check_stripe_key, check_upstash, stripe_client
from infra.setup.console import Console
from infra.setup.errors import SetupError
from infra.setup.first_call import first_call
from infra.setup.keys import new_api_key, new_link_key
from infra.setup.memory import Remembered, known_stages, recall, remember
from infra.setup.parameters import read_secrets, write_configuration, write_secrets
from infra.setup.smoke import Target, live_through
from infra.setup.stack import Outputs, Stack
from infra.setup.stripe_endpoint import register_webhook, replace_webhook

if TYPE_CHECKING:
    from types_boto3_ssm import SSMClient

STAGE = re.compile(r"[a-z][a-z0-9-]{0,19}")
SECRET_NAMES = (
    "upstash_url",
    "upstash_token",
    "stripe_secret_key",
    "stripe_webhook_secret",
    "link_key",
    "api_keys",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. None is asked for, or read from the stack."""

    stage: str | None = None
    region: str | None = None
    config_dir: Path | None = None
    skip_deploy: bool = False
    api_url: str | None = None
    webhook_url: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Guide:
    """One run of the set-up for one stage."""

    console: Console
    stack: Stack
    ssm: "SSMClient" = field(repr=False)

    @property
    def prefix(self) -> str:
        """Where the stage's parameters are in SSM."""
        return f"/tollkeeper/{self.stack.stage}"

    def run(self, options: Options) -> None:
        """Take every step. Raises SetupError."""
        before = None
        if not options.skip_deploy:
            before = upgrade.prepare(self.console, self.stack, force=options.force)
        stored = self.read_stored()
        self.set_up_redis(stored)
        stripe_key = self.set_up_stripe(stored)
        self.write_configuration(options.config_dir)
        api_key = self.make_keys(stored)
        outputs = self.deploy(options)
        if stripe_key and outputs.webhook_url:
            self.register_webhook(stripe_key, outputs.webhook_url, stored)
        try:
            self.publish(outputs)
            self.call(outputs, api_key)
            if stripe_key and not options.skip_deploy:
                self.try_out(outputs, api_key)
        except SetupError as error:
            raise SetupError(f"{error}\n  {upgrade.way_back(self.stack, before)}") from error
        self.say_how_to_call(outputs)

    def read_stored(self) -> dict[str, str]:
        """Read the secrets that an earlier run stored, so that they need not be typed again."""
        return read_secrets(self.ssm, self.prefix, SECRET_NAMES)

    def set_up_redis(self, stored: dict[str, str]) -> None:
        """Ask for the Upstash database until one answers, and store its address and token."""
        self.console.step(
            "Upstash Redis",
            "Holds every balance. Create a database near your AWS region (eviction off) and copy",
            "UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN from its REST section.",
        )
        root, stage = self.stack.root, self.stack.stage
        url = stored.get("upstash_url") or recall(root, stage).upstash_url
        upstash = self._ask_upstash(url, stored.get("upstash_token"))
        secrets = {"upstash_url": upstash.url, "upstash_token": upstash.token}
        write_secrets(self.ssm, self.prefix, secrets)
        remember(root, stage, Remembered(region=self.stack.region, upstash_url=upstash.url))
        self.console.done(f"{upstash.url} answers and takes scripts.")

    def _ask_upstash(self, url: str | None, token: str | None) -> Upstash:
        ask = self.console.ask
        while True:
            try:
                return check_upstash(
                    ask("REST URL", "UPSTASH_REDIS_REST_URL", default=url),
                    ask("REST token", "UPSTASH_REDIS_REST_TOKEN", default=token, hidden=True),
                )
            except SetupError as error:
                if not self.console.interactive:
                    raise
                self.console.failed(error)

    def set_up_stripe(self, stored: dict[str, str]) -> str:
        """Ask for Stripe's secret key until Stripe knows it; answer it, or "" for later."""
        self.console.step(
            "Stripe",
            "Takes the payments, straight to your account. A test key (sk_test_...) is the way to",
            "begin. Without one Tollkeeper meters and limits, and cannot sell.",
        )
        default = stored.get("stripe_secret_key", "")
        while True:
            key = self.console.ask("Secret key", "STRIPE_SECRET_KEY", default=default, hidden=True)
            if not key:
                self.console.note("No key for now: run this again to add it.")
                return ""
            try:
                mode = check_stripe_key(key)
            except SetupError as error:
                if not self.console.interactive:
                    raise
                self.console.failed(error)
                continue
            write_secrets(self.ssm, self.prefix, {"stripe_secret_key": key})
            self.console.done(f"Stripe knows the key ({mode} mode).")
            return key

    def write_configuration(self, config_dir: Path | None) -> None:
        """Write the example tiers, packs and plans into a stage that has none."""
        self.console.step("Configuration")
        written = write_configuration(self.ssm, self.prefix, config_dir)
        for name in written:
            self.console.done(f"{self.prefix}/{name}")
        if written:
            self.console.note("Examples: change them with aws ssm put-parameter whenever you like.")
        else:
            self.console.done(f"{self.prefix} is configured already; nothing was changed.")

    def make_keys(self, stored: dict[str, str]) -> str | None:
        """Make what is missing of the link key and the API key; answer an API key made now."""
        self.console.step("Keys")
        if "link_key" not in stored:
            write_secrets(self.ssm, self.prefix, {"link_key": new_link_key()})
            self.console.done("Made the key that signs upgrade links.")
        if "api_keys" in stored:
            self.console.done("Your API keys stay as they are (--new-key makes another).")
            return None
        return self.add_api_key({})

    def add_api_key(self, keys: dict[str, str]) -> str:
        """Make an API key beside the newest of ``keys``, which are key id -> SHA-256; show it."""
        made = new_api_key()
        # Two at most are active. Objects keep their order: the last one is the newest.
        kept = dict(list(keys.items())[-1:])
        value = json.dumps({**kept, made.key_id: made.sha256})
        write_secrets(self.ssm, self.prefix, {"api_keys": value})
        self.console.done("Your API key, shown this once and stored only as a hash:")
        self.console.note(f"  {made.key}")
        return made.key

    def deploy(self, options: Options) -> Outputs:
        """Build and deploy the stack unless told not to; answer its outputs."""
        if not options.skip_deploy:
            self.console.step("Stack", f"Building and deploying {self.stack.name} takes minutes.")
            self.stack.build()
            self.stack.deploy()
        found = self.stack.outputs()
        return Outputs(
            api_url=options.api_url or found.api_url,
            webhook_url=options.webhook_url or found.webhook_url,
            upgrade_page_url=found.upgrade_page_url,
            sync_config_function=found.sync_config_function,
        )

    def register_webhook(self, stripe_key: str, url: str, stored: dict[str, str]) -> None:
        """Have Stripe send its events to the stack, and store the secret that signs them."""
        self.console.step("Stripe's webhook")
        client = stripe_client(stripe_key)
        try:
            secret = register_webhook(client, url)
            if secret is None and "stripe_webhook_secret" not in stored:
                # An earlier run stopped between the two; Stripe shows a secret only once.
                secret = replace_webhook(client, url)
        except stripe.StripeError as error:
            raise SetupError(f"Stripe does not take the webhook {url}: {error}") from error
        if secret is None:
            self.console.done(f"{url} is registered already.")
            return
        # Beside the one before it, which signed what Stripe may still deliver.
        secrets = [secret, *stored.get("stripe_webhook_secret", "").split(",")[:1]]
        value = ",".join(filter(None, secrets))
        write_secrets(self.ssm, self.prefix, {"stripe_webhook_secret": value})
        self.console.done(f"Registered {url}.")

    def publish(self, outputs: Outputs) -> None:
        """Run sync_config now rather than wait for its schedule."""
        if outputs.sync_config_function is None:
            return
        self.console.step("Publishing the configuration")
        client = boto3.client("lambda", region_name=self.stack.region)
        answer = client.invoke(FunctionName=outputs.sync_config_function, Payload=b"{}")
        payload = answer["Payload"].read().decode()
        if "FunctionError" in answer:
            raise SetupError(f"sync_config failed: {payload[:1000]}")
        if error := json.loads(payload).get("error"):
            raise SetupError(f"The configuration is not valid: {error}")
        self.console.done("Every function knows it.")

    def call(self, outputs: Outputs, api_key: str | None) -> None:
        """Make the first metered call, with the key that was made now."""
        if api_key is not None and outputs.api_url is not None:
            self.console.step("The first call")
            check = first_call(outputs.api_url.rstrip("/"), api_key)
            self.console.done(f"{check['decision']}: {json.dumps(check)}")

    def try_out(self, outputs: Outputs, api_key: str | None) -> None:
        """Run the smoke test over what was deployed, where there is a key to do it with."""
        self.console.step("Does it do what it is for?")
        key = api_key or self.console.ask(
            "An API key of yours", "TOLLKEEPER_API_KEY", default="", hidden=True
        )
        api, page, webhook = outputs.api_url, outputs.upgrade_page_url, outputs.webhook_url
        if not key:
            self.console.note("Not tried: make smoke, with TOLLKEEPER_API_KEY set, does it later.")
        elif api and page and webhook:
            try:
                live_through(Target(api, page, webhook, key), self.console.done)
            except httpx.HTTPError as error:
                raise SetupError(f"The stack cannot be reached: {error}") from error

    def say_how_to_call(self, outputs: Outputs) -> None:
        """How app code makes the next call."""
        if outputs.api_url is None:
            self.console.step("Done", "There is no stack yet: run this without --skip-deploy.")
            return
        self.console.step(
            "Done. Your app asks before each AI call:",
            f"curl {outputs.api_url.rstrip('/')}/v1/check \\",
            '  -H "Authorization: Bearer $TOLLKEEPER_API_KEY" \\',
            '  -H "Content-Type: application/json" \\',
            """  -d '{"user_id": "alice", "amount_usd": "0.01"}'""",
        )


def open_guide(console: Console, options: Options, root: Path) -> Guide:
    """Ask where Tollkeeper shall live, and see whether AWS lets us in. Raises SetupError."""
    stack = locate(console, root, options.stage, options.region)
    return Guide(console, stack, boto3.client("ssm", region_name=stack.region))


def locate(console: Console, root: Path, stage: str | None, region: str | None) -> Stack:
    """Ask for what is not given, and see whether AWS lets us in. Raises SetupError."""
    console.step(
        "Where",
        "A stage is one installation with its own stack, configuration and balances.",
    )
    stages = known_stages(root)
    known = stages[0] if len(stages) == 1 else "dev"
    stage = stage or console.ask("Stage", "TOLLKEEPER_STAGE", default=known)
    if not STAGE.fullmatch(stage):
        raise SetupError("A stage is 1 to 20 lower-case letters, digits and hyphens.")
    region = region or console.ask(
        "AWS region",
        "AWS_REGION",
        default=recall(root, stage).region or boto3.Session().region_name,
    )
    account = _account(region)
    console.done(f"AWS account {account}, region {region}, stage {stage}.")
    if not console.confirm("Go on there?"):
        raise SetupError("Nothing was changed. AWS_PROFILE chooses another account.")
    return Stack(root, stage, region)


def _account(region: str) -> str:
    try:
        account: str = boto3.client("sts", region_name=region).get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as error:
        raise SetupError(
            f"AWS does not let us in: {error} Log in with aws configure or aws sso login."
        ) from error
    return account
