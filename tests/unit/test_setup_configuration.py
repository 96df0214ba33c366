"""The example configuration, and what set-up makes of files and overrides."""

import json
from pathlib import Path

import pytest
from tollkeeper_core.domain.config import Config

from infra.setup.errors import SetupError
from infra.setup.parameters import CONFIG_DIR, full_name, merge, read_configuration


def test_the_examples_are_a_whole_configuration() -> None:
    values = read_configuration()

    assert set(values) == {
        "settings",
        "tiers/free",
        "tiers/pro",
        "packs/starter",
        "packs/plus",
        "plans/pro_monthly",
    }


def test_the_examples_say_what_the_readme_says() -> None:
    values = read_configuration()
    config = Config.model_validate(
        {
            "settings": values["settings"],
            "tiers": {"free": values["tiers/free"], "pro": values["tiers/pro"]},
            "packs": {"starter": values["packs/starter"]},
        }
    )

    daily = config.tiers["free"].limits["daily"]
    assert (daily.limit_usd, daily.hard) == (50_000_000, False)
    assert config.packs["starter"].price_minor == 500
    assert config.packs["starter"].credit_usd == 4_000_000_000


def test_every_pack_leaves_a_margin_and_every_plan_can_be_met() -> None:
    """An owner who deploys the examples as they are must not sell AI spend below its cost."""
    values = read_configuration()

    for name, value in values.items():
        if name.startswith("packs/"):
            assert float(value["credit_usd"]) * 100 < value["price_minor"], name
        if name.startswith("plans/"):
            monthly = values[f"tiers/{value['tier']}"]["limits"]["monthly"]["limit_usd"]
            assert float(monthly) * 100 < value["price_minor"], name


def test_overrides_are_merged_field_by_field() -> None:
    values = read_configuration(
        overrides={"tiers/free": {"limits": {"daily": {"limit_usd": "0.01"}}}}
    )

    assert values["tiers/free"]["limits"]["daily"] == {"limit_usd": "0.01"}
    assert values["tiers/free"]["limits"]["weekly"] == {"limit_usd": "0.20"}
    assert values["tiers/free"]["label"] == "Free"
    assert json.loads((CONFIG_DIR / "tiers/free.json").read_text())["limits"]["daily"] == {
        "limit_usd": "0.05"
    }


def test_an_override_without_a_file_is_added() -> None:
    values = read_configuration(
        overrides={"packs/huge": {"label": "H", "price_minor": 9} | _CREDIT}
    )

    assert values["packs/huge"]["price_minor"] == 9


_CREDIT = {"credit_usd": "0.05"}


def test_merging_changes_neither_side() -> None:
    base, override = {"a": {"b": [1]}}, {"a": {"c": [2]}}

    merged = merge(base, override)
    merged["a"]["b"].append(3)
    merged["a"]["c"].append(4)

    assert base == {"a": {"b": [1]}}
    assert override == {"a": {"c": [2]}}


def test_a_list_is_replaced_not_extended() -> None:
    assert merge({"origins": ["a"]}, {"origins": ["b"]}) == {"origins": ["b"]}


@pytest.mark.parametrize(
    ("overrides", "where"),
    [
        ({"tiers/free": {"limits": {"daily": {"limit": "1"}}}}, "tiers/free/limits/daily/limit"),
        ({"packs/starter": {"credit_usd": 4.0}}, "packs/starter/credit_usd"),
        ({"settings": {"default_tier": "gold"}}, "gold"),
        ({"tears/free": {"limits": {}}}, "tears"),
    ],
)
def test_a_wrong_value_is_refused_by_name(overrides: dict[str, dict[str, str]], where: str) -> None:
    with pytest.raises(SetupError, match=where):
        read_configuration(overrides=overrides)


def test_another_folder_takes_the_place_of_the_examples(tmp_path: Path) -> None:
    (tmp_path / "tiers").mkdir()
    (tmp_path / "tiers" / "free.json").write_text('{"limits": {"daily": {"limit_usd": "1"}}}')

    assert read_configuration(tmp_path) == {"tiers/free": {"limits": {"daily": {"limit_usd": "1"}}}}


@pytest.mark.parametrize("prefix", ["/tollkeeper/dev", "/tollkeeper/dev/"])
def test_a_full_name_has_one_slash_between(prefix: str) -> None:
    assert full_name(prefix, "tiers/free") == "/tollkeeper/dev/tiers/free"
