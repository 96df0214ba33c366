"""What a check reads of the published snapshot is what the configuration says."""

import json

from hypothesis import given
from hypothesis import strategies as st
from tollkeeper_core.domain.config import CeilingPrice, Config
from tollkeeper_core.domain.money import format_usd
from tollkeeper_core.domain.periods import WEEKDAYS, Window
from tollkeeper_core.domain.pricing import TokenRates
from tollkeeper_core.domain.rules import Rules

usd = st.integers(0, 10**15).map(format_usd)
limits = st.dictionaries(
    st.sampled_from([window.value for window in Window]),
    st.fixed_dictionaries({"limit_usd": usd, "hard": st.booleans()}),
)
tiers = st.fixed_dictionaries(
    {"limits": limits},
    optional={"outage": st.sampled_from(["allow", "block"]), "outage_grace_usd": st.none() | usd},
)
settings = st.fixed_dictionaries(
    {},
    optional={
        "time_zone": st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia"]),
        "week_start": st.sampled_from(WEEKDAYS),
        "monthly_anchor": st.sampled_from(["calendar", "subscription"]),
        "default_tier": st.sampled_from(["free", "pro"]),
        "unknown_model": st.just("block")
        | st.fixed_dictionaries({"input_usd_per_mtok": usd, "output_usd_per_mtok": usd}),
        "reservation_seconds": st.integers(10, 86_400),
        "copy": st.fixed_dictionaries({"upgrade_message": st.text('aé"\\{}\n€', min_size=1)}),
    },
)
experiments = st.none() | st.fixed_dictionaries(
    {
        "name": st.sampled_from(["copy", "packs"]),
        "variants": st.lists(st.integers(1, 9), min_size=1, max_size=4).map(
            lambda weights: [{"name": f"v{n}", "weight": w} for n, w in enumerate(weights)]
        ),
    },
    optional={"holdout_percent": st.integers(1, 99)},
)
keys = st.dictionaries(st.sampled_from(["k1", "k2"]), st.sampled_from(["0" * 64, "af" * 32]))


@given(settings, tiers, tiers, keys, experiments)
def test_the_rules_are_those_of_the_configuration(
    said: dict[str, object], free: object, pro: object, api_keys: object, experiment: object
) -> None:
    config = Config.model_validate(
        {
            "settings": said,
            "tiers": {"free": free, "pro": pro},
            "api_keys": api_keys,
            "experiment": experiment,
        }
    )
    rules = Rules.of_snapshot(config.snapshot)
    assert rules.calendar == config.settings.calendar
    assert rules.default_tier == config.settings.default_tier
    assert rules.reservation_ms == config.settings.reservation_seconds * 1000
    assert rules.upgrade_message == config.settings.text.upgrade_message
    assert rules.api_keys == config.api_keys
    assert rules.tiers.keys() == config.tiers.keys()
    for name, tier in config.tiers.items():
        assert rules.tiers[name].blocks == (tier.outage == "block")
        lowest = min((limit.limit_usd for limit in tier.limits.values()), default=None)
        own = tier.outage_grace_usd
        assert rules.tiers[name].grace_nano == (lowest if own is None else own)
    assert rules.experiment == (config.experiment and config.experiment.split)
    ceiling = config.settings.unknown_model
    if isinstance(ceiling, CeilingPrice):
        rates = TokenRates.flat(ceiling.input_usd_per_mtok, ceiling.output_usd_per_mtok)
        assert rules.unknown_model == rates
    else:
        assert rules.unknown_model is None


def test_a_snapshot_of_before_there_were_experiments_has_none() -> None:
    published = json.loads(Config.model_validate({"tiers": {"free": {"limits": {}}}}).snapshot)
    del published["experiment"]
    assert Rules.of_snapshot(json.dumps(published)).experiment is None
