"""Tollkeeper's parameters in SSM: configuration as JSON strings, secrets as SecureStrings.

What the owner has changed is never written over: configuration is written once, into a stage that
has none, and a secret only when the value is another one than the stored.
"""

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from tollkeeper_core.domain.config import Config

from infra.setup.errors import SetupError

if TYPE_CHECKING:
    from types_boto3_ssm import SSMClient

CONFIG_DIR = Path(__file__).parents[1] / "config"
# A folder of the configuration and of the path in SSM, and the field of Config that takes it.
GROUPS = ("tiers", "packs", "plans")
# GetParameters and DeleteParameters take ten names at most.
NAMES_PER_REQUEST = 10

Json = dict[str, Any]


def read_configuration(
    config_dir: Path | None = None, overrides: Mapping[str, Json] | None = None
) -> dict[str, Json]:
    """Read a folder of configuration: parameter name (``settings``, ``tiers/free``) -> value.

    ``overrides`` are merged onto the files' values, object by object; a name that has no file is
    added. Raises SetupError when the whole is not a valid configuration.
    """
    folder = config_dir or CONFIG_DIR
    values: dict[str, Json] = {
        path.relative_to(folder).with_suffix("").as_posix(): json.loads(path.read_text())
        for path in sorted(folder.rglob("*.json"))
    }
    for name, override in (overrides or {}).items():
        values[name] = merge(values.get(name, {}), override)
    validate(values)
    return values


def merge(base: Json, override: Mapping[str, Any]) -> Json:
    """Merge an object into another, without changing either: objects merge, all else replaces."""
    merged = copy.deepcopy(base)
    for key, value in override.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = merge(below, value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def validate(values: Mapping[str, Json]) -> None:
    """Raise SetupError, naming the field, unless sync_config would accept these parameters."""
    whole: Json = {group: {} for group in GROUPS}
    for name, value in values.items():
        group, _, member = name.partition("/")
        if member:
            whole.setdefault(group, {})[member] = value
        else:
            whole[group] = value
    try:
        Config.model_validate(whole)
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(str(part) for part in first["loc"])
        raise SetupError(f"The configuration is not valid at {where}: {first['msg']}") from error


def write_configuration(
    ssm: "SSMClient",
    prefix: str,
    config_dir: Path | None = None,
    overrides: Mapping[str, Json] | None = None,
) -> list[str]:
    """Write the configuration of a folder into a stage that has none yet; answer the names written.

    A stage that has ``settings`` is left alone, so that a pack which its owner deleted stays
    deleted. ``settings`` is written last: an interrupted first run is taken up again.
    """
    values = read_configuration(config_dir, overrides)
    if stored_names(ssm, prefix, ["settings"]):
        return []
    order = sorted(values, key=lambda name: (name == "settings", name))
    return [name for name in order if _put_if_absent(ssm, prefix, name, values[name])]


def _put_if_absent(ssm: "SSMClient", prefix: str, name: str, value: Json) -> bool:
    try:
        ssm.put_parameter(
            Name=full_name(prefix, name), Type="String", Value=json.dumps(value, indent=2)
        )
    except ssm.exceptions.ParameterAlreadyExists:
        return False
    return True


def write_secrets(ssm: "SSMClient", prefix: str, secrets: Mapping[str, str]) -> list[str]:
    """Store secrets as SecureStrings under ``secrets/``; answer the names whose value was new.

    A value equal to the stored one is not written again: it would be another version, and would
    start sync_config for nothing.
    """
    stored = read_secrets(ssm, prefix, secrets)
    written = [name for name, value in secrets.items() if stored.get(name) != value]
    for name in written:
        ssm.put_parameter(
            Name=full_name(prefix, f"secrets/{name}"),
            Type="SecureString",
            Value=secrets[name],
            Overwrite=True,
        )
    return written


def read_secrets(ssm: "SSMClient", prefix: str, names: Iterable[str]) -> dict[str, str]:
    """Read secrets by their short names; those that are not stored are left out."""
    paths = {full_name(prefix, f"secrets/{name}"): name for name in names}
    found: dict[str, str] = {}
    for start in range(0, len(paths), NAMES_PER_REQUEST):
        batch = list(paths)[start : start + NAMES_PER_REQUEST]
        answer = ssm.get_parameters(Names=batch, WithDecryption=True)
        found |= {paths[entry["Name"]]: entry["Value"] for entry in answer["Parameters"]}
    return found


def all_names(ssm: "SSMClient", prefix: str) -> list[str]:
    """The full names of every parameter of the stage, secrets too."""
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=prefix, Recursive=True)
    return sorted(entry["Name"] for page in pages for entry in page["Parameters"])


def save_configuration(ssm: "SSMClient", prefix: str, folder: Path) -> list[str]:
    """Write the stored configuration into a folder laid out as infra/config; answer the names.

    Secrets are left out.
    """
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=prefix, Recursive=True)
    saved: list[str] = []
    for entry in (entry for page in pages for entry in page["Parameters"]):
        name = entry["Name"].removeprefix(f"{prefix}/")
        if entry["Type"] == "String":
            target = folder / f"{name}.json"
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            target.write_text(entry["Value"] + "\n", "utf-8")
            saved.append(name)
    return saved


def delete_parameters(ssm: "SSMClient", names: Sequence[str]) -> None:
    """Delete parameters by their full names; one that is gone already is no matter."""
    for start in range(0, len(names), NAMES_PER_REQUEST):
        ssm.delete_parameters(Names=list(names[start : start + NAMES_PER_REQUEST]))


def stored_names(ssm: "SSMClient", prefix: str, names: Iterable[str]) -> set[str]:
    """Which of these parameters (at most ten, names below the prefix) exist."""
    paths = {full_name(prefix, name): name for name in names}
    answer = ssm.get_parameters(Names=list(paths))
    return {paths[entry["Name"]] for entry in answer["Parameters"]}


def full_name(prefix: str, name: str) -> str:
    """The name of a parameter in SSM: ``/tollkeeper/dev`` and ``tiers/free`` joined."""
    return f"{prefix.rstrip('/')}/{name}"
