from typing import Any

import pytest
from pydantic import ValidationError
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.periods import Calendar, Window


def raw(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "settings": {"time_zone": "Europe/Berlin", "week_start": "sunday"},
        "tiers": {"free": {"limits": {"daily": {"limit_usd": "0.05"}}}},
        "packs": {"starter": {"label": "S", "price_minor": 500, "credit_usd": "4.00"}},
        "plans": {"pro": {"label": "P", "tier": "free", "price_minor": 1200}},
    }
    return {**base, **changes}


def test_a_configuration_survives_its_snapshot() -> None:
    config = Config.model_validate(raw(api_keys={"a1": "0" * 64}))
    assert Config.model_validate_json(config.model_dump_json(by_alias=True)) == config
    assert config.settings.calendar == Calendar("Europe/Berlin", 6)
    assert config.tiers["free"].limits[Window.DAILY].limit_usd == 50_000_000
    assert config.currency_of(config.packs["starter"]) == "usd"


FREE = {"limits": {"daily": {"limit_usd": "0.05"}}}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tiers": {}}, "no parameter tiers/free"),
        ({"settings": {"default_tier": "gold"}}, "no parameter tiers/gold"),
        ({"plans": {"x": {"label": "X", "tier": "gold", "price_minor": 1}}}, "no tiers/gold"),
        ({"settings": {"time_zone": "Berlin"}}, "IANA"),
        ({"settings": {"allowed_origins": ["*"]}}, "origin"),
        ({"settings": {"allowed_origins": ["http://app.example.com"]}}, "https"),
        ({"settings": {"allowed_origins": ["https://a.example/path"]}}, "origin"),
        ({"settings": {"tme_zone": "UTC"}}, "Extra inputs"),
        ({"tiers": {"free": {"limits": {"daily": {"limit_usd": 0.05}}}}}, "decimal string"),
        ({"tiers": {"free": {"limits": {"daily": {"limit_usd": "-1"}}}}}, "decimal string"),
        ({"tiers": {"free": {"limits": {"hourly": {"limit_usd": "1"}}}}}, "daily"),
        ({"tiers": {"free": {**FREE, "enforcement": "maybe"}}}, "strict"),
        ({"tiers": {"Free!": FREE}}, "pattern"),
        (
            {
                "tiers": {
                    "free": {
                        "limits": {"daily": {"limit_usd": "1", "hard": True, "credits": "extend"}}
                    }
                }
            },
            "not both",
        ),
        ({"packs": {"p": {"label": "P", "price_minor": 0, "credit_usd": "1"}}}, "greater than"),
        ({"packs": {"p": {"label": "P", "price_minor": 1, "credit_usd": "0"}}}, "greater than"),
        ({"api_keys": {str(n): "0" * 64 for n in range(3)}}, "at most 2"),
        ({"api_keys": {"a": "tk_a_secret"}}, "pattern"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Config.model_validate(raw(**changes))
