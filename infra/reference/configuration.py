"""docs/configuration.md, from the models that validate the parameters."""

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from tollkeeper_core.domain import config, experiments
from tollkeeper_core.domain.config import Pack, Plan, Settings, Tier
from tollkeeper_core.domain.experiments import Experiment
from tollkeeper_core.domain.periods import Window

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "configuration.md"
_EXAMPLES = ROOT / "infra" / "config"
#: Beside the others it would be put into every new stage.
_EXPERIMENT = Path(__file__).with_name("experiment.json")

#: Parameter -> its model, and an example.
_PARAMETERS: Mapping[str, tuple[type[BaseModel], Path]] = {
    "settings": (Settings, _EXAMPLES / "settings.json"),
    "tiers/<name>": (Tier, _EXAMPLES / "tiers/free.json"),
    "packs/<name>": (Pack, _EXAMPLES / "packs/starter.json"),
    "plans/<name>": (Plan, _EXAMPLES / "plans/pro_monthly.json"),
    "experiment": (Experiment, _EXPERIMENT),
}
_USD = 'US dollars, such as `"0.50"`'
_HEAD = """# Configuration

Every parameter lives in SSM under `/tollkeeper/<stage>/` and is one JSON object. `aws ssm
put-parameter` is all it takes: a value holds for the next check, and one that does not validate
changes nothing ([operations](operations.md#raise-a-limit) says how to see why). Fields that are not
listed are errors.

Amounts of AI spend are decimal strings of US dollars (`"0.50"`); prices are integers in the
currency's minor unit (`500` is $5.00). A `<name>` has 1 to 40 characters: small letters, digits,
`_` and `-`.

This page is made from the code by `make reference`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_sections(), ""])


def _sections() -> Iterator[str]:
    told: set[str] = set()
    for parameter, (model, example) in _PARAMETERS.items():
        yield f"## `{parameter}`\n"
        yield from _model(model)
        text = json.dumps(json.loads(example.read_text()), indent=2, ensure_ascii=False)
        yield f"```json\n{text}\n```\n"
        for name, part in _parts(model):
            if name not in told:
                told.add(name)
                yield f"### `{name}`\n"
                yield from _model(part)


def _model(model: type[BaseModel]) -> Iterator[str]:
    doc = inspect.getdoc(model) or ""
    yield doc.replace("``", "`") + "\n"
    schema = model.model_json_schema(by_alias=True)
    required = set(schema.get("required", ()))
    yield "| field | value | default |\n| --- | --- | --- |"
    for name, found in schema["properties"].items():
        default = "required" if name in required else _default(found)
        value = _USD if "_usd" in name else _value(found)
        yield f"| `{name}` | {value} | {default} |"
    yield ""


def _parts(model: type[BaseModel]) -> list[tuple[str, type[BaseModel]]]:
    """The models that its fields are made of."""
    return [
        (part.__name__, part)
        for name in model.model_json_schema().get("$defs", {})
        for part in _known(name)
    ]


def _known(name: str) -> list[type[BaseModel]]:
    # What config imports from page_style too.
    found = getattr(config, name, None) or getattr(experiments, name, None)
    return [found] if isinstance(found, type) and issubclass(found, BaseModel) else []


def _quoted(value: str) -> str:
    return f'`"{value}"`'


def _default(schema: Mapping[str, Any]) -> str:
    default = schema.get("default", ...)
    if default is ...:
        return "its own defaults"
    return "none" if default is None else f"`{json.dumps(default)}`"


def _value(schema: Mapping[str, Any]) -> str:
    """What a field takes, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[`{name}`](#{name.lower()})" if _known(name) else ", ".join(map(_quoted, Window))
    if choices := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
        return ", ".join(f"`{json.dumps(value)}`" for value in choices)
    if "anyOf" in schema:
        return " or ".join(_value(one) for one in schema["anyOf"] if one.get("type") != "null")
    return _plain(schema)


def _plain(schema: Mapping[str, Any]) -> str:
    kind = str(schema.get("type", "any"))
    if kind == "array":
        items = _value(schema["items"])
        return f"a list of {items}" + _bounds(schema, "maxItems", "({} at most)")
    if kind == "object":
        names = _value(schema["propertyNames"]) if "propertyNames" in schema else "names"
        # A name that must match a pattern has its values under that pattern.
        (values,) = schema.get(
            "patternProperties", {"": schema.get("additionalProperties")}
        ).values()
        return f"an object of {names}, each {_value(values)}"
    if kind == "integer" and "maximum" in schema:
        return f"integer {schema['minimum']} to {schema['maximum']}"
    if kind == "string":
        return "text" + _bounds(schema, "maxLength", "to {} characters")
    return kind


def _bounds(schema: Mapping[str, Any], name: str, words: str) -> str:
    return " " + words.format(schema[name]) if name in schema else ""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
