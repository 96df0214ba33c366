"""Takes the owner's parameters over into Redis: validated, whole, or not at all."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import NothingPublishedError
from tollkeeper_core.domain.ports import Clock, ConfigStore, ParameterSource, SourceError
from tollkeeper_core.domain.problems import unavailable
from tollkeeper_core.services.validation import problems

API_KEYS = "api_keys"
_GROUPS = ("tiers", "packs", "plans")
_SINGLE = ("settings", "experiment")


class ConfigError(Exception):
    """The parameters do not make a configuration; the text says which one and why."""


class EmptiedStoreError(ConfigError):
    """The configuration is right, but Redis has lost its state: to publish would be to give
    everybody a fresh start, and every purchase away.
    """

    def __init__(self) -> None:
        super().__init__(
            "Redis was emptied: the archive holds postings, and Redis no configuration. "
            "Run tollkeeper rebuild, which brings the state back and then publishes."
        )


@dataclass(frozen=True)
class SyncConfig:
    """Runs after every change of a parameter, and on a schedule that heals a lost event.

    ``has_history``: whether the archive holds postings, asked only of a Redis that has no
    configuration. Without it an emptied Redis is not told from a new one: a rebuild's own way.
    """

    source: ParameterSource
    store: ConfigStore
    clock: Clock
    has_history: Callable[[], bool] | None = None

    def __call__(self) -> bool:
        """True when published, False when a later reading already was.

        Raises ConfigError for parameters that do not validate: the last good configuration stays,
        and the error is kept for the dashboard. EmptiedStoreError, which is one, for a Redis that
        a rebuild has to fill first.
        """
        read_ms = self.clock()
        try:
            published = self._publish(read_config(self.source), read_ms)
        except ConfigError as error:
            self.store.record_error(str(error), read_ms)
            raise
        self.store.record_error(None, read_ms)
        return published

    def _publish(self, config: Config, read_ms: int) -> bool:
        if self.has_history is not None:
            try:
                # By the script, not by a look beforehand: a rebuild may unpublish in between.
                return self.store.publish(config, read_ms, replacing=True)
            except NothingPublishedError:
                if self.has_history():
                    raise EmptiedStoreError from None
        return self.store.publish(config, read_ms)


def read_config(source: ParameterSource) -> Config:
    """The parameters as one validated configuration. Raises ConfigError."""
    raw: dict[str, Any] = {group: {} for group in _GROUPS}
    for name, text in sorted(source.read_all().items()):
        group, _, item = name.partition("/")
        if name in _SINGLE:
            raw[name] = _object(name, text)
        elif group in _GROUPS and item:
            raw[group][item] = _object(name, text)
        else:
            raise ConfigError(
                f"{name}: is none of settings, tiers/*, packs/*, plans/*, experiment, secrets/*"
            )
    raw["api_keys"] = _object(API_KEYS, source.read_secrets([API_KEYS]).get(API_KEYS, "{}"))
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("; ".join(_said(found) for found in problems(error))) from None


def config_in_an_outage(source: ParameterSource) -> Config:
    """What the parameters say while Redis cannot: raises Problem 503 where they cannot either."""
    try:
        return read_config(source)
    except (ConfigError, SourceError) as error:
        raise unavailable("Neither Redis nor the parameters can be read; try again.") from error


def _object(name: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{name}: is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{name}: must be a JSON object, such as {{}}")
    return value


def _said(found: Mapping[str, str]) -> str:
    """``tiers.free.limits.daily.limit_usd`` -> ``tiers/free: limits.daily.limit_usd: ...``."""
    group, _, rest = found["field"].partition(".")
    if group in _GROUPS and rest:
        item, _, field = rest.partition(".")
        return ": ".join(filter(None, (f"{group}/{item}", field, found["error"])))
    if rest or group in _SINGLE:
        return ": ".join(filter(None, (group, rest, found["error"])))
    return found["error"]
