"""CloudFormation templates: the short tags (`!Ref`, `!Sub`, ...) and what they resolve to.

Only values that are asked for are resolved, so a template may hold resources (alarms, roles)
whose attributes nothing here knows. The rules are those of the CloudFormation user guide,
"Intrinsic function reference".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ACCOUNT_ID = "123456789012"  # the account that moto answers for
_PLACEHOLDER = re.compile(r"\$\{(!?)([^}]+)\}")
_NO_VALUE = object()


class TemplateError(ValueError):
    """The template holds something that cannot be run on this machine."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where a template is deployed, locally: what AWS would know of it.

    `function_urls` maps a function's logical id to its base URL, with the slash at its end
    that AWS's own have.
    """

    aws_url: str
    function_urls: Mapping[str, str]
    stack_name: str = "tollkeeper-local"
    region: str = "us-east-1"
    parameters: Mapping[str, str] = field(default_factory=dict)


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags, kept as their long forms."""


def _long_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        raise TemplateError(f"cannot read the tag !{suffix}")
    if suffix in {"Ref", "Condition"}:
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _long_form)


def load(path: Path) -> dict[str, Any]:
    """The template as plain data, tags in their long form; `TemplateError` when it is not one."""
    with path.open(encoding="utf-8") as file:
        # S506 is about loaders that run code: this one is a SafeLoader.
        document = yaml.load(file, Loader=_Loader)  # noqa: S506
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise TemplateError(f"{path} is not a CloudFormation template: it has no Resources")
    return document


class Resolver:
    """Resolves the intrinsic functions of one template for one deployment."""

    def __init__(self, document: Mapping[str, Any], deployment: Deployment) -> None:
        self._deployment = deployment
        self._resources: Mapping[str, Any] = document["Resources"]
        self._conditions: Mapping[str, Any] = document.get("Conditions", {})
        self._mappings: Mapping[str, Any] = document.get("Mappings", {})
        self._parameters = _parameter_values(document.get("Parameters", {}), deployment.parameters)
        self._pseudo = {
            "AWS::AccountId": ACCOUNT_ID,
            "AWS::NoValue": _NO_VALUE,
            "AWS::Partition": "aws",
            "AWS::Region": deployment.region,
            "AWS::StackName": deployment.stack_name,
            "AWS::URLSuffix": "amazonaws.com",
        }

    def resolve(self, value: Any) -> Any:
        """The value with every intrinsic function replaced; `TemplateError` when one cannot be."""
        if isinstance(value, dict):
            if len(value) == 1:
                name, argument = next(iter(value.items()))
                if name == "Ref" or name.startswith("Fn::"):
                    return self._call(name, argument)
            items = {key: self.resolve(item) for key, item in value.items()}
            return {key: item for key, item in items.items() if item is not _NO_VALUE}
        if isinstance(value, list):
            resolved = [self.resolve(item) for item in value]
            return [item for item in resolved if item is not _NO_VALUE]
        return value

    def holds(self, condition: str) -> bool:
        """Whether a condition of the template is true."""
        if condition not in self._conditions:
            raise TemplateError(f"there is no condition {condition}")
        return self._truth(self._conditions[condition])

    def physical_name(self, logical_id: str) -> str:
        """The name a resource has in the account: its own, or `<stack>-<logical id>`."""
        resource = self._resources[logical_id]
        key = {
            "AWS::Serverless::Function": "FunctionName",
            "AWS::SQS::Queue": "QueueName",
            "AWS::S3::Bucket": "BucketName",
        }.get(resource["Type"])
        given = resource.get("Properties", {}).get(key) if key else None
        name = f"{self._deployment.stack_name}-{logical_id}"
        if given is not None:
            return str(self.resolve(given))
        return name.lower() if resource["Type"] == "AWS::S3::Bucket" else name

    def _call(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref":
                return self._ref(argument)
            case "Fn::GetAtt":
                return self._attribute(*argument)
            case "Fn::Sub":
                return self._sub(argument)
            case "Fn::If":
                condition, then, otherwise = argument
                return self.resolve(then if self.holds(condition) else otherwise)
            case _:
                return self._combine(name, self.resolve(argument))

    def _combine(self, name: str, arguments: Any) -> Any:
        match name, arguments:
            case "Fn::Join", [separator, parts]:
                return separator.join(str(part) for part in parts)
            case "Fn::Select", [index, options]:
                return options[int(index)]
            case "Fn::Split", [separator, text]:
                return text.split(separator)
            case "Fn::FindInMap", [table, row, column]:
                return self._mappings[table][row][column]
            case _:
                raise TemplateError(f"{name} is not known here")

    def _ref(self, name: str) -> Any:
        if name in self._pseudo:
            return self._pseudo[name]
        if name in self._parameters:
            return self._parameters[name]
        kind = self._kind(name)
        if kind == "AWS::SQS::Queue":
            return f"{self._deployment.aws_url}/{ACCOUNT_ID}/{self.physical_name(name)}"
        return self.physical_name(name)

    def _attribute(self, logical_id: str, attribute: str) -> str:
        base = logical_id.removesuffix("Url")
        if attribute == "FunctionUrl" and base in self._deployment.function_urls:
            return self._deployment.function_urls[base]
        kind = self._kind(logical_id)
        physical = self.physical_name(logical_id)
        where = f"{self._deployment.region}:{ACCOUNT_ID}"
        known = {
            ("AWS::SQS::Queue", "Arn"): f"arn:aws:sqs:{where}:{physical}",
            ("AWS::SQS::Queue", "QueueName"): physical,
            ("AWS::S3::Bucket", "Arn"): f"arn:aws:s3:::{physical}",
            ("AWS::Serverless::Function", "Arn"): f"arn:aws:lambda:{where}:function:{physical}",
        }
        if (kind, attribute) not in known:
            raise TemplateError(f"{logical_id}.{attribute} ({kind}) is not known here")
        return known[kind, attribute]

    def _sub(self, argument: Any) -> str:
        text, extra = (argument, {}) if isinstance(argument, str) else argument

        def replacement(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return "${" + name + "}"
            if name in extra:
                return str(self.resolve(extra[name]))
            if "." in name:
                return self._attribute(*name.split(".", 1))
            return str(self._ref(name))

        return _PLACEHOLDER.sub(replacement, text)

    def _truth(self, expression: Any) -> bool:
        name, argument = next(iter(expression.items()))
        match name:
            case "Condition":
                return self.holds(argument)
            case "Fn::Equals":
                left, right = self.resolve(argument)
                return str(left) == str(right)
            case "Fn::Not":
                return not self._truth(argument[0])
            case "Fn::And":
                return all(self._truth(item) for item in argument)
            case "Fn::Or":
                return any(self._truth(item) for item in argument)
            case _:
                raise TemplateError(f"{name} is no condition")

    def _kind(self, logical_id: str) -> str:
        if logical_id not in self._resources:
            raise TemplateError(f"there is no resource or parameter {logical_id}")
        return str(self._resources[logical_id]["Type"])


def _parameter_values(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    unknown = given.keys() - declared.keys()
    if unknown:
        raise TemplateError(f"the template has no parameter {', '.join(sorted(unknown))}")
    values = {}
    for name, declaration in declared.items():
        value = given.get(name, declaration.get("Default"))
        if value is None:
            raise TemplateError(f"the parameter {name} has neither a value nor a default")
        values[name] = str(value)
    return values
