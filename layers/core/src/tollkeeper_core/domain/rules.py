"""What the app's API needs of the configuration: what it looks at for every check, ready to use.

Read from the snapshot that sync_config publishes, which was validated before it was: to validate it
again with every new process would take a check longer than all else that it does.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from tollkeeper_core.domain.money import parse_usd
from tollkeeper_core.domain.periods import WEEKDAYS, Calendar
from tollkeeper_core.domain.pricing import TokenRates
from tollkeeper_core.domain.split import Split


class TierRules(NamedTuple):
    """What holds while Redis is away. ``grace_nano``: what one user may use in an hour then, the
    tier's own or else its lowest limit; None for a tier without any limit.
    """

    blocks: bool
    grace_nano: int | None


class Rules(NamedTuple):
    """``unknown_model``: what one costs that has no price; None where it is blocked.

    ``api_keys``: key id -> SHA-256 (hex) of the whole key.
    """

    calendar: Calendar
    default_tier: str
    tiers: Mapping[str, TierRules]
    unknown_model: TokenRates | None
    reservation_ms: int
    upgrade_message: str
    api_keys: Mapping[str, str]
    experiment: Split | None

    @classmethod
    def of_snapshot(cls, text: str) -> "Rules":
        """From a Config as JSON (``Config.snapshot``)."""
        config = json.loads(text)
        settings = config["settings"]
        return cls(
            calendar=Calendar(
                settings["time_zone"],
                WEEKDAYS.index(settings["week_start"]),
                settings["monthly_anchor"] == "subscription",
            ),
            default_tier=settings["default_tier"],
            tiers={name: _tier(tier) for name, tier in config["tiers"].items()},
            unknown_model=_ceiling(settings["unknown_model"]),
            reservation_ms=settings["reservation_seconds"] * 1000,
            upgrade_message=settings["copy"]["upgrade_message"],
            api_keys=config["api_keys"],
            experiment=_split(config.get("experiment")),  # snapshots of before have none
        )


def _tier(tier: Mapping[str, Any]) -> TierRules:
    grace_usd = tier["outage_grace_usd"]
    limits = (parse_usd(limit["limit_usd"]) for limit in tier["limits"].values())
    grace_nano = min(limits, default=None) if grace_usd is None else parse_usd(grace_usd)
    return TierRules(tier["outage"] == "block", grace_nano)


def _ceiling(unknown_model: Any) -> TokenRates | None:
    if unknown_model == "block":
        return None
    return TokenRates.flat(
        parse_usd(unknown_model["input_usd_per_mtok"]),
        parse_usd(unknown_model["output_usd_per_mtok"]),
    )


def _split(experiment: Any) -> Split | None:
    if experiment is None:
        return None
    weights = {variant["name"]: variant["weight"] for variant in experiment["variants"]}
    return Split.of(experiment["name"], experiment["holdout_percent"], weights)
