"""The stack that template.yaml describes, as this machine runs it.

The template is the only list there is: which functions, queues and buckets exist, which URLs and
event sources a function has, and every time-out and batch size.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local import cloudformation
from infra.local.cloudformation import Deployment, Resolver, TemplateError

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True, slots=True)
class Cors:
    """A function URL's CORS settings, as the Lambda API's `Cors` has them."""

    allow_origins: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    allow_credentials: bool = False
    max_age_s: int = 0


@dataclass(frozen=True, slots=True)
class FunctionUrl:
    """A function's own HTTP address."""

    cors: Cors | None = None


@dataclass(frozen=True, slots=True)
class QueueSource:
    """An event source mapping: a queue whose batches a function gets."""

    queue_arn: str
    batch_size: int
    window_s: int
    reports_item_failures: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """An EventBridge rule: events that match `pattern` go to the function."""

    name: str
    pattern: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A rule that fires every `every_s` seconds; `payload` is its constant JSON input, if any."""

    name: str
    every_s: int
    payload: str | None


@dataclass(frozen=True, slots=True)
class Function:
    """One Lambda function. `task_root` is the folder from which `handler` can be imported.

    `layers` are what a build put into its layers (`/opt/python` in Lambda); none before a build.
    """

    logical_id: str
    name: str
    arn: str
    handler: str
    task_root: Path
    layers: tuple[Path, ...]
    timeout_s: int
    memory_mb: int
    environment: Mapping[str, str]
    concurrency_max: int | None
    json_logs: bool
    log_level: str | None
    snap_start: bool
    url: FunctionUrl | None
    queues: tuple[QueueSource, ...]
    rules: tuple[Rule, ...]
    schedules: tuple[Schedule, ...]


@dataclass(frozen=True, slots=True)
class Queue:
    """An SQS queue; `attributes` are those of the SQS API, ready for CreateQueue."""

    logical_id: str
    name: str
    url: str
    arn: str
    attributes: Mapping[str, Any]
    dead_letter_arn: str | None


@dataclass(frozen=True, slots=True)
class Bucket:
    """An S3 bucket."""

    logical_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything of the template that this machine runs."""

    functions: tuple[Function, ...]
    queues: tuple[Queue, ...]
    buckets: tuple[Bucket, ...]

    def function(self, name: str) -> Function:
        """The function of this logical id, name or ARN; raises `KeyError`."""
        for function in self.functions:
            if name in {function.logical_id, function.name, function.arn}:
                return function
        raise KeyError(name)


def short_name(logical_id: str) -> str:
    """What a function is called outside the template: `UpgradePageFunction` is `upgrade_page`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", logical_id.removesuffix("Function")).lower()


def function_url_ids(path: Path) -> tuple[str, ...]:
    """Logical ids of the functions that have a URL: an address is needed for each to deploy."""
    return tuple(
        logical_id
        for logical_id, resource in cloudformation.load(path)["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
        and "FunctionUrlConfig" in resource.get("Properties", {})
    )


def read_template(path: Path, deployment: Deployment) -> Stack:
    """Read the template as deployed there; `TemplateError` when it cannot be run here."""
    document = cloudformation.load(path)
    reader = _Reader(path, document, Resolver(document, deployment))
    return Stack(
        functions=tuple(reader.functions()),
        queues=tuple(reader.queues()),
        buckets=tuple(reader.buckets()),
    )


class _Reader:
    def __init__(self, path: Path, document: Mapping[str, Any], resolver: Resolver) -> None:
        self._folder = path.absolute().parent
        self._resolver = resolver
        self._globals = document.get("Globals", {}).get("Function", {})
        self._resources: Mapping[str, Any] = document["Resources"]

    def functions(self) -> Iterator[Function]:
        for logical_id, properties in self._of_type("AWS::Serverless::Function"):
            yield self._function(logical_id, _merged(self._globals, properties))

    def queues(self) -> Iterator[Queue]:
        for logical_id, properties in self._of_type("AWS::SQS::Queue"):
            attributes = {
                name: value
                for name, value in self._resolver.resolve(properties).items()
                if name not in {"QueueName", "Tags"}
            }
            redrive = attributes.get("RedrivePolicy")
            yield Queue(
                logical_id=logical_id,
                name=self._resolver.physical_name(logical_id),
                url=self._resolver.resolve({"Ref": logical_id}),
                arn=self._resolver.resolve({"Fn::GetAtt": [logical_id, "Arn"]}),
                attributes=attributes,
                dead_letter_arn=redrive["deadLetterTargetArn"] if redrive else None,
            )

    def buckets(self) -> Iterator[Bucket]:
        for logical_id, _ in self._of_type("AWS::S3::Bucket"):
            yield Bucket(logical_id, self._resolver.physical_name(logical_id))

    def _of_type(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for logical_id, resource in self._resources.items():
            condition = resource.get("Condition")
            if resource["Type"] == kind and (condition is None or self._resolver.holds(condition)):
                yield logical_id, resource.get("Properties", {})

    def _function(self, logical_id: str, properties: Mapping[str, Any]) -> Function:
        def resolved(name: str, default: Any) -> Any:
            value = self._resolver.resolve({name: properties.get(name, default)})
            return value.get(name, default)

        handler = str(resolved("Handler", ""))
        logging = resolved("LoggingConfig", {}) if "LoggingConfig" in properties else {}
        reserved = resolved("ReservedConcurrentExecutions", None)
        events = dict(properties.get("Events", {}))
        return Function(
            logical_id=logical_id,
            name=self._resolver.physical_name(logical_id),
            arn=self._resolver.resolve({"Fn::GetAtt": [logical_id, "Arn"]}),
            handler=handler,
            task_root=self._task_root(str(resolved("CodeUri", ".")), handler),
            layers=tuple(self._built_layers(properties.get("Layers", []))),
            timeout_s=int(resolved("Timeout", 3)),
            memory_mb=int(resolved("MemorySize", 128)),
            environment={
                name: str(value)
                for name, value in resolved("Environment", {}).get("Variables", {}).items()
            },
            concurrency_max=None if reserved is None else int(reserved),
            json_logs=logging.get("LogFormat") == "JSON",
            log_level=logging.get("ApplicationLogLevel"),
            snap_start=resolved("SnapStart", {}).get("ApplyOn") == "PublishedVersions",
            url=_function_url(resolved("FunctionUrlConfig", None)),
            queues=tuple(self._queue_sources(events)),
            rules=tuple(self._rules(logical_id, events)),
            schedules=tuple(self._schedules(logical_id, events)),
        )

    def _task_root(self, code_uri: str, handler: str) -> Path:
        """The folder that holds the handler's module as the build lays it out.

        A build may put the code under its package's path (makefile, ParentPackages), so it is
        CodeUri or one of the folders above it, up to the template's.
        """
        module = Path(*handler.split(".")[:-1])
        folder = (self._folder / code_uri).resolve()
        for root in (folder, *folder.parents):
            if (root / module).with_suffix(".py").is_file() or (root / module).is_dir():
                return root
            if root == self._folder.resolve():
                break
        # The function is there and its code is not: it fails when it is called, as on AWS.
        return self._folder

    def _built_layers(self, layers: Sequence[Any]) -> Iterator[Path]:
        for layer in layers:
            content = self._resources[layer["Ref"]]["Properties"]["ContentUri"]
            packages = (self._folder / content).resolve() / "python"
            if packages.is_dir():
                yield packages

    def _events(self, events: Mapping[str, Any], *kinds: str) -> Iterator[tuple[str, Any]]:
        for name, event in events.items():
            if event["Type"] in kinds:
                properties = self._resolver.resolve(event.get("Properties", {}))
                if properties.get("Enabled", True) and properties.get("State") != "DISABLED":
                    yield name, properties

    def _queue_sources(self, events: Mapping[str, Any]) -> Iterator[QueueSource]:
        for _, properties in self._events(events, "SQS"):
            yield QueueSource(
                queue_arn=properties["Queue"],
                batch_size=int(properties.get("BatchSize", 10)),
                window_s=int(properties.get("MaximumBatchingWindowInSeconds", 0)),
                reports_item_failures="ReportBatchItemFailures"
                in properties.get("FunctionResponseTypes", []),
            )

    def _rules(self, logical_id: str, events: Mapping[str, Any]) -> Iterator[Rule]:
        for name, properties in self._events(events, "EventBridgeRule", "CloudWatchEvent"):
            yield Rule(f"{logical_id}{name}", properties["Pattern"])

    def _schedules(self, logical_id: str, events: Mapping[str, Any]) -> Iterator[Schedule]:
        for name, properties in self._events(events, "Schedule"):
            expression = properties["Schedule"]
            rate = _RATE.fullmatch(expression)
            if rate is None:
                raise TemplateError(f"{logical_id}: only rate(...) runs locally, not {expression}")
            every_s = int(rate[1]) * _SECONDS[rate[2]]
            yield Schedule(f"{logical_id}{name}", every_s, properties.get("Input"))


def _merged(base: Any, override: Any) -> Any:
    """SAM's rule for Globals: maps merge, lists are joined, anything else is replaced."""
    if isinstance(base, dict) and isinstance(override, dict):
        if _is_intrinsic(base) or _is_intrinsic(override):
            return override
        keys = {**base, **override}
        return {
            key: _merged(base[key], override[key]) if key in base and key in override else keys[key]
            for key in keys
        }
    if isinstance(base, list) and isinstance(override, list):
        return [*base, *override]
    return override


def _is_intrinsic(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::"))


def _function_url(config: Mapping[str, Any] | None) -> FunctionUrl | None:
    if config is None:
        return None
    cors = config.get("Cors")
    if cors is None:
        return FunctionUrl()
    return FunctionUrl(
        Cors(
            allow_origins=tuple(cors.get("AllowOrigins", ())),
            allow_methods=tuple(cors.get("AllowMethods", ())),
            allow_headers=tuple(cors.get("AllowHeaders", ())),
            expose_headers=tuple(cors.get("ExposeHeaders", ())),
            allow_credentials=bool(cors.get("AllowCredentials", False)),
            max_age_s=int(cors.get("MaxAge", 0)),
        )
    )
