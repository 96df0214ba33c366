"""Which parts there are, on which ports, and how each is told of the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from infra.local.cloudformation import Deployment
from infra.local.parts import Part
from infra.local.ports import HOST, choose_ports
from infra.local.seed import Stripe, Upstash
from infra.local.template import Stack, function_url_ids, read_template, short_name

ROOT = Path(__file__).parents[2]
REGION = "us-east-1"
# `make dev` is found at these while they are free; function URLs follow the chat's, in the
# template's order.
CHAT_PORT = 4100
FRIENDLY_PORTS = {
    "stripe": 4111,
    "provider": 4112,
    "gateway": 4113,
    "aws": 4114,
    "lambda": 4115,
    "redis": 4116,
}
PART_NAMES = frozenset({"chat", *FRIENDLY_PORTS})


@dataclass(frozen=True, slots=True)
class Settings:
    """What may differ from one local cloud to the next.

    `upstash` and `stripe` put the real ones in place of the local parts. `overrides` are merged
    onto infra/config (see `infra.setup.parameters.read_configuration`); where the chat runs, its
    origin is the allowed one unless they name others. `token_delay_ms` is the provider's pause
    before each token.
    """

    stage: str = "local"
    chat: bool = True
    verbose: bool = False
    friendly_ports: bool = False
    template: Path = ROOT / "template.yaml"
    upstash: Upstash | None = None
    stripe: Stripe | None = None
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    token_delay_ms: float | None = None
    workers_max: int = 2


class Layout:
    """The parts of one local cloud. `token` opens the gateway, `api_key` Tollkeeper's API."""

    def __init__(self, settings: Settings, *, token: str, api_key: str) -> None:
        self._settings = settings
        self._token = token
        self._api_key = api_key
        self._functions = function_url_ids(settings.template)
        self.ports = choose_ports(self._wanted_ports())
        urls = {name: f"http://{HOST}:{port}" for name, port in self.ports.items()}
        urls.pop("redis", None)
        self.urls = {short_name(name): url for name, url in urls.items()}
        upstash = settings.upstash
        self.upstash = upstash or Upstash(self.urls["gateway"], token)
        self.stripe = settings.stripe or Stripe(api_base=self.urls["stripe"])

    @property
    def deployment(self) -> Deployment:
        """What the template's references resolve to."""
        return Deployment(
            aws_url=self.urls["aws"],
            function_urls={name: f"{self.urls[short_name(name)]}/" for name in self._functions},
            stack_name=f"tollkeeper-{self._settings.stage}",
            region=REGION,
            parameters={"Stage": self._settings.stage},
        )

    @cached_property
    def stack(self) -> Stack:
        """What the template describes, with the addresses of this layout."""
        return read_template(self._settings.template, self.deployment)

    @property
    def overrides(self) -> dict[str, Mapping[str, Any]]:
        """The configuration's overrides, with the chat's origin among the allowed ones."""
        overrides = dict(self._settings.overrides)
        if self._settings.chat:
            port = self.ports["chat"]
            origins = [f"http://{HOST}:{port}", f"http://localhost:{port}"]
            overrides["settings"] = {"allowed_origins": origins, **overrides.get("settings", {})}
        return overrides

    def services(self) -> list[Part]:
        """Everything that the functions use, and the chat; none needs another one to start."""
        parts = [self._aws(), self._provider()]
        if self._settings.upstash is None:
            parts += [self._redis(), self._gateway()]
        if self._settings.stripe is None:
            parts.append(self._module("stripe", "infra.local.stripe_local"))
        if self._settings.chat:
            parts.append(self._chat())
        return parts

    def functions(self) -> Part:
        """The Lambda service: it starts when what its functions read is in place."""
        deployment = self.deployment
        ports = {name: self.ports[name] for name in self._functions}
        arguments = [
            "infra.local.lambdas",
            *("--template", str(self._settings.template)),
            *("--port", str(self.ports["lambda"])),
            *("--aws-url", deployment.aws_url),
            *("--stack-name", deployment.stack_name),
            *("--region", deployment.region),
            *("--workers", str(self._settings.workers_max)),
            *_options("--url", ports),
            *_options("--parameter", deployment.parameters),
        ]
        if self.stripe.api_base is not None:
            arguments += _options("--env", {"STRIPE_API_BASE": self.stripe.api_base})
        return Part("lambda", arguments, [self.ports["lambda"], *ports.values()], tagged=True)

    def _wanted_ports(self) -> dict[str, int]:
        settings = self._settings
        wanted = {"chat": CHAT_PORT} if settings.chat else {}
        wanted |= {name: CHAT_PORT + 1 + n for n, name in enumerate(self._functions)}
        wanted |= FRIENDLY_PORTS
        if settings.upstash is not None:
            del wanted["gateway"], wanted["redis"]
        if settings.stripe is not None:
            del wanted["stripe"]
        return wanted if settings.friendly_ports else dict.fromkeys(wanted, 0)

    def _module(self, name: str, module: str, *options: str) -> Part:
        port = self.ports[name]
        return Part(name, [module, "--port", str(port), *options], [port])

    def _aws(self) -> Part:
        verbose = ["--verbose"] if self._settings.verbose else []
        bus = f"{self.urls['lambda']}/event-bus"
        return self._module(
            "aws", "infra.local.aws", "--region", REGION, "--event-bus", bus, *verbose
        )

    def _provider(self) -> Part:
        delay = self._settings.token_delay_ms
        options = [] if delay is None else ["--token-delay-ms", str(delay)]
        return self._module("provider", "infra.local.provider", *options)

    def _redis(self) -> Part:
        return self._module("redis", "infra.local.redis_server")

    def _gateway(self) -> Part:
        redis_port = str(self.ports["redis"])
        options = ["--redis-port", redis_port, "--token", self._token]
        return self._module("gateway", "infra.local.gateway", *options)

    def _chat(self) -> Part:
        return self._module(
            "chat",
            "examples.chat",
            *("--provider-url", self.urls["provider"]),
            *("--tollkeeper-url", self.urls["intercept"]),
            *("--api-key", self._api_key),
            *("--embed-url", self.urls["upgrade_page"]),
        )


def _options(flag: str, values: Mapping[str, Any]) -> Sequence[str]:
    return [word for name, value in values.items() for word in (flag, f"{name}={value}")]
